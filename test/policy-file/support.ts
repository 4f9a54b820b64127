import { PolicyFileError, readPolicyFile, type Problem } from '../../src/core/policy-file/index.js';

/** The clock of these tests. */
export const NOW = Date.UTC(2026, 10, 22);

export const read = (text: string) => readPolicyFile(text, 'curfew.yaml', NOW);

/** The error that a file gives. @throws when the file is fine */
export function refusal(text: string): PolicyFileError {
  try {
    read(text);
  } catch (error) {
    if (error instanceof PolicyFileError) return error;
    throw error;
  }
  throw new Error('This file should have been refused.');
}

export const problems = (text: string): readonly Problem[] => refusal(text).problems;

/** `12: message | suggestion` */
export const line = ({ line, message, suggestion }: Problem): string =>
  `${line}: ${message}${suggestion === null ? '' : ` | ${suggestion}`}`;

/** A file with one policy; each argument takes the place of one of its lines. */
export function fileWith({ match = "{ agents: ['*'] }", limits = '{ max_runtime: 45m }', more = '' }): string {
  return `version: 1
policies:
  - name: a-policy
    match: ${match}
    limits: ${limits}
    ${more}
`;
}
