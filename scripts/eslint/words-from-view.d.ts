import type { Rule } from 'eslint';

export declare const wordsFromView: Rule.RuleModule;
