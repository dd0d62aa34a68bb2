//! Streams in the dialect `gem`.

#![no_main]

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::Source;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ninerouter_fuzz::stream(
    &Source::new(Dialect::Gem),
    data
));
