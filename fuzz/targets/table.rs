//! The CSV file of a data set: with what is not sure refused, and taken as it is.
#![no_main]

use headstart::data::{self, ListOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file = headstart_fuzz::file("photos.csv", data);
    for takes_all in [false, true] {
        let options = ListOptions { labels_are_classes: takes_all, single_label: takes_all, ..ListOptions::default() };
        let Ok(source) = data::open(&file, &options) else { continue };
        if let Ok(dataset) = source.list() {
            assert!(dataset.entries.iter().flat_map(|e| &e.labels).all(|&label| label < dataset.classes.len()));
        }
    }
});
