drop table budgets;

pragma user_version = 7;
