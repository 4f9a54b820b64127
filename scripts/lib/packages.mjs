// What the lock file says about packages, for the checks of dependencies.

/**
 * The packages of a lock file (version 3).
 *
 * @param lock - the parsed package-lock.json
 */
export function packagesOf(lock) {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && !entry.link)
    .map(([path, entry]) => ({ name: entry.name ?? path.split('node_modules/').at(-1), path, ...entry }));
}

/** What is installed where Curfew runs: each as `name@version`. */
function shippedPackages(lock) {
  const shipped = packagesOf(lock).filter(({ dev, devOptional }) => !dev && !devOptional);
  return new Set(shipped.map(({ name, version }) => `${name}@${version}`));
}

/**
 * The bill of materials of what is shipped, out of that of everything. `npm sbom --omit dev` also omits what development
 * tools and the product have in common (seen with npm 11.19, which leaves out @temporalio/client).
 *
 * @param sbom - CycloneDX JSON of all packages
 */
export function shippedOnly(sbom, lock) {
  const shipped = shippedPackages(lock);
  const { name, version } = lock.packages[''];
  const components = sbom.components.filter((component) => shipped.has(`${component.name}@${component.version}`));
  const kept = new Set([sbom.metadata.component['bom-ref'], ...components.map((component) => component['bom-ref'])]);
  return {
    ...sbom,
    metadata: { ...sbom.metadata, component: { ...sbom.metadata.component, name, version } },
    components,
    dependencies: sbom.dependencies
      .filter(({ ref }) => kept.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: (dependsOn ?? []).filter((other) => kept.has(other)) })),
  };
}

/** Packages that are shipped and not in a bill of materials. */
export function missingFromSbom(sbom, lock) {
  const listed = new Set(sbom.components.map(({ name, version }) => `${name}@${version}`));
  return [...shippedPackages(lock)].filter((id) => !listed.has(id));
}
