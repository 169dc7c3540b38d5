//! safetensors: as weights, as a listed shard of a cache, and as one that a killed writer left.
#![no_main]

use headstart::data::Digest;
use headstart::store::{Wait, Writer};
use headstart_fuzz::{ROWS, cache, read_cache, read_weights, seed_manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read_weights("weights.safetensors", data);

    let mut manifest = seed_manifest();
    manifest.shards[0].bytes = data.len() as u64;
    manifest.shards[0].sha256 = Digest::of(data).to_string();
    let text = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    read_cache(&cache("listed", Some(&text), ROWS, data));

    let folder = cache("left", None, ROWS, data);
    let _ = Writer::open(&folder, &manifest.key, &manifest.dataset, Wait::Moment);
});
