//! Subcommands beside `serve`.
