//! Keras's `.h5`.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !data.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Corpus::Reject;
    }
    headstart_fuzz::read_weights("weights.h5", data);
    Corpus::Keep
});
