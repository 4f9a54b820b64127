// CommonJS, because the SDK loads it with `require`.
// eslint-disable-next-line @typescript-eslint/no-require-imports
import common = require('@temporalio/common');

/** For failures of activities, where payloads are encrypted: messages and stack traces become a payload. */
export = { failureConverter: new common.DefaultFailureConverter({ encodeCommonAttributes: true }) };
