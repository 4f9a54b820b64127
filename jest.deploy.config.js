import base, { deployFolders } from './jest.config.js';

/** @type {import('jest').Config} */
export default {
  ...base,
  testMatch: deployFolders.map((folder) => `<rootDir>/${folder}/**/*.test.ts`),
  testPathIgnorePatterns: ['/node_modules/'],
};
