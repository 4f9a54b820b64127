import { describe, it } from '@jest/globals';
import { RuleTester } from 'eslint';
import { wordsFromView } from '../../scripts/eslint/words-from-view.js';

RuleTester.describe = describe;
RuleTester.it = it;

const captured = [{ messageId: 'captured' }];

new RuleTester().run('words-from-view', wordsFromView, {
  valid: [
    'import { words } from "./words.js"; function f(out, name) { out.result({}, name, (view) => words(view)); }',
    'const PREFIX = "x"; function f(out, name) { out.show({ name }, ({ name }) => PREFIX + name + String(1)); }',
    'function f(out, name) { out.result({ name }, null, words); }',
    'function f(map, name) { map.result(1, 2, () => name); }',
  ],
  invalid: [
    { code: 'function f(out, name) { out.result({}, null, () => name); }', errors: captured },
    { code: 'function f(out, a, name) { out.show(a, (view) => `${view}${name}`); }', errors: captured },
    {
      code: 'function f(context, name) { context.out.page.redraw(1, function () { return name; }); }',
      errors: captured,
    },
    {
      code: 'function f(name) { createOutput(false).result({}, 1, (view) => [view].map((one) => one + name)); }',
      errors: captured,
    },
  ],
});
