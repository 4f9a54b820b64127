import type { Payload } from '@temporalio/common';
import protobuf from 'protobufjs';

/**
 * `temporal.api.common.v1.Payload`, as far as payloads reach a codec: data and metadata together, so that both are
 * encrypted. The same bytes as in Temporal's samples, so other languages' codecs can be made to read them.
 */
const message = new protobuf.Type('Payload')
  .add(new protobuf.MapField('metadata', 1, 'string', 'bytes'))
  .add(new protobuf.Field('data', 2, 'bytes'));

export const packPayload = ({ metadata, data }: Payload): Uint8Array => message.encode({ metadata, data }).finish();

/** @throws {Error} if the bytes are no payload */
export function unpackPayload(bytes: Uint8Array): Payload {
  const { metadata, data } = message.decode(bytes) as unknown as Required<Payload>;
  return { metadata, data };
}
