drop table sessions;

drop table auth_state;

pragma user_version = 9;
