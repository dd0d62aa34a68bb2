//! Bodies of failed answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::error_bodies(data));
