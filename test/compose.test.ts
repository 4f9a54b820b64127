import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

interface Service {
  readonly image?: string;
  readonly ports?: readonly unknown[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test?: readonly string[] };
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const read = (name: string): string => readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8');
const text = read('docker-compose.yml');
const { services, volumes } = parse(text) as ComposeFile;

describe('docker-compose.yml', () => {
  it('has the parts that a worker on this machine needs, and nothing else', () => {
    expect(Object.keys(services).sort()).toEqual(['postgres', 'temporal']);
  });

  it.each(Object.entries(services))('publishes the ports of %s on 127.0.0.1 alone', (_name, { ports }) => {
    expect(ports?.length).toBeGreaterThan(0);
    for (const port of ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it.each(Object.entries(services))('pins the image of %s to a full version', (_name, { image }) => {
    expect(image).toMatch(/:\d+\.\d+(\.\d+)?(-[\w.]+)?$/);
  });

  it.each(Object.entries(services))('checks the health of %s without a shell', (_name, { healthcheck }) => {
    expect(healthcheck?.test?.[0]).toBe('CMD');
    expect(healthcheck?.test?.length).toBeGreaterThan(1);
  });

  it.each(Object.entries(services))('keeps the data of %s in a volume that is declared', (_name, service) => {
    const mounted = (service.volumes ?? []).map((volume) => volume.split(':')[0]);
    expect(mounted.length).toBeGreaterThan(0);
    expect(Object.keys(volumes)).toEqual(expect.arrayContaining(mounted));
  });

  it('takes its one password from a variable, with a default that guards nothing', () => {
    const secrets = Object.values(services).flatMap(({ environment = {} }) =>
      Object.entries(environment).filter(([name]) => /PASSWORD|KEY|TOKEN|SECRET/.test(name)),
    );
    expect(secrets).toEqual([['POSTGRES_PASSWORD', '${CURFEW_POSTGRES_PASSWORD:-curfew-development}']]);
  });

  it('says how to reach both parts, and says it right', () => {
    const said = /CURFEW_DATABASE_URL=(\S+)/.exec(text)?.[1] ?? '';
    const { username, password, host, pathname } = new URL(said);
    expect(`${username}:${password}`).toBe('curfew:curfew-development');
    expect(services['postgres']?.ports).toContain(`${host}:5432`);
    expect(pathname).toBe(`/${services['postgres']?.environment?.['POSTGRES_DB']}`);
    const temporal = /TEMPORAL_ADDRESS=(\S+)/.exec(text)?.[1] ?? '';
    expect(services['temporal']?.ports).toContain(`${temporal}:7233`);
  });
});
