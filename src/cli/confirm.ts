import { terminalText } from '../core/text/printable.js';
import { createInterface } from 'node:readline/promises';

/** Whether a person can be asked: one who reads stderr and types. */
export const someoneIsThere = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** Asks a person on the terminal. @returns what was typed, without blanks around it; empty when the person left */
export async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const gone = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
    return (await Promise.race([terminal.question(terminalText(question)), gone])).trim();
  } finally {
    terminal.close();
  }
}

export const isYes = (answer: string): boolean => /^(y|yes)$/i.test(answer);
