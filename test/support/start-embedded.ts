// Run as a process of its own: starts the embedded server of a home, prints its process id, and stays.
import { startEmbeddedServer } from '../../src/adapters/temporal/embedded.js';

const [home = '', binary = ''] = process.argv.slice(2);
const server = await startEmbeddedServer({ home, binary, env: process.env, searchAttributes: {} });
console.log(JSON.stringify({ pid: server.pid, address: server.address, started: server.started }));
setInterval(() => {}, 1_000);
