drop table audit_events;

pragma user_version = 10;
