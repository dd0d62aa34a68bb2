//! SQLite through diesel: one file per table, secrets at rest, migrations. The only user of diesel.
