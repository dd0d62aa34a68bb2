//! Streams of Ollama.

#![no_main]

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::{Envelope, Source};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source { envelope: Envelope::Ollama, ..Source::new(Dialect::Chat) };
    ninerouter_fuzz::stream(&source, data);
});
