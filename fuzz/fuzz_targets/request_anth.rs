//! Requests in the dialect `anth`.

#![no_main]

use ninerouter_dialect::Dialect;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::request(Dialect::Anth, data));
