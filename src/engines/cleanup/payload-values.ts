import type { ScheduleClient } from '@temporalio/client';
import type { Payload } from '@temporalio/common';

/** What the client itself would send for a value: through the converter, and the codecs after it. */
export async function encodeValue(client: ScheduleClient, value: unknown): Promise<Payload> {
  const { payloadConverter, payloadCodecs } = client.options.loadedDataConverter;
  let payload = payloadConverter.toPayload(value);
  for (const codec of payloadCodecs) [payload = payload] = await codec.encode([payload]);
  return payload;
}

/** @throws {UserError} when its key is not there */
export async function decodeValue(client: ScheduleClient, sent: Payload): Promise<unknown> {
  const { payloadConverter, payloadCodecs } = client.options.loadedDataConverter;
  let payload = sent;
  for (const codec of payloadCodecs.toReversed()) [payload = payload] = await codec.decode([payload]);
  return payloadConverter.fromPayload(payload);
}
