//! Streams of Gemini as one JSON array.

#![no_main]

use ninerouter_dialect::translate::Source;
use ninerouter_dialect::{Dialect, Framing};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source { framing: Framing::JsonArray, ..Source::new(Dialect::Gem) };
    ninerouter_fuzz::stream(&source, data);
});
