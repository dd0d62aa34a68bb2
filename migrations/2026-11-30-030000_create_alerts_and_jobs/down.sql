drop table jobs;
drop table alerts;
pragma user_version = 11;
