import type { FormFault } from './fault-schema.js';

/** A session as it goes out; form faults may take fields away or set them to null. */
export type WireSession = Record<string, unknown> & { messages?: object[] };

/** Gives a session on the wire the odd form that the faults ask for. */
export function deform(session: WireSession, faults: readonly FormFault[]): WireSession {
  return faults.reduce(deformOnce, session);
}

function deformOnce(session: WireSession, fault: FormFault): WireSession {
  switch (fault.fault) {
    case 'null-state':
      return { ...session, state: null };
    case 'missing-state':
      return without(session, 'state');
    case 'unknown-state':
      return { ...session, state: fault.state };
    case 'missing-usage':
      return without(session, 'usage');
    case 'null-usage':
      return { ...session, usage: null };
    case 'zoneless-times':
      return mapTimes(session, (time) => time.replace(/Z$/, ''));
    case 'offset-times':
      return mapTimes(session, (time) => time.replace(/Z$/, '000+00:00'));
    case 'null-message-times':
      return mapMessages(session, (message) => ({ ...message, created_at: null }));
    case 'wrong-session-id':
      return { ...session, id: 'sess_ofSomebodyElse' };
    case 'oversize-body': {
      const others = session.messages ?? [];
      if (fault.place === 'before') return { ...session, messages: [hugeMessage(fault.megabytes, null), ...others] };
      // The answer of the turn that runs. Without a time it could be that of one before it, which makes budgets undecided.
      return { ...session, messages: [...others, hugeMessage(fault.megabytes, timeOf(others.at(-1)))] };
    }
    case 'padded':
      return { ...session, padding: paddingOf(fault) };
  }
}

/** A field that no client knows, of about so many bytes on the wire. */
function paddingOf({ kilobytes, with: what }: Extract<FormFault, { fault: 'padded' }>): unknown {
  const bytes = Math.round(kilobytes * 1024);
  switch (what) {
    case 'text':
      return 'x'.repeat(bytes);
    case 'wide-text':
      // One such character, and the whole text takes two bytes for each.
      return `ж${'x'.repeat(bytes - 2)}`;
    case 'values':
      return Array.from({ length: Math.ceil(bytes / '{},'.length) }, () => ({}));
    case 'depth': {
      let value: unknown = [];
      for (let level = 1; level < Math.min(bytes / 2, DEEPEST); level += 1) value = [value];
      return value;
    }
  }
}

/** Deeper, and writing it as JSON fails. */
const DEEPEST = 1_000;

const without = (session: WireSession, field: string): WireSession =>
  Object.fromEntries(Object.entries(session).filter(([name]) => name !== field));

const mapMessages = (session: WireSession, change: (message: object) => object): WireSession => ({
  ...session,
  messages: (session.messages ?? []).map(change),
});

function mapTimes(session: WireSession, change: (time: string) => string): WireSession {
  const changeOf = <T extends object>(holder: T): T =>
    'created_at' in holder && typeof holder.created_at === 'string'
      ? { ...holder, created_at: change(holder.created_at) }
      : holder;
  return mapMessages(changeOf(session), changeOf);
}

/** Of a message, as it goes out. */
const timeOf = (message: object | undefined): string | null =>
  message !== undefined && 'created_at' in message && typeof message.created_at === 'string'
    ? message.created_at
    : null;

const hugeMessage = (megabytes: number, createdAt: string | null) => ({
  id: 'msg_huge',
  role: 'assistant',
  content: 'x'.repeat(Math.round(megabytes * 1024 * 1024)),
  created_at: createdAt,
  creator_id: null,
  parts: [],
});
