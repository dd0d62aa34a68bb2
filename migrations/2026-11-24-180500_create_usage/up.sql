-- Usage. No foreign keys: history outlives what it names, so ids and the labels of the time are kept.
-- Closed sets are written with `or`: for `in`, SQLite builds a table for every row that is inserted.
create table requests (
    id text not null primary key,
    ts integer not null,
    external_id text,
    api_key_id text,
    api_key_name text,
    tool text not null,
    client_ip text,
    session_hash blob check (length(session_hash) = 32),
    dialect text not null check (
        dialect = 'chat'
        or dialect = 'resp'
        or dialect = 'anth'
        or dialect = 'gem'
        or dialect = 'ollama'
    ),
    entrypoint text not null,
    kind text not null check (
        kind = 'chat'
        or kind = 'completion'
        or kind = 'embedding'
        or kind = 'image'
        or kind = 'speech'
        or kind = 'transcription'
        or kind = 'rerank'
        or kind = 'moderation'
        or kind = 'compact'
    ),
    stream integer not null check (stream in (0, 1)),
    requested_model text not null,
    combo_id text,
    combo_name text,
    provider text,
    model text,
    model_key text,
    account_id text,
    account_label text,
    tier text check (tier = 'subscription' or tier = 'cheap' or tier = 'paid' or tier = 'free'),
    exec_tier text check (exec_tier = 'A' or exec_tier = 'B' or exec_tier = 'C'),
    entry_index integer,
    status text not null check (
        status = 'ok'
        or status = 'error'
        or status = 'client_cancelled'
        or status = 'rejected'
    ),
    http_status integer not null,
    error_class text,
    error_code text,
    incomplete integer not null check (incomplete in (0, 1)),
    attempts integer not null check (attempts >= 0),
    fallback integer not null check (fallback in (0, 1)),
    input_tokens integer not null default 0 check (input_tokens >= 0),
    cached_tokens integer not null default 0 check (cached_tokens >= 0),
    cache_write_5m_tokens integer not null default 0 check (cache_write_5m_tokens >= 0),
    cache_write_1h_tokens integer not null default 0 check (cache_write_1h_tokens >= 0),
    output_tokens integer not null default 0 check (output_tokens >= 0),
    reasoning_tokens integer not null default 0 check (reasoning_tokens >= 0),
    estimated integer not null check (estimated in (0, 1)),
    list_cost integer,
    paid_cost integer,
    price_source text not null check (
        price_source = 'operator'
        or price_source = 'reply'
        or price_source = 'catalog'
        or price_source = 'live'
        or price_source = 'pattern'
        or price_source = 'none'
        or price_source = 'imported'
    ),
    overage integer not null check (overage in (0, 1)),
    notional integer not null check (notional in (0, 1)),
    queue_ms integer,
    ttft_ms integer,
    total_ms integer,
    bytes_in integer not null default 0,
    bytes_out integer not null default 0,
    captured integer not null check (captured in (0, 1)),
    body_bytes integer not null default 0
) strict;

create index requests_ts on requests (ts);
create index requests_provider_ts on requests (provider, ts);
create index requests_account_id_ts on requests (account_id, ts);
create index requests_api_key_id_ts on requests (api_key_id, ts);
create index requests_status_ts on requests (status, ts);

-- Read by request only, hence no other index. Without rowid: the key is the row's place.
create table attempts (
    request_id text not null,
    n integer not null,
    ts integer not null,
    target text not null,
    entry_index integer,
    account_id text,
    account_label text,
    outcome text not null check (
        outcome = 'ok'
        or outcome = 'failed'
        or outcome = 'skipped'
        or outcome = 'aborted'
    ),
    class text,
    upstream_status integer,
    code text,
    message text check (length(message) <= 500),
    next text not null check (
        next = 'same_account'
        or next = 'next_account'
        or next = 'next_entry'
        or next = 'return'
    ),
    until integer,
    connect_ms integer,
    head_ms integer,
    first_ms integer,
    total_ms integer,
    primary key (request_id, n)
) strict, without rowid;

-- '' stands for none in the dimensions: null would make every row distinct.
create table usage_hourly (
    hour integer not null check (hour % 3600000 = 0),
    provider text not null,
    model text not null,
    account_id text not null,
    api_key_id text not null,
    combo_id text not null,
    tool text not null,
    tier text not null,
    requests integer not null,
    ok integer not null,
    failed integer not null,
    cancelled integer not null,
    attempts integer not null,
    fallbacks integer not null,
    input_tokens integer not null,
    cached_tokens integer not null,
    cache_write_tokens integer not null,
    output_tokens integer not null,
    reasoning_tokens integer not null,
    list_cost integer not null,
    paid_cost integer not null,
    unpriced integer not null,
    ttft_hist blob not null check (length(ttft_hist) = 96),
    total_hist blob not null check (length(total_hist) = 96),
    primary key (hour, provider, model, account_id, api_key_id, combo_id, tool, tier)
) strict, without rowid;

-- A key holder's own view asks for one key over days or weeks.
create index usage_hourly_api_key_id_hour on usage_hourly (api_key_id, hour);

create table usage_daily (
    day text not null check (day glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    provider text not null,
    model text not null,
    account_id text not null,
    api_key_id text not null,
    combo_id text not null,
    tool text not null,
    tier text not null,
    source text not null default 'own' check (source = 'own' or source glob 'import:?*'),
    requests integer not null,
    ok integer not null,
    failed integer not null,
    cancelled integer not null,
    attempts integer not null,
    fallbacks integer not null,
    input_tokens integer not null,
    cached_tokens integer not null,
    cache_write_tokens integer not null,
    output_tokens integer not null,
    reasoning_tokens integer not null,
    list_cost integer not null,
    paid_cost integer not null,
    unpriced integer not null,
    ttft_hist blob not null check (length(ttft_hist) = 96),
    total_hist blob not null check (length(total_hist) = 96),
    primary key (day, provider, model, account_id, api_key_id, combo_id, tool, tier, source)
) strict, without rowid;

create table error_hourly (
    hour integer not null check (hour % 3600000 = 0),
    provider text not null,
    error_class text not null,
    count integer not null,
    primary key (hour, provider, error_class)
) strict, without rowid;

pragma user_version = 6;
