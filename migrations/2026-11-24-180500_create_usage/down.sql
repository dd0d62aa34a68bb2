drop table error_hourly;
drop table usage_daily;
drop table usage_hourly;
drop table attempts;
drop table requests;

pragma user_version = 5;
