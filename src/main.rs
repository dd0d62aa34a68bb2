//! Entry point: arguments, configuration, run.

fn main() {}
