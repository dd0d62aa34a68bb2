//! JSON schemas in every form that a target takes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::schema(data));
