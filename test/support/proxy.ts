import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

export interface ProxyOptions {
  /** `host:port` as it is asked for, and the port on this machine behind it. Nothing else is reached. */
  readonly names: Readonly<Record<string, number>>;
  /** `user:password` that it wants; default it knows everybody. */
  readonly credential?: string;
  /** What it answers to every CONNECT instead of 200. */
  readonly answer?: number;
  /** How long it waits before it answers a CONNECT. */
  readonly connectDelayMs?: number;
  /** How long it then keeps what it is sent. */
  readonly tunnelDelayMs?: number;
}

/** A request, or bytes that went through a tunnel. */
export type ToldProxy =
  { readonly method: string; readonly target: string; readonly status: number } | { readonly bytes: string };

/** A proxy in a process of its own, which ends with this one. */
export interface TestProxy {
  readonly port: number;
  /** All that it was told so far. */
  readonly told: ToldProxy[];
  requests(): string[];
  close(): Promise<void>;
}

export async function startProxy(options: ProxyOptions): Promise<TestProxy> {
  const script = fileURLToPath(new URL('proxy-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const told: ToldProxy[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('The proxy ended.')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as ToldProxy | { port: number };
      if ('port' in said) resolve(said.port);
      else told.push(said);
    });
  });
  return {
    port,
    told,
    requests: () => told.flatMap((one) => ('method' in one ? [`${one.method} ${one.target} ${one.status}`] : [])),
    close: async () => {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
