//! A sweep file: read, written out and read again, and its trials listed on a small cache.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use headstart::sweep::{Search, Source, SweepConfig};
use headstart_fuzz::{MANIFEST, ROWS, SHARD, cache};
use libfuzzer_sys::{Corpus, fuzz_target};

/// More trials than this are what the file asks for, not a mistake in reading it.
const MANY: u128 = 200;

static SOURCES: LazyLock<Vec<Source>> =
    LazyLock::new(|| vec![Source::open(&cache("cache", Some(MANIFEST), ROWS, SHARD)).expect("the seed is sound")]);

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    let Ok(config) = SweepConfig::parse(text, Path::new("sweep.yaml")) else { return Corpus::Keep };
    let yaml = config.to_yaml();
    let again = SweepConfig::parse(&yaml, Path::new("sweep.yaml")).unwrap_or_else(|e| panic!("{e}\nof\n{yaml}"));
    assert_eq!(again.to_yaml(), yaml);

    let values = |axis: &headstart::sweep::Axis| match &axis.domain {
        headstart::sweep::Domain::Values(values) => values.len() as u128,
        headstart::sweep::Domain::Range(_) => 1,
    };
    let trials = config.axes.iter().map(values).fold(1, u128::saturating_mul);
    if trials.max(config.run_cap.unwrap_or(0) as u128) <= MANY
        && let Ok(mut search) = Search::new(&config, &SOURCES, "fused")
    {
        let _ = search.next(&[]);
    }
    Corpus::Keep
});
