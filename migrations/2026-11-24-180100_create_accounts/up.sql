-- Accounts: cold configuration, secrets and hot state apart, because they are written by
-- different hands at different rates, and secrets carry their own generation.
create table accounts (
    id text not null primary key check (length(id) = 36),
    provider text not null,
    kind text not null check (
        kind in ('oauth', 'api_key', 'imported', 'service_account', 'none')
    ),
    label text not null collate nocase check (length(label) between 1 and 80),
    email text,
    identity_key text,
    plan text,
    priority integer not null default 1 check (priority between 1 and 999),
    weight integer not null default 1 check (weight between 0 and 1000),
    enabled integer not null default 1 check (enabled in (0, 1)),
    tags text not null default '[]' check (json_valid(tags) and json_type(tags) = 'array'),
    allowed_models text not null default '[]' check (
        json_valid(allowed_models) and json_type(allowed_models) = 'array'
    ),
    excluded_models text not null default '[]' check (
        json_valid(excluded_models) and json_type(excluded_models) = 'array'
    ),
    max_concurrent integer check (max_concurrent >= 1),
    proxy_mode text not null default 'inherit' check (proxy_mode in ('inherit', 'direct', 'proxy')),
    proxy_id text references proxies (id) on delete restrict,
    endpoint text,
    params text not null default '{}' check (json_valid(params) and json_type(params) = 'object'),
    tier text check (tier in ('subscription', 'cheap', 'paid', 'free')),
    min_remaining_percent integer check (min_remaining_percent between 0 and 100),
    allow_overage integer check (allow_overage in (0, 1)),
    refresh_enabled integer not null default 1 check (refresh_enabled in (0, 1)),
    ownership text not null default 'own' check (ownership in ('own', 'copy', 'follow')),
    follow_path text,
    validation text check (validation in ('verified', 'unverified', 'refused')),
    validated_at integer,
    notes text,
    source text,
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    unique (provider, label),
    unique (provider, identity_key)
) strict;

create index accounts_provider_enabled_priority on accounts (provider, enabled, priority);

-- Each secret is `nrx1.…`; the check keeps a plain text out even when a writer is wrong.
create table account_secrets (
    account_id text not null primary key references accounts (id) on delete cascade,
    access_token text check (access_token glob 'nrx1.*'),
    refresh_token text check (refresh_token glob 'nrx1.*'),
    id_token text check (id_token glob 'nrx1.*'),
    api_key text check (api_key glob 'nrx1.*'),
    extra text check (extra glob 'nrx1.*'),
    expires_at integer,
    last_refresh_at integer,
    generation integer not null default 0 check (generation >= 0),
    updated_at integer not null
) strict;

create table account_hot_state (
    account_id text not null primary key references accounts (id) on delete cascade,
    auth text not null default 'ok' check (
        auth in ('ok', 'refreshing', 'expiring', 'expired', 'dead')
    ),
    auth_detail text not null default '{}' check (json_valid(auth_detail)),
    quota text not null default 'unknown' check (quota in ('unknown', 'ok', 'low', 'exhausted')),
    quota_json text not null default '{}' check (json_valid(quota_json)),
    quota_observed_at integer,
    health text not null default 'ok' check (health in ('ok', 'degraded', 'unhealthy')),
    last_used_at integer,
    last_ok_at integer,
    last_error text check (json_valid(last_error)),
    updated_at integer not null
) strict;

create table account_locks (
    account_id text not null references accounts (id) on delete cascade,
    scope text not null check (
        scope = '*' or scope glob 'model:?*' or scope glob 'family:?*' or scope glob 'feature:?*'
    ),
    until integer not null,
    reason text not null,
    class text not null,
    level integer not null default 0 check (level between 0 and 255),
    set_at integer not null,
    primary key (account_id, scope)
) strict;

create index account_locks_until on account_locks (until);

pragma user_version = 2;
