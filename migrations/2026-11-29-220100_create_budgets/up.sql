-- Spending limits. Their counters live in memory and are rebuilt from the usage tables.
create table budgets (
    id text not null primary key check (length(id) = 36),
    scope text not null check (scope in ('all', 'provider', 'account', 'combo', 'api_key')),
    scope_id text not null default '' check ((scope = 'all') = (scope_id = '')),
    window text not null check (window in ('5h', 'day', 'week', 'month', 'total')),
    limit_usd integer check (limit_usd >= 0),
    limit_tokens integer check (limit_tokens >= 0),
    limit_requests integer check (limit_requests >= 0),
    tz text not null,
    action text not null default 'block' check (action in ('block', 'warn')),
    notify_at text not null default '[50,80,100]' check (
        json_valid(notify_at) and json_type(notify_at) = 'array'
    ),
    enabled integer not null default 1 check (enabled in (0, 1)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    unique (scope, scope_id, window),
    check (coalesce(limit_usd, limit_tokens, limit_requests) is not null)
) strict;

pragma user_version = 8;
