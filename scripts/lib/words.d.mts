export interface Phrase {
  readonly find: RegExp;
  readonly instead: string;
  readonly bad: string;
  readonly good: string;
}
export declare const PHRASES: readonly Phrase[];
export declare function phrasesIn(text: string): { at: number; found: string; instead: string }[];
