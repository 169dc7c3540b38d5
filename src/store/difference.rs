//! How two keys differ, in the words of the options that made them.

use super::key::CacheKey;

impl CacheKey {
    /// What differs from another key, option by option; `None` where nothing does. `other` is what
    /// "here" means.
    pub(super) fn difference(&self, other: &CacheKey) -> Option<String> {
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        let (seeds, versions) = ([self, other].map(|k| k.seed.to_string()), [self, other].map(|k| k.numerics.to_string()));
        let [weights, graph] =
            [|k: &CacheKey| k.weights.clone(), |k: &CacheKey| k.graph.clone()].map(|f| [self, other].map(|k| short(&f(k))));
        let pair = |f: fn(&CacheKey) -> &str| [f(self).to_string(), f(other).to_string()];
        let options = [
            ("option `backbone`", pair(|k| &k.backbone)),
            ("option `weights` (SHA-256)", weights),
            ("the network's layers (digest)", graph),
            ("option `size` or option `preprocess`", pair(|k| &k.preprocess)),
            ("option `exif-rotate`", pair(|k| k.orientation.name())),
            ("the version of the image decoders", pair(|k| &k.decoder)),
            ("the version of the resampling", pair(|k| &k.resizer)),
            ("option `augment`", pair(|k| &k.augment)),
            ("option `seed`", seeds),
            ("option `dtype`", pair(|k| &k.compute)),
            ("option `store`", pair(|k| k.store.name())),
            ("option `engine`", pair(|k| &k.engine)),
            ("option `device`, or the kind of CPU (HEADSTART_ISA)", pair(|k| &k.device)),
            ("the version of headstart's numerics", versions),
        ];
        let differs =
            |(option, [theirs, ours]): (&str, [String; 2])| (theirs != ours).then(|| format!("{option} is {theirs} there and {ours} here"));
        let found: Vec<String> = options.into_iter().filter_map(differs).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Dtype;
    use crate::store::key::tests::example;

    #[test]
    fn the_option_that_differs_is_named_with_both_values() {
        assert_eq!(example().difference(&example()), None);
        let other = CacheKey { store: Dtype::F16, seed: 7, weights: "ab".repeat(32), ..example() };
        let said = other.difference(&example()).unwrap();
        for part in [
            "option `store` is f16 there and f32 here",
            "option `seed` is 7 there and 0 here",
            "option `weights` (SHA-256) is abababababab there",
        ] {
            assert!(said.contains(part), "{said}");
        }
        let fields = serde_json::to_value(example()).unwrap();
        for name in fields.as_object().unwrap().keys() {
            let mut other = fields.clone();
            other[name] = if fields[name].is_number() {
                7.into()
            } else if name == "store" {
                "bf16".into()
            } else if name == "orientation" {
                "exif".into()
            } else {
                "other".into()
            };
            let other: CacheKey = serde_json::from_value(other).unwrap();
            assert!(other.difference(&example()).is_some(), "{name}");
        }
    }
}
