//! How caches differ, in the words of the options that made them.

use super::Key;
use super::reader::Cache;
use super::rows::Row;

impl Key {
    /// What differs from another key, option by option; `None` where nothing does. `other` is what "here" means.
    pub(super) fn difference(&self, other: &Key) -> Option<String> {
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        let (seeds, versions) = ([self, other].map(|k| k.seed.to_string()), [self, other].map(|k| k.numerics.to_string()));
        let [weights, graph] = [|k: &Key| k.weights.clone(), |k: &Key| k.graph.clone()].map(|f| [self, other].map(|k| short(&f(k))));
        let pair = |f: fn(&Key) -> &str| [f(self).to_string(), f(other).to_string()];
        let options = [
            ("--backbone", pair(|k| &k.backbone)),
            ("--weights (SHA-256)", weights),
            ("the network's layers (digest)", graph),
            ("--size or --preprocess", pair(|k| &k.preprocess)),
            ("--exif-rotate", pair(|k| k.orientation.name())),
            ("the version of the image decoders", pair(|k| &k.decoder)),
            ("the version of the resampling", pair(|k| &k.resizer)),
            ("--augment", pair(|k| &k.augment)),
            ("--seed", seeds),
            ("--dtype", pair(|k| &k.compute)),
            ("--store", pair(|k| k.store.name())),
            ("--engine", pair(|k| &k.engine)),
            ("--device, or the kind of CPU (HEADSTART_ISA)", pair(|k| &k.device)),
            ("the version of headstart's numerics", versions),
        ];
        let differs =
            |(option, [theirs, ours]): (&str, [String; 2])| (theirs != ours).then(|| format!("{option} is {theirs} there and {ours} here"));
        let found: Vec<String> = options.into_iter().filter_map(differs).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}

/// Whether two rows stand for one image. Where one of them was never read, the path decides.
pub(super) fn is_same_image(a: &Row, b: &Row) -> bool {
    match (a.digest, b.digest) {
        (Some(a), Some(b)) => a == b,
        _ => a.path == b.path,
    }
}

/// The first difference between two numberings of images, and how many there are; `None` where both number the same images alike.
pub(super) fn other_images(there: &[Row], here: &[Row]) -> Option<String> {
    let name = |row: Option<&Row>| row.map_or("nothing".to_string(), |r| format!("row {} is {}", r.row, r.path));
    let longest = there.len().max(here.len());
    let is_other = |i: &usize| match (there.get(*i), here.get(*i)) {
        (Some(a), Some(b)) => a.row != b.row || !is_same_image(a, b),
        _ => true,
    };
    let others: Vec<usize> = (0..longest).filter(is_other).collect();
    let first = *others.first()?;
    let (a, b) = (name(there.get(first)), name(here.get(first)));
    let changed = if a == b { ", and the file is another one" } else { "" };
    Some(format!("{} of {} rows are other images: {a} there, {b} here{changed}", others.len(), longest))
}

/// Rows of a part whose path, split or classes are others here. A split that is open is no other one.
pub(super) fn other_labels(part: &Cache, here: &[Row], classes: &[String]) -> usize {
    let named = |labels: &[usize], classes: &[String]| -> Vec<String> { labels.iter().filter_map(|&l| classes.get(l).cloned()).collect() };
    let theirs = &part.manifest().classes;
    let differs = |(a, b): &(&Row, &Row)| {
        a.path != b.path || a.split.is_some() && a.split != b.split || named(&a.labels, theirs) != named(&b.labels, classes)
    };
    part.rows().iter().zip(here).filter(differs).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Dtype;
    use crate::store::key::tests::example;

    #[test]
    fn the_option_that_differs_is_named_with_both_values() {
        assert_eq!(example().difference(&example()), None);
        let other = Key { store: Dtype::F16, seed: 7, weights: "ab".repeat(32), ..example() };
        let said = other.difference(&example()).unwrap();
        for part in ["--store is f16 there and f32 here", "--seed is 7 there and 0 here", "--weights (SHA-256) is abababababab there"] {
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
            let other: Key = serde_json::from_value(other).unwrap();
            assert!(other.difference(&example()).is_some(), "{name}");
        }
    }
}
