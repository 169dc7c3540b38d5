//! `manifest.json` beside a sound `rows.csv` and shard; once as it is, once with the key's digest mended, which few mutations survive.
#![no_main]

use headstart::store::Manifest;
use headstart_fuzz::{ROWS, SHARD, cache, read_cache};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read_cache(&cache("cache", Some(data), ROWS, SHARD));
    let Ok(mut manifest) = serde_json::from_slice::<Manifest>(data) else { return };
    let digest = manifest.key.digest();
    if manifest.key_digest != digest {
        manifest.key_digest = digest;
        let text = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        read_cache(&cache("cache", Some(&text), ROWS, SHARD));
    }
});
