import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { printableLogLine } from '../src/platform/telemetry.js';

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

/** What a process with our logger writes to stderr. */
function logged(pretty: boolean, call: string): string {
  const telemetry = fileURLToPath(new URL('../src/platform/telemetry.ts', import.meta.url));
  const script = `const { createLogger } = await import(${JSON.stringify(telemetry)}); const log = createLogger('info', ${pretty}); ${call}`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type', 'module', '--eval', script],
    { encoding: 'utf8' },
  );
  expect(status).toBe(0);
  return stderr;
}

const FAILURE = `Object.assign(new TypeError('no \\u001b[2Jorder', { cause: new Error('its cause') }), { code: 'E1' })`;

it('a line for people has no JSON in it', () => {
  const words = logged(true, `log.info({ plan: 'b-1', counts: { sent: 3 }, afterMs: 2_000 }, 'bulk job');`);
  expect(words).toMatch(/INFO.*: bulk job plan=b-1 counts.sent=3 after=2s\n$/);
});

it.each(['err', 'error', 'reason'])('an error is named in the log, whatever field it stands in: %s', (field) => {
  const line = logged(false, `log.warn({ ${field}: ${FAILURE}, attempt: 2 }, 'Failed to activate');`);
  expect(JSON.parse(line)).toMatchObject({
    msg: 'Failed to activate',
    attempt: 2,
    [field]: {
      type: 'TypeError',
      message: expect.stringContaining('order: its cause') as unknown,
      code: 'E1',
      stack: expect.stringContaining('\n    at ') as unknown,
    },
  });
  const words = logged(true, `log.warn({ ${field}: ${FAILURE} }, 'Failed to activate');`);
  expect(words).toContain('no [2Jorder');
  expect(words).toContain('its cause');
  expect(words).not.toContain('{');
});
