//! `rows.csv` beside a sound manifest and shard: as readers see it, and as a writer does.
#![no_main]

use headstart::store::{Wait, Writer};
use headstart::sweep::Source;
use headstart_fuzz::{MANIFEST, SHARD, cache, read_cache, seed_manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = cache("cache", Some(MANIFEST), data, SHARD);
    read_cache(&folder);
    let _ = Source::open(&folder);
    let manifest = seed_manifest();
    let _ = Writer::open(&folder, &manifest.key, &manifest.dataset, Wait::Moment);
});
