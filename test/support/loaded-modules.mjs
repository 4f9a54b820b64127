// Preloaded into a process (`node --import`): writes what it loads into the file LOADED_MODULES, a URL or path a line.
import { appendFileSync } from 'node:fs';
import { createRequire, register } from 'node:module';

const note = (lines) => appendFileSync(process.env.LOADED_MODULES, lines.map((line) => `${line}\n`).join(''));

const hooks = `
  import { appendFileSync } from 'node:fs';
  export async function load(url, context, nextLoad) {
    appendFileSync(process.env.LOADED_MODULES, url + '\\n');
    return nextLoad(url, context);
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
// What modules of the older kind have loaded themselves, the hooks do not see.
process.on('exit', () => note(Object.keys(createRequire(import.meta.url).cache)));
