drop table counters;
drop table data_keys;
drop table settings;

pragma user_version = 4;
