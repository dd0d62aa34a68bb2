//! Code Assist and Codex around bodies of their own dialects.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::envelopes(data));
