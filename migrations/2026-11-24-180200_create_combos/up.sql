-- Names a client may ask for: combos with their entries, and aliases.
create table combos (
    id text not null primary key check (length(id) = 36),
    name text not null collate nocase unique check (
        length(name) between 1 and 64 and name not glob '*[^A-Za-z0-9._-]*'
    ),
    description text,
    enabled integer not null default 1 check (enabled in (0, 1)),
    strategy text not null check (strategy in ('fallback', 'round-robin', 'weighted', 'tier')),
    tier_inner text check (tier_inner in ('fallback', 'round-robin', 'weighted')),
    sticky_enabled integer check (sticky_enabled in (0, 1)),
    sticky_ttl_s integer not null default 3600 check (sticky_ttl_s >= 0),
    rr_sticky_count integer not null default 1 check (rr_sticky_count >= 1),
    max_attempts integer not null default 12 check (max_attempts >= 1),
    deadline_ms integer check (deadline_ms > 0),
    fallback_on_policy integer not null default 0 check (fallback_on_policy in (0, 1)),
    capability_filter integer not null default 1 check (capability_filter in (0, 1)),
    report_real_model integer check (report_real_model in (0, 1)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file'))
) strict;

create table combo_entries (
    id text not null primary key check (length(id) = 36),
    combo_id text not null references combos (id) on delete cascade,
    position integer not null check (position >= 0),
    target text not null check (length(target) > 0),
    weight integer not null default 1 check (weight between 0 and 1000),
    tier text check (tier in ('subscription', 'cheap', 'paid', 'free')),
    enabled integer not null default 1 check (enabled in (0, 1)),
    account_id text references accounts (id) on delete set null,
    tags text not null default '[]' check (json_valid(tags) and json_type(tags) = 'array'),
    unique (combo_id, position)
) strict;

-- Deleting an account looks for the entries pinned to it.
create index combo_entries_account_id on combo_entries (account_id);

create table aliases (
    alias text not null primary key check (length(alias) > 0),
    target text not null check (length(target) > 0),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file'))
) strict;

pragma user_version = 3;
