import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

/** What suites share is made when the first one asks, and once. */
const MAKERS = {
  '/postgres': async () => {
    const { startPostgres } = await tsImport('./postgres.ts', import.meta.url);
    const { port, password, stop } = await startPostgres();
    return { answer: { port, password }, stop };
  },
  '/bundle': async () => {
    const { bundleWorkflows } = await tsImport('./bundle.ts', import.meta.url);
    return { answer: await bundleWorkflows(), stop: () => undefined };
  },
};

const HOST = fileURLToPath(new URL('./command-host.mjs', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
/** More are only kept while they are needed at once. */
const IDLE_HOSTS = 4;

/** Runs `curfew` commands, each in a host of its own for as long as it runs. */
function commandHosts() {
  const idle = [];
  return {
    async run(command, givenUp) {
      const host = idle.pop() ?? fork(HOST, [MAIN], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      givenUp.addEventListener('abort', () => host.kill('SIGKILL'));
      host.send(command);
      const ended = once(host, 'exit').then(([code]) =>
        Promise.reject(new Error(`The command ended its host: ${code}.`)),
      );
      ended.catch(() => undefined);
      const [answer] = await Promise.race([once(host, 'message'), ended]);
      if (idle.length < IDLE_HOSTS) idle.push(host);
      else host.disconnect();
      return answer;
    },
    close: () => idle.splice(0).forEach((host) => host.disconnect()),
  };
}

/**
 * Ports that an embedded Temporal takes where they are free. A server that is started again wants the port that it had, and
 * with one that every suite wants, another suite's server would have it by then.
 */
const WANTED_BY_ALL = [7233, 8233];

/** @returns for each port the server that keeps it, or null where another program has it already */
const keepFromAll = () =>
  Promise.all(
    WANTED_BY_ALL.map((port) => {
      const server = createTcpServer().listen(port, '127.0.0.1');
      return once(server, 'listening').then(
        () => server,
        () => null,
      );
    }),
  );

async function serve() {
  const kept = await keepFromAll();
  const made = new Map();
  const hosts = commandHosts();
  const answerTo = async (request, response) => {
    if (request.url === '/command') {
      const givenUp = new globalThis.AbortController();
      response.on('close', () => response.writableFinished || givenUp.abort());
      return hosts.run(JSON.parse(await text(request)), givenUp.signal);
    }
    if (!made.has(request.url)) made.set(request.url, MAKERS[request.url]());
    return (await made.get(request.url)).answer;
  };
  const server = createServer((request, response) => {
    answerTo(request, response).then(
      (answer) => response.end(JSON.stringify(answer)),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.env.TEST_SHARED_URL = `http://127.0.0.1:${server.address().port}`;
  return async () => {
    for (const one of kept) one?.close();
    server.close();
    server.closeAllConnections();
    hosts.close();
    for (const { value } of await Promise.allSettled(made.values())) await value?.stop();
  };
}

let stop;

/** Jest calls it before all suites and after them, in the process that starts the workers. */
export default async () => {
  if (stop === undefined) stop = await serve();
  else await stop();
};
