alter table jobs drop column provider;
pragma user_version = 12;
