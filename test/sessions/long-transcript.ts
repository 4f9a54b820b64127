/** The answer to a read of `sess_1`, of about so many bytes, in pieces. */
export function longTranscript(
  bytes: number,
  messageBytes: number,
): {
  readonly pieces: Iterable<string>;
  /** Id of the last user message; when all pieces have been taken. */
  readonly last: () => string;
} {
  const phrase = 'a "quoted" word\\n, \u00e9 ';
  const text = phrase.repeat(Math.ceil(messageBytes / phrase.length));
  let last = '';
  function* pieces(): Generator<string> {
    yield '{"queue_position":null,"session":{"messages":[';
    let sent = 0;
    for (let count = 1; sent < bytes; count += 1) {
      const role = count % 3 === 1 ? 'user' : 'assistant';
      if (role === 'user') last = `m${count}`;
      const one = JSON.stringify({
        parts: [{ text }, { input: { deep: [[1, null], { text: '' }] } }],
        ...{ id: `m${count}`, role, created_at: new Date(Date.UTC(2026, 6, 23) + count).toISOString() },
      });
      sent += one.length;
      yield count === 1 ? one : `,${one}`;
    }
    yield '],"id":"sess_1","state":"processing","usage":{"credit_cost":3}}}';
  }
  return { pieces: pieces(), last: () => last };
}
