//! Handshakes that must fail, with their reason, and those that must not.
