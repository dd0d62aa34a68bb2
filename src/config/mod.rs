//! Flags, environment, `.env` files, the config file, and the start-up audit. The only reader of the environment.

pub mod apply;
pub mod boot;
pub mod data_dir;
pub mod dotenv;
pub mod environment;
pub mod error;
pub mod export;
pub mod file;
pub mod keys;
pub mod kind;
pub mod listen;
pub mod machine;
pub mod official;
pub mod options;
pub mod overlays;
pub mod proxies;
pub mod published;
pub mod restart;
pub mod settings;
pub mod stored_settings;
pub mod table;
pub mod variables;
pub mod watched;
