-- The administrator's password and the browsers that are signed in with it. A session's id is in its cookie alone: the
-- row holds its hash (SEC-SES-1).
create table auth_state (
    id integer not null primary key check (id = 1),
    password_hash text,
    password_changed_at integer,
    session_gen integer not null default 0
) strict;

create table sessions (
    sid_hash blob not null primary key check (length(sid_hash) = 32),
    created_at integer not null,
    last_seen_at integer not null,
    expires_at integer not null,
    gen integer not null,
    csrf_salt blob not null check (length(csrf_salt) = 16),
    ip text not null,
    ua_hash blob not null check (length(ua_hash) = 32),
    ua_family text not null,
    must_change integer not null default 0 check (must_change in (0, 1)),
    sudo_until integer,
    revoked_at integer
) strict;

create index sessions_last_seen_at on sessions (last_seen_at);

insert into auth_state (id) values (1);

pragma user_version = 10;
