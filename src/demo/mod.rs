//! Simulated providers behind real loopback sockets, for `ninerouter demo`, tests and benches.
