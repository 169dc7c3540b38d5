//! The key: everything that decides a feature's value, as canonical JSON, and its digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{Digest, Orientation};
use crate::store::disk::dtype::Dtype;

/// Everything that decides the values in a cache. Not in it: the images, the taps, the number of
/// views, the labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKey {
    /// The backbone's name.
    pub backbone: String,
    /// Digest of the weights (lower-case hex SHA-256).
    pub weights: String,
    /// Digest of the graph (lower-case hex SHA-256).
    pub graph: String,
    /// Resize, crop and value range in the canonical words of the preprocess.
    pub preprocess: String,
    /// Whether images were turned as their EXIF data says.
    pub orientation: Orientation,
    /// Version of the image decoders.
    pub decoder: String,
    /// Version of the resampling.
    pub resizer: String,
    /// The augmentation policy in its canonical words; `none` without one.
    pub augment: String,
    /// Seed of the augmentation.
    pub seed: u64,
    /// Type that the engine computes in: `f32`, `bf16` or `f16`.
    pub compute: String,
    /// Type that features are stored in.
    pub store: Dtype,
    /// `native` or `candle`.
    pub engine: String,
    /// CPU-feature class (`x86-64-v3`) or kind of device (`cuda`).
    pub device: String,
    /// Version of the numerics: goes up when the same inputs give other bits.
    pub numerics: u32,
}

impl CacheKey {
    /// The key as JSON with sorted names and no white space: the text that is digested.
    pub fn canonical(&self) -> String {
        // Without `..`: a field that is added has to be decided on here.
        let CacheKey {
            backbone,
            weights,
            graph,
            preprocess,
            orientation,
            decoder,
            resizer,
            augment,
            seed,
            compute,
            store,
            engine,
            device,
            numerics,
        } = self;
        let fields: BTreeMap<&str, serde_json::Value> = BTreeMap::from([
            ("augment", augment.as_str().into()),
            ("backbone", backbone.as_str().into()),
            ("compute", compute.as_str().into()),
            ("decoder", decoder.as_str().into()),
            ("device", device.as_str().into()),
            ("engine", engine.as_str().into()),
            ("graph", graph.as_str().into()),
            ("numerics", (*numerics).into()),
            ("orientation", orientation.name().into()),
            ("preprocess", preprocess.as_str().into()),
            ("resizer", resizer.as_str().into()),
            ("seed", (*seed).into()),
            ("store", store.name().into()),
            ("weights", weights.as_str().into()),
        ]);
        let pairs = fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }

    /// Lower-case hex SHA-256 of [`CacheKey::canonical`].
    pub fn digest(&self) -> String {
        Digest::of(self.canonical().as_bytes()).to_string()
    }

    /// How an image becomes the network's input, in words for people.
    pub fn input_in_words(&self) -> String {
        let CacheKey { preprocess, orientation, decoder, resizer, .. } = self;
        format!("{preprocess}; orientation={}; decoder={decoder}; resizer={resizer}", orientation.name())
    }

    /// Folder of the cache with this key: `ROOT/<dataset>/<backbone>@<first 12 digits>`.
    pub fn folder(&self, root: &Path, dataset: &str) -> PathBuf {
        root.join(folder_name(dataset)).join(format!("{}@{}", folder_name(&self.backbone), &self.digest()[..12]))
    }
}

/// A name (of a tap, a data set, a backbone) as one safe folder name: ASCII letters, digits, `.`,
/// `_` and `-` stay, every other byte and a leading dot become `%XX`.
pub(crate) fn folder_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if i == 0 => out.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> CacheKey {
        CacheKey {
            backbone: "fake".into(),
            weights: "0".repeat(64),
            graph: "1".repeat(64),
            preprocess: "resize=none".into(),
            orientation: Orientation::AsStored,
            decoder: "fake/1".into(),
            resizer: "fake/1".into(),
            augment: "none".into(),
            seed: 0,
            compute: "f32".into(),
            store: Dtype::F32,
            engine: "fake".into(),
            device: "cpu".into(),
            numerics: 1,
        }
    }

    #[test]
    fn canonical_text_is_sorted_and_escaped() {
        let key = CacheKey { preprocess: "say \"hi\"".into(), ..example() };
        let text = key.canonical();
        assert!(text.starts_with(r#"{"augment":"none","backbone":"fake","compute":"f32""#), "{text}");
        let rest = r#""orientation":"as-stored","preprocess":"say \"hi\"","resizer":"fake/1","seed":0,"store":"f32""#;
        assert!(text.contains(rest), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.as_object().unwrap().len(), 14);
        assert_eq!(serde_json::from_value::<CacheKey>(parsed).unwrap(), key);
    }

    #[test]
    fn every_field_decides_the_digest() {
        let base = serde_json::to_value(example()).unwrap();
        for name in base.as_object().unwrap().keys() {
            let mut other = base.clone();
            other[name] = match &base[name] {
                serde_json::Value::Number(_) => 7.into(),
                _ if name == "store" => "f16".into(),
                _ if name == "orientation" => "exif".into(),
                _ => "other".into(),
            };
            let other: CacheKey = serde_json::from_value(other).unwrap();
            assert_ne!(other.digest(), example().digest(), "{name}");
        }
    }

    #[test]
    fn the_digest_is_the_documented_one() {
        assert_eq!(example().digest(), "5e17c5c434dd3ec1095cabab50e25c0aff566bc2d8b9ce8b9d51d2485749fa18");
    }

    #[test]
    fn folder_names_are_safe_and_differ() {
        assert_eq!(folder_name("features.23"), "features.23");
        assert_eq!(folder_name("a/b c"), "a%2Fb%20c");
        assert_eq!(folder_name(".."), "%2E.");
        assert_eq!(folder_name("é%"), "%C3%A9%25");
        let folder = example().folder(Path::new("cache"), "my photos");
        assert_eq!(folder.parent().unwrap(), Path::new("cache/my%20photos"));
        assert_eq!(folder.file_name().unwrap().len(), "fake@".len() + 12);
    }
}
