drop table former_keys;

pragma user_version = 8;
