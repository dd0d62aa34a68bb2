-- Settings that differ from their default, the wrapped data keys, and counters that live forever.
create table settings (
    key text not null primary key,
    value text check (json_valid(value)),
    secret text check (secret glob 'nrx1.*'),
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    check ((value is null) <> (secret is null))
) strict;

create table data_keys (
    id integer primary key,
    wrapped blob not null,
    created_at integer not null,
    retired_at integer
) strict;

create table counters (
    name text not null primary key,
    value integer not null
) strict;

pragma user_version = 5;
