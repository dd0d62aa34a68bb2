-- What differs from the catalog: proxies first, because accounts and overrides point at them.
create table proxies (
    id text not null primary key check (length(id) = 36),
    name text not null unique,
    scheme text not null check (scheme in ('http', 'https', 'socks5', 'socks5h')),
    url text not null check (url glob 'nrx1.*'),
    display_url text not null,
    no_proxy text not null default '',
    enabled integer not null default 1 check (enabled in (0, 1)),
    last_test text check (json_valid(last_test)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file'))
) strict;

create table provider_overrides (
    provider text not null primary key,
    enabled integer not null default 1 check (enabled in (0, 1)),
    tier text check (tier in ('subscription', 'cheap', 'paid', 'free')),
    account_strategy text check (
        account_strategy in ('priority', 'round-robin', 'weighted', 'least-used', 'quota-balanced')
    ),
    sticky_count integer check (sticky_count >= 1),
    affinity_ttl_s integer check (affinity_ttl_s >= 0),
    cooldown_base_s integer check (cooldown_base_s >= 0),
    cooldown_max_s integer check (cooldown_max_s >= 0),
    max_in_flight integer check (max_in_flight >= 1),
    refresh_lead_s integer check (refresh_lead_s >= 0),
    min_remaining_percent integer check (min_remaining_percent between 0 and 100),
    proxy_mode text not null default 'inherit' check (proxy_mode in ('inherit', 'direct', 'proxy')),
    proxy_id text references proxies (id) on delete restrict,
    headers text not null default '[]' check (json_valid(headers) and json_type(headers) = 'array'),
    retry_statuses text check (json_valid(retry_statuses)),
    count_notional integer check (count_notional in (0, 1)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file'))
) strict;

create table nodes (
    id text not null primary key,
    type text not null check (
        type in ('openai-compatible', 'anthropic-compatible', 'gemini-compatible', 'embedding')
    ),
    api_type text check (api_type in ('chat', 'responses')),
    name text not null,
    prefix text not null collate nocase unique,
    base_url text not null,
    auth_style text check (auth_style in ('bearer', 'x-api-key', 'none', 'header')),
    auth_header text,
    headers text not null default '[]' check (json_valid(headers) and json_type(headers) = 'array'),
    network text not null default 'public' check (network in ('public', 'private', 'loopback')),
    insecure_http integer not null default 0 check (insecure_http in (0, 1)),
    model_source text not null default 'fetch' check (model_source in ('fetch', 'manual')),
    test_model text,
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    check ((type = 'openai-compatible') = (api_type is not null)),
    check ((auth_style is 'header') = (auth_header is not null))
) strict;

-- Only rows that differ from the catalog.
create table models (
    provider text not null,
    model text not null,
    source text not null check (source in ('manual', 'override')),
    enabled integer not null default 1 check (enabled in (0, 1)),
    name text,
    kind text not null default 'chat',
    ctx integer check (ctx > 0),
    max_output integer check (max_output > 0),
    caps text check (json_valid(caps)),
    think text,
    last_test text check (json_valid(last_test)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    primary key (provider, model)
) strict;

-- account_id '' = a list that needs no account; no foreign key, so that it can be ''.
create table live_models (
    provider text not null,
    account_id text not null,
    model text not null,
    facts text not null check (json_valid(facts)),
    fetched_at integer not null,
    primary key (provider, account_id, model)
) strict;

create index live_models_fetched_at on live_models (fetched_at);

-- Micro-dollars per 1 000 000 tokens; null = inherit, 0 = free.
create table prices (
    provider text not null,
    model text not null,
    input integer check (input >= 0),
    cached integer check (cached >= 0),
    cache_write_5m integer check (cache_write_5m >= 0),
    cache_write_1h integer check (cache_write_1h >= 0),
    output integer check (output >= 0),
    reasoning integer check (reasoning >= 0),
    per_request integer check (per_request >= 0),
    note text,
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file')),
    primary key (provider, model)
) strict;

pragma user_version = 1;
