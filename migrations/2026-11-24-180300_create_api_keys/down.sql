drop table api_keys;

pragma user_version = 3;
