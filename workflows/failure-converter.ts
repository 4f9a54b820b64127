import { DefaultFailureConverter, type PayloadConverter } from '@temporalio/common';

type Failure = ReturnType<DefaultFailureConverter['errorToFailure']>;
type Context = Parameters<DefaultFailureConverter['errorToFailure']>[2];

/**
 * Keeps encoded what came encoded. Where payloads are encrypted, an activity's failure reaches the workflow with its message
 * in a payload; the SDK (1.24) would send it on with the message in the clear beside it.
 *
 * Failures that a workflow makes itself hold fixed texts alone. So they need no encoding, and one bundle serves with and
 * without encryption.
 */
class PassingOn extends DefaultFailureConverter {
  override errorToFailure(error: unknown, payloads: PayloadConverter, context?: Context): Failure {
    const failure = super.errorToFailure(error, payloads, context);
    if (failure.encodedAttributes == null) return failure;
    const { message, stackTrace } = failure;
    return {
      ...failure,
      message: 'Encoded failure',
      stackTrace: '',
      encodedAttributes: payloads.toPayload({ message, stack_trace: stackTrace }, context),
    };
  }
}

export const failureConverter = new PassingOn();
