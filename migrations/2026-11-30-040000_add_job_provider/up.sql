-- Whose page shows the job.
alter table jobs add column provider text;

pragma user_version = 13;
