//! Streams of Kiro.

#![no_main]

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::{Envelope, Source};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source { envelope: Envelope::Kiro, ..Source::new(Dialect::Anth) };
    ninerouter_fuzz::stream(&source, data);
});
