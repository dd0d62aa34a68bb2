drop table aliases;
drop table combo_entries;
drop table combos;

pragma user_version = 2;
