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
    case 'oversize-body':
      return { ...session, messages: [hugeMessage(fault.megabytes), ...(session.messages ?? [])] };
  }
}

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

const hugeMessage = (megabytes: number) => ({
  id: 'msg_huge',
  role: 'assistant',
  content: 'x'.repeat(Math.round(megabytes * 1024 * 1024)),
  created_at: null,
  creator_id: null,
  parts: [],
});
