//! Whole `.pth` and `.keras` zips and legacy `.pth` files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headstart_fuzz::read_weights("weights.bin", data));
