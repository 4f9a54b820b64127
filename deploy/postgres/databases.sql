-- A role and its databases for each of the two users of PostgreSQL: Temporal and Curfew's ledger. A role owns its
-- databases, can't enter the other's, and may nothing else. For psql, as superuser; run it as often as you like.
-- The variable `secrets` names the folder with the passwords.
\set ON_ERROR_STOP on
\set temporal_password `cat :secrets/temporal-database-password`
\set curfew_password `cat :secrets/curfew-database-password`

select format('create role %I login', name)
from unnest(array['temporal', 'curfew']) as name
where not exists (select from pg_roles where rolname = name) \gexec

-- Set each time, so that a new password takes hold.
alter role temporal password :'temporal_password';
alter role curfew password :'curfew_password';

select format('create database %I owner %I', name, owner)
from (values ('temporal', 'temporal'), ('temporal_visibility', 'temporal'), ('curfew', 'curfew')) as wanted (name, owner)
where not exists (select from pg_database where datname = name) \gexec

revoke all on database temporal, temporal_visibility, curfew from public;
