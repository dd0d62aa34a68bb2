//! Flags, environment, .env, the config file, settings; start-up audit. The only reader of the environment.
