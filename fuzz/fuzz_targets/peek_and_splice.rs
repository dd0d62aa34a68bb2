//! Looking into bodies and editing them in place.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::peek_and_splice(data));
