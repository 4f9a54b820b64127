// Our own rules for docker-compose.yml, on the model that the Compose library has read from it (JSON on standard input).
// Prints one line a rule, and ends with "N passed, N failed". Its argument is a folder of secrets as deploy/make-secrets.sh
// makes it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

const model = JSON.parse(readFileSync(0, 'utf8'));
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const services = Object.entries(model.services);
const isJob = ({ restart }) => restart?.startsWith('on-failure') ?? false;
const daemons = services.filter(([, service]) => !isJob(service));
const named = (entries) => entries.map(([name]) => name);

/** Each rule gives what breaks it. */
const rules = {
  'every published port is on 127.0.0.1': () =>
    services.flatMap(([name, { ports = [] }]) =>
      ports.filter(({ host_ip: ip }) => ip !== '127.0.0.1').map(({ target }) => `${name}:${target}`),
    ),
  'no secret stands in the file': () => [
    ...services.flatMap(([name, { environment = {} }]) =>
      Object.entries(environment)
        .filter(([key, value]) => /PASSWORD|PWD|KEY|TOKEN|SECRET|DATABASE_URL/.test(key) && !isFile(key, value))
        .map(([key]) => `${name}: ${key}`),
    ),
    ...(/:\/\/[^/\s:@]+:[^/\s:@]+@/.test(read('docker-compose.yml')) ? ['a URL with a password'] : []),
  ],
  'the secrets are the files that deploy/make-secrets.sh makes, and each is used': () => {
    const made = readdirSync(process.argv[2]);
    const declared = Object.entries(model.secrets).map(([name, { file }]) => (basename(file) === name ? name : file));
    const used = new Set(services.flatMap(([, { secrets = [] }]) => secrets.map(({ source }) => source)));
    const differ = (some, others) => some.filter((name) => !others.includes(name));
    return [...differ(made, declared), ...differ(declared, made), ...differ(declared, [...used])];
  },
  'every secret that a setting names is given to its service': () =>
    services.flatMap(([name, { environment = {}, secrets = [] }]) =>
      Object.values(environment)
        .map((value) => /^\/run\/secrets\/(.+)$/.exec(value)?.[1])
        .filter((secret) => secret !== undefined && !secrets.some(({ source }) => source === secret))
        .map((secret) => `${name}: ${secret}`),
    ),
  'every image has a full version': () =>
    services
      .filter(([, { image = '' }]) => !/:v?\d+\.\d+(\.\d+)?(-[\w.]+)?$/.test(image))
      .map(([name, { image }]) => `${name}: ${image}`),
  'so has every base image of the Dockerfile': () =>
    [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)]
      .map(([, image]) => image)
      .filter((image) => !/:\d+\.\d+\.\d+(-[\w.-]+)?$/.test(image)),
  'every service restarts unless stopped, or is a job': () =>
    named(daemons.filter(([, { restart }]) => restart !== 'unless-stopped')),
  'every service but the jobs has a health check without a shell': () =>
    named(
      daemons.filter(([, { build, healthcheck }]) =>
        build ? !/^HEALTHCHECK/m.test(read('Dockerfile')) : healthcheck?.test[0] !== 'CMD',
      ),
    ),
  'whoever depends on a service waits for its health, and on a job for its end': () =>
    services.flatMap(([name, { depends_on: needs = {} }]) =>
      Object.entries(needs)
        .filter(([needed, { condition }]) => condition !== (isJob(model.services[needed]) ? ENDED : HEALTHY))
        .map(([needed]) => `${name}: ${needed}`),
    ),
  'no service keeps a right of root or can gain one': () =>
    named(
      services.filter(
        ([, { cap_drop: dropped = [], cap_add: added = [], security_opt: options = [], privileged }]) =>
          !dropped.includes('ALL') || added.length > 0 || !options.includes('no-new-privileges:true') || privileged,
      ),
    ),
  "every service has a memory limit, and all but Temporal's UI a read-only root": () =>
    named(services.filter(([name, service]) => !service.mem_limit || (!service.read_only && name !== 'temporal-ui'))),
  'Prometheus and Grafana share no network with Temporal or PostgreSQL': () => {
    const networksOf = (name) => Object.keys(model.services[name].networks);
    const guarded = ['temporal', 'postgres'].flatMap(networksOf);
    return ['prometheus', 'grafana'].filter((name) => networksOf(name).some((network) => guarded.includes(network)));
  },
  'every mounted file is there': () =>
    services.flatMap(([name, { volumes = [], env_file: files = [] }]) =>
      [...volumes.filter(({ type }) => type === 'bind').map(({ source }) => source), ...files.map(({ path }) => path)]
        .filter((path) => !existsSync(path))
        .map((path) => `${name}: ${basename(path)}`),
    ),
  "Temporal's server and tools are of the release that deploy/cluster.sh runs": () => {
    const release = /TEMPORAL_VERSION=(\S+)/.exec(read('deploy/cluster.sh'))?.[1];
    return services
      .filter(([, { image = '' }]) => /^temporalio\/(server|admin-tools):/.test(image))
      .filter(([, { image }]) => !image.endsWith(`:${release}`))
      .map(([name, { image }]) => `${name}: ${image}`);
  },
  "the server's dynamic configuration lies where it is looked for": () => {
    const { environment, volumes } = model.services.temporal;
    const path = environment.DYNAMIC_CONFIG_FILE_PATH;
    const mount = volumes.find(({ target }) => path.startsWith(`${target}/`));
    return mount && existsSync(path.replace(mount.target, mount.source)) ? [] : [path];
  },
  'what takes orders without a password and can be reached by a browser takes none': () => [
    ...services
      .filter(([, { image = '' }]) => image.startsWith('temporalio/ui:'))
      .filter(([, { environment }]) => environment?.TEMPORAL_DISABLE_WRITE_ACTIONS !== 'true')
      .map(([name]) => `${name}: write actions`),
    ...(/^frontend\.httpAllowedHosts:\n {2}- value: \['none\.invalid'\]$/m.test(
      read('deploy/temporal/dynamic-config.yaml'),
    )
      ? []
      : ["the HTTP API of Temporal's server"]),
  ],
  'Prometheus scrapes what there is': () => {
    const targets = read('deploy/prometheus/prometheus.yml').match(/[\w-]+(?=:\d+[\],])/g) ?? [];
    const workers = named(services.filter(([, { build }]) => build));
    return [
      ...targets.filter((host) => !(host in model.services)),
      ...workers.filter((name) => !targets.includes(name)),
    ];
  },
};
const HEALTHY = 'service_healthy';
const ENDED = 'service_completed_successfully';

function isFile(key, value) {
  return key.endsWith('_FILE') && value.startsWith('/run/secrets/');
}

let failed = 0;
for (const [name, broken] of Object.entries(rules)) {
  const by = broken();
  if (by.length > 0) failed += 1;
  console.log(by.length > 0 ? `FAILED  ${name}: ${by.join(', ')}` : `ok      ${name}`);
}
console.log(`${Object.keys(rules).length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
