import { describe, expect, it } from '@jest/globals';
import { ApplicationFailure, DefaultFailureConverter, defaultPayloadConverter as payloads } from '@temporalio/common';
import { failureConverter } from '../../workflows/failure-converter.js';

const activity = new DefaultFailureConverter({ encodeCommonAttributes: true });
/** As it reaches a workflow from an activity of a worker that encrypts. */
const received = (message: string): Error =>
  failureConverter.failureToError(activity.errorToFailure(ApplicationFailure.create({ message }), payloads), payloads);

describe('a failure that passes through a workflow', () => {
  it('that came encoded is read in words, and goes on encoded', () => {
    const error = received('sess_1 is gone');
    expect(error.message).toBe('sess_1 is gone');
    const sent = failureConverter.errorToFailure(error, payloads);
    expect([sent.message, sent.stackTrace]).toEqual(['Encoded failure', '']);
    expect(failureConverter.failureToError(sent, payloads).message).toBe('sess_1 is gone');
  });

  it('stays encoded as the cause of another', () => {
    const outer = ApplicationFailure.create({ message: 'a fixed text', cause: received('sess_1 is gone') });
    const sent = failureConverter.errorToFailure(outer, payloads);
    expect(sent.message).toBe('a fixed text');
    expect(sent.cause?.message).toBe('Encoded failure');
  });

  it('that came in the clear goes on so, where nothing is encrypted', () => {
    const plain = new DefaultFailureConverter().errorToFailure(ApplicationFailure.create({ message: 'so' }), payloads);
    const sent = failureConverter.errorToFailure(failureConverter.failureToError(plain, payloads), payloads);
    expect([sent.message, sent.encodedAttributes ?? null]).toEqual(['so', null]);
  });

  it('would go on in the clear by the SDK’s own converter, which is why there is another', () => {
    expect(new DefaultFailureConverter().errorToFailure(received('sess_1 is gone'), payloads).message).toBe(
      'sess_1 is gone',
    );
  });
});
