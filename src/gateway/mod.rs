//! The data plane: endpoint families, admission, the relay loop, streaming bodies.
