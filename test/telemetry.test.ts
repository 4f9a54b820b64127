import { expect, it } from '@jest/globals';
import { printableLogLine } from '../src/telemetry.js';

it('a log for people can be forged by no name and no message; stacks keep their lines', () => {
  const stack = 'Error: bad\nINFO all is well\n    at one (a.js:1:1)\n    at two (b.js:2:2)';
  const err = { type: 'Error', message: 'bad\nINFO all is well\u001b[2J', stack };
  const line = JSON.stringify({
    level: 40,
    msg: 'agent a\nb\u202E',
    agentName: '\u001b[31mred',
    err,
    cases: [{ id: 'x\u0085y' }],
  });
  expect(JSON.parse(printableLogLine(line))).toEqual({
    level: 40,
    msg: 'agent a b',
    agentName: '[31mred',
    err: {
      type: 'Error',
      message: 'bad INFO all is well[2J',
      stack: 'Error: bad INFO all is well\n    at one (a.js:1:1)\n    at two (b.js:2:2)',
    },
    cases: [{ id: 'x y' }],
  });
});
