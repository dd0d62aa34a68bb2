-- What happened, who did it and how it ended: a chain of rows, each authenticated together with the row before it.
create table audit_events (
    seq integer not null primary key autoincrement,
    ts_ms integer not null,
    event text not null,
    outcome text not null check (outcome in ('ok', 'denied', 'failed')),
    actor text not null,
    client_ip text,
    peer_ip text,
    ua_hash blob check (length(ua_hash) = 32),
    method text,
    path text,
    status integer,
    request_id text,
    count integer not null default 1 check (count >= 1),
    detail text not null default '{}' check (json_valid(detail) and length(detail) <= 2048),
    prev_mac blob not null check (length(prev_mac) = 32),
    mac blob not null check (length(mac) = 32)
) strict;

create index audit_events_ts_ms on audit_events (ts_ms);
create index audit_events_event_ts_ms on audit_events (event, ts_ms);

pragma user_version = 11;
