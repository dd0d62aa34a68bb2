-- Keys of the router's clients. The text of a key is nowhere: `lookup` is its keyed MAC.
create table api_keys (
    id text not null primary key check (length(id) = 36),
    lookup blob not null unique check (length(lookup) = 32),
    prefix text not null check (length(prefix) <= 11),
    last4 text not null check (length(last4) <= 4),
    name text not null unique check (length(name) > 0),
    legacy integer not null default 0 check (legacy in (0, 1)),
    hmac_key_version integer not null,
    enabled integer not null default 1 check (enabled in (0, 1)),
    revoked_at integer,
    expires_at integer,
    last_used_at integer,
    last_used text check (json_valid(last_used)),
    scopes text not null default '["inference","models","usage:own"]' check (
        json_valid(scopes) and json_type(scopes) = 'array'
    ),
    allowed_models text check (json_valid(allowed_models)),
    allowed_providers text check (json_valid(allowed_providers)),
    allowed_combos text check (json_valid(allowed_combos)),
    allowed_cidrs text check (json_valid(allowed_cidrs)),
    rpm integer check (rpm >= 0),
    tpm integer check (tpm >= 0),
    max_concurrent integer check (max_concurrent >= 0),
    usd_day integer check (usd_day >= 0),
    usd_month integer check (usd_month >= 0),
    usd_total integer check (usd_total >= 0),
    capture_bodies integer not null default 0 check (capture_bodies in (0, 1)),
    rev integer not null default 1,
    created_at integer not null,
    updated_at integer not null,
    managed_by text check (managed_by in ('config_file'))
) strict;

pragma user_version = 4;
