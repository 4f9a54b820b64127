export { PolicyFileError, problemLines, type Problem } from './problem.js';
export { readPolicyFile, type ReadPolicyFile } from './read.js';
export { policyJsonSchema } from './schema.js';
