import { once } from 'node:events';
import { createServer } from 'node:http';
import { tsImport } from 'tsx/esm/api';

/** What `shared.ts` asks for, each made when the first suite asks, and once. */
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

async function serve() {
  const made = new Map();
  const server = createServer((request, response) => {
    const make = MAKERS[request.url];
    if (!made.has(request.url)) made.set(request.url, make());
    made.get(request.url).then(
      ({ answer }) => response.end(JSON.stringify(answer)),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.env.TEST_SHARED_URL = `http://127.0.0.1:${server.address().port}`;
  return async () => {
    server.close();
    server.closeAllConnections();
    for (const { value } of await Promise.allSettled(made.values())) await value?.stop();
  };
}

let stop;

/** Jest calls it before all suites and after them, in the process that starts the workers. */
export default async () => {
  if (stop === undefined) stop = await serve();
  else await stop();
};
