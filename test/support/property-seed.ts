import fc from 'fast-check';

// The same cases in every run, so that a failure is the fault of the change at hand. Others: PROPERTY_SEED=$RANDOM npm test.
fc.configureGlobal({ seed: Number(process.env['PROPERTY_SEED'] ?? 1) });
