import { expect, it } from '@jest/globals';
import { unprivilegedOf } from './support/account.js';

const ROOT = 'root:x:0:0:root:/root:/bin/bash';
const DAEMON = 'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin';
const NOBODY = 'nobody:x:65534:65533::/nonexistent:/usr/sbin/nologin';
const POSTGRES = 'postgres:x:104:105::/var/lib/postgresql:/bin/sh';

it.each([
  ['postgres', [ROOT, DAEMON, NOBODY, POSTGRES], { uid: 104, gid: 105 }],
  ['nobody, where there is no postgres', [ROOT, DAEMON, NOBODY], { uid: 65534, gid: 65533 }],
  [
    'another user with a name, where there is neither',
    [ROOT, 'toor:x:0:0::/:/bin/sh', DAEMON, '# none', ''],
    { uid: 1, gid: 1 },
  ],
  ['a mere number, where there is only root', [ROOT], { uid: 65534, gid: 65534 }],
])('PostgreSQL of the tests runs as %s, when root starts it', (_whom, users, account) => {
  expect(unprivilegedOf(users.join('\n'))).toEqual(account);
});
