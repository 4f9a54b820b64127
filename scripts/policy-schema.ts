/** Writes examples/policies/policy.schema.json, which editors read. Run after a change of the format: `npx tsx scripts/policy-schema.ts`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { policyJsonSchema } from '../src/core/policy-file/index.js';

const target = fileURLToPath(new URL('../examples/policies/policy.schema.json', import.meta.url));
writeFileSync(target, await format(JSON.stringify(policyJsonSchema()), { parser: 'json', printWidth: 120 }));
