//! The data plane: endpoint families, admission, the relay loop, streaming bodies.

pub mod request_id;
pub mod route;
