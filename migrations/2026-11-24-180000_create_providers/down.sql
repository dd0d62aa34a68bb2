drop table prices;
drop table live_models;
drop table models;
drop table nodes;
drop table provider_overrides;
drop table proxies;

pragma user_version = 0;
