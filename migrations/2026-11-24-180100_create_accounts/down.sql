drop table account_locks;
drop table account_hot_state;
drop table account_secrets;
drop table accounts;

pragma user_version = 1;
