//! The CSV file of a data set.
#![no_main]

use headstart::data::{self, SplitRule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = headstart_fuzz::file("photos.csv", data);
    if let Ok(source) = data::open(&file, &SplitRule::new(80, 10, 10).expect("shares")) {
        if let Ok(dataset) = source.list() {
            assert!(dataset.entries.iter().flat_map(|e| &e.labels).all(|&label| label < dataset.classes.len()));
        }
    }
});
