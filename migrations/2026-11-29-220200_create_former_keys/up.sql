-- Texts of router keys that were rotated and stay valid for a while, as keyed MACs.
create table former_keys (
    key_id text not null primary key references api_keys (id) on delete cascade,
    lookup blob not null unique check (length(lookup) = 32),
    prefix text not null check (length(prefix) <= 11),
    last4 text not null check (length(last4) <= 4),
    until integer not null,
    created_at integer not null
) strict;

pragma user_version = 9;
