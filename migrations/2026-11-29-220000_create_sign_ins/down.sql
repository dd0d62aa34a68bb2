drop table oauth_flows;

pragma user_version = 6;
