import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';
import { wordsFromView } from './scripts/eslint/words-from-view.js';

const nodeBuiltins = {
  group: ['node:*', 'fs', 'path', 'os', 'net', 'http', 'https', 'crypto', 'child_process', 'timers/*'],
  message: 'Workflows and the policy core know no I/O and no clock: take data in, give decisions out.',
};

/** What is printable is decided in src/core/text alone: elsewhere a type could be claimed that no function gave. */
const noClaim = {
  selector: 'TSAsExpression[typeAnnotation.typeName.name="Printable"]',
  message: 'Make it printable with src/core/text/printable.ts instead of claiming it.',
};

export default tseslint.config(
  { ignores: ['dist*/', 'node_modules/', 'coverage/'] },
  eslint.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    // The pure core: imports nothing but itself, reads no clock.
    files: ['src/core/policy/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [nodeBuiltins, { group: ['../*', '!../contract.js', '!../bounds.js', '!./*'] }] },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time comes in as a value.' },
        { object: 'Math', property: 'random', message: 'Randomness comes in as a value.' },
      ],
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'process', 'performance'],
    },
  },
  {
    files: ['workflows/**'],
    rules: { 'no-restricted-imports': ['error', { patterns: [nodeBuiltins] }] },
  },
  {
    // HTTP lives in one place.
    files: ['src/**', 'activities/**', 'workflows/**'],
    // Receivers of notifications and Temporal's server are other parties, and never see the vendor's key.
    ignores: [
      'src/adapters/vendor/**',
      'src/engines/notify/post.ts',
      'src/adapters/temporal/answering.ts',
      'src/core/policy/**',
      'workflows/**',
    ],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'got', message: 'HTTP to the vendor lives in src/adapters/vendor alone.' }], patterns: [] },
      ],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/core/text/**'],
    rules: { 'no-restricted-syntax': ['error', noClaim] },
  },
  {
    // What is printed passes src/cli/output.ts, which makes text from outside printable.
    files: ['src/**'],
    ignores: [
      'src/cli/output.ts',
      'src/cli/paged-output.ts',
      'src/cli/program.ts',
      'src/platform/tracing/sdk.ts',
      'src/core/text/**',
    ],
    plugins: { curfew: { rules: { 'words-from-view': wordsFromView } } },
    rules: {
      'curfew/words-from-view': 'error',
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        noClaim,
        {
          selector: 'CallExpression[callee.property.name="write"][callee.object.property.name=/^std(out|err)$/]',
          message: 'Print with Output (src/cli/output.ts): it makes text from outside printable.',
        },
        {
          selector: 'ImportDeclaration[source.value="log-update"]',
          message: 'Redraw with Output (src/cli/output.ts): it makes text from outside printable.',
        },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      ...tseslint.configs.disableTypeChecked.languageOptions,
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly' },
    },
  },
);
