//! Files that somebody damaged or made up: no panic, no endless loop, no memory without bounds.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn sound(folder: &Path) {
    let mut writer = with_rows(folder, Dtype::F32, 8);
    writer.commit(Group { failed: vec![(2, "broken".into())], ..group(&[0, 1, 3], Dtype::F32) }).unwrap();
    writer.commit(group(&[4, 5, 6, 7], Dtype::F32)).unwrap();
}

/// Everything that reads a cache.
fn use_it(folder: &Path) {
    let start = Instant::now();
    if let Ok(cache) = Cache::open(folder) {
        for tap in cache.manifest().taps.keys() {
            for view in cache.manifest().views(tap).into_iter().take(3).chain([u32::MAX]) {
                let _ = cache.features(tap, view).and_then(|matrix| matrix.check().and_then(|()| matrix.intact()));
                let _ = cache.table(tap, view, None);
                cache.manifest().missing(cache.rows(), tap, view);
            }
        }
        let _ = export_npz(&cache, &Selection::default(), &folder.join("out.npz"));
    }
    let _ = inspect(folder);
    let _ = verify(folder);
    let _ = merge(&folder.join("merged"), &[folder.to_path_buf()], Wait::Moment);
    let _ = gc(folder, Wait::Moment);
    if let Ok(mut writer) = Writer::open(folder, &super::example(), "photos", Wait::Moment) {
        let _ = writer.drop_damaged(|_, _| true);
        let _ = writer.set_rows(rows(9), classes(), 9, vec![]);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "a few numbers must not keep it busy for so long");
}

/// All places of a JSON value, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.into());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, v)| places(v, &format!("{at}/{name}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), found)),
        _ => {}
    }
}

fn hostile_value() -> impl Strategy<Value = Value> {
    let number =
        prop_oneof![Just(0u64), Just(1), Just(7), Just(u64::from(u32::MAX)), Just(1 << 40), Just(1 << 62), Just(u64::MAX), any::<u64>()];
    prop_oneof![
        number.clone().prop_map(Value::from),
        number.clone().prop_map(|n| json!([[1, n]])),
        (number.clone(), number).prop_map(|(a, b)| json!([a, b])),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(Value::Null),
        Just(json!("")),
        Just(json!("é\u{7}")),
        Just(json!("f".repeat(64))),
        Just(json!({})),
        Just(json!([])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_made_up_manifest_is_refused_or_harmless(changes in prop::collection::vec((any::<prop::sample::Index>(), hostile_value()), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        sound(folder.path());
        let path = folder.path().join("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (place, value) in changes {
            let mut all = vec![];
            places(&manifest, "", &mut all);
            *manifest.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        }
        // Who makes a manifest up knows how to digest.
        if let Ok(key) = serde_json::from_value::<CacheKey>(manifest["key"].clone()) {
            manifest["key_digest"] = key.digest().into();
        }
        fs::write(&path, manifest.to_string()).unwrap();
        use_it(folder.path());
    }

    #[test]
    fn flipped_bytes_of_rows_and_shards_are_noticed_or_harmless(file in 0..3usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
        let folder = tempfile::tempdir().unwrap();
        sound(folder.path());
        let name = ["rows.csv", "features/gap/v0-00000.safetensors", "features/gap/v0-00004.safetensors"][file];
        let good = fs::read(folder.path().join(name)).unwrap();
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] = byte;
        if cut {
            bad.truncate(at);
        }
        fs::write(folder.path().join(name), &bad).unwrap();
        if bad != good {
            let read = Cache::open(folder.path()).and_then(|c| c.features("gap", 0)?.check());
            prop_assert!(read.unwrap_err().to_string().contains(name.rsplit('/').next().unwrap()));
        }
        use_it(folder.path());
    }
}
