/**
 * Folders of tests that need more than `npm run demo` does: Prometheus, PostgreSQL's own programs, Go, Temporal's server on
 * PostgreSQL. `npm run test:deploy` runs them, and `npm test` all others.
 */
export const deployFolders = ['test/deploy', 'test/cluster'];

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...deployFolders.map((folder) => `<rootDir>/${folder}/`)],
  setupFiles: ['<rootDir>/test/support/plain-output.ts', '<rootDir>/test/support/property-seed.ts'],
  // One server of what several suites use; the second call stops it.
  globalSetup: '<rootDir>/test/support/shared-server.mjs',
  globalTeardown: '<rootDir>/test/support/shared-server.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  // A hang limit, not a measure of speed: shared machines are slow machines.
  testTimeout: 180_000,
  testSequencer: '<rootDir>/test/support/longest-first.mjs',
  // Twice the cores it is meant for: the longest suites mostly wait.
  maxWorkers: 4,
};
