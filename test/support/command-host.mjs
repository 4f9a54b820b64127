// Runs commands one after the other, so that what they all import is loaded once. The command itself runs from its first line on
// each time, with the settings, arguments and folder that it is given. See shared-server.mjs.
import { setMaxListeners } from 'node:events';
import { pathToFileURL } from 'node:url';

const [, , main] = process.argv;
let runs = 0;
setMaxListeners(0, process, process.stdout, process.stderr);

/** All that a stream gets while `work` runs. */
async function captured(work) {
  const said = { stdout: '', stderr: '' };
  const streams = Object.keys(said).map((name) => [name, process[name], process[name].write]);
  for (const [name, stream] of streams) {
    stream.write = (text, encoding, done = encoding) => {
      said[name] += String(text);
      if (typeof done === 'function') done();
      return true;
    };
  }
  try {
    await work();
  } finally {
    for (const [, stream, write] of streams) stream.write = write;
  }
  return said;
}

process.on('message', async ({ args, settings, folder }) => {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, settings);
  process.chdir(folder);
  process.argv = [process.argv[0], main, ...args];
  process.exitCode = undefined;
  const said = await captured(() => import(`${pathToFileURL(main)}?run=${(runs += 1)}`));
  process.send({ code: process.exitCode ?? 0, ...said });
});
process.on('disconnect', () => process.exit());
