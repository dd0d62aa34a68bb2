//! The splitter of event streams, beside traffic that is handed on.

#![no_main]

use ninerouter_dialect::Framing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::tap(Framing::Sse, data));
