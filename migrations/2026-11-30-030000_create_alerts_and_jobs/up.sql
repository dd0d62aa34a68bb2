-- What needs the operator, and long work that was asked for.
create table alerts (
    id text not null primary key check (length(id) = 36),
    kind text not null,
    subject text not null,
    severity text not null check (severity in ('info', 'warn', 'bad')),
    title text not null,
    consequence text not null,
    link text not null,
    opened_at integer not null,
    updated_at integer not null,
    closed_at integer,
    dismissed_fingerprint text,
    unique (kind, subject)
) strict;

create table jobs (
    id text not null primary key check (length(id) = 36),
    kind text not null,
    title text not null,
    state text not null check (state in ('queued', 'running', 'done', 'failed', 'cancelled')),
    total integer not null check (total >= 0),
    done integer not null check (done >= 0),
    ok integer not null check (ok >= 0),
    failed integer not null check (failed >= 0),
    items text not null check (json_valid(items) and json_type(items) = 'array'),
    started_at integer not null,
    finished_at integer,
    report text check (json_valid(report))
) strict;

create index jobs_started_at on jobs (started_at);

pragma user_version = 12;
