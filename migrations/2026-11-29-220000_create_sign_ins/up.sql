-- Pending sign-ins: one row per attempt, found again by the hash of its state (SEC-OA-1).
create table oauth_flows (
    id text not null primary key check (length(id) = 36),
    state_hash blob unique check (length(state_hash) = 32),
    provider text not null,
    account_id text check (length(account_id) = 36),
    session_hash blob check (length(session_hash) = 32),
    mode text not null,
    verifier text check (verifier glob 'nrx1.*'),
    device text check (device glob 'nrx1.*'),
    options text not null check (options glob 'nrx1.*'),
    redirect_uri text,
    scopes text not null default '',
    status text not null check (
        status in ('pending', 'exchanging', 'done', 'error', 'cancelled', 'expired')
    ),
    message text,
    result_account_id text check (length(result_account_id) = 36),
    created_at integer not null,
    expires_at integer not null,
    used_at integer
) strict;

create index oauth_flows_expires_at on oauth_flows (expires_at);

pragma user_version = 7;
