/**
 * A proxy as a process of its own: `proxy-process.ts <options as JSON>`. It says where it listens, then all that it is told,
 * one JSON value a line. It ends with its standard input.
 */
import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyOptions, ToldProxy } from './proxy.js';

const {
  names,
  credential,
  answer,
  connectDelayMs = 0,
  tunnelDelayMs = 0,
} = JSON.parse(process.argv[2] ?? '{}') as ProxyOptions;
const say = (told: ToldProxy | { port: number }): void => void process.stdout.write(`${JSON.stringify(told)}\n`);
const isKnown = (header: string | undefined): boolean =>
  credential === undefined || header === `Basic ${Buffer.from(credential).toString('base64')}`;

const server = createServer((asked, answered) => {
  const { host, pathname, search } = new URL(asked.url ?? '');
  const port = names[host];
  say({ method: asked.method ?? '', target: asked.url ?? '', status: port === undefined ? 502 : 200 });
  if (!isKnown(asked.headers['proxy-authorization'])) return void answered.writeHead(407).end();
  const { 'proxy-authorization': _own, ...headers } = asked.headers;
  const onward = httpRequest(
    { host: '127.0.0.1', port, method: asked.method, path: pathname + search, headers },
    (response) => {
      answered.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answered);
    },
  );
  onward.on('error', () => answered.destroy());
  asked.pipe(onward);
});

server.on('connect', (asked, socket) => {
  void (async () => {
    socket.on('error', () => {});
    const port = names[asked.url ?? ''];
    const status = answer ?? (!isKnown(asked.headers['proxy-authorization']) ? 407 : port === undefined ? 502 : 200);
    say({ method: 'CONNECT', target: asked.url ?? '', status });
    await sleep(connectDelayMs);
    if (status !== 200 || port === undefined) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const server = connect(port, '127.0.0.1');
    server.on('error', () => socket.destroy());
    socket.on('close', () => server.destroy());
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    await sleep(tunnelDelayMs);
    socket.on('data', (bytes: Buffer) => say({ bytes: bytes.toString('latin1') }));
    socket.pipe(server).pipe(socket);
  })();
});

server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }));
process.stdin.on('end', () => process.exit()).resume();
