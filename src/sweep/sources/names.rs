//! Names of a sweep's caches: the shortest words that tell them apart.

use super::source::Source;
use crate::heads::did_you_mean;
use crate::store::CacheKey;
use crate::{Error, Result};

/// Possible names of a source, the shortest first and its folder last. A source without a key has
/// its name alone.
fn candidates(source: &Source) -> Vec<String> {
    let Some(key) = &source.key else { return vec![source.name.clone()] };
    let (dataset, backbone, version) = (&source.dataset, &key.backbone, version(key));
    let folder = source.folder.clone();
    vec![backbone.clone(), version.clone(), format!("{dataset}/{backbone}"), format!("{dataset}/{version}"), folder]
}

fn version(key: &CacheKey) -> String {
    format!("{}@{}", key.backbone, &key.digest()[..12])
}

/// Gives each source a name of its own: its backbone's, and as much more as it takes.
///
/// # Errors
/// One cache given twice: its trials could not be told apart, and each would be trained once only.
pub(crate) fn name_apart(sources: &mut [Source]) -> Result<()> {
    let digests: Vec<String> = sources.iter().map(Source::digest).collect();
    for (i, digest) in digests.iter().enumerate() {
        if let Some(first) = digests[..i].iter().position(|other| other == digest) {
            let problem = format!("{} and {} are one cache given twice", sources[first].folder, sources[i].folder);
            return Err(Error::setting(problem, "name each cache once"));
        }
    }
    let all: Vec<Vec<String>> = sources.iter().map(candidates).collect();
    for (i, source) in sources.iter_mut().enumerate() {
        let is_taken = |place: usize| all.iter().enumerate().any(|(j, other)| j != i && other.get(place) == all[i].get(place));
        let place = (0..all[i].len()).find(|&place| !is_taken(place)).unwrap_or(all[i].len() - 1);
        source.name.clone_from(&all[i][place]);
    }
    Ok(())
}

/// The source that a value of the `cache` parameter means: by its name, or by a possible name that
/// is its alone.
///
/// # Errors
/// A value for none of them, or for several.
pub(crate) fn find(sources: &[Source], word: &str) -> Result<usize> {
    if let Some(named) = sources.iter().position(|s| s.name == word) {
        return Ok(named);
    }
    let meant: Vec<usize> = (0..sources.len()).filter(|&s| candidates(&sources[s]).iter().any(|w| w == word)).collect();
    let names = |of: &[usize]| of.iter().map(|&s| sources[s].name.as_str()).collect::<Vec<_>>();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => {
            let all = sources.iter().map(|s| s.name.as_str());
            Err(Error::setting(format!("there is no cache `{word}` in this sweep"), did_you_mean(word, all)))
        }
        several => {
            let problem = format!("`cache: {word}` means {} caches of this sweep", several.len());
            Err(Error::setting(problem, format!("use one of: {}", names(several).join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Split;
    use crate::heads::Matrix;
    use crate::store::example_key as example;
    use crate::sweep::TapFeatures;

    /// A cache of a data set, made by a backbone, with a seed for the rest of its key; the root of
    /// its folder tells copies apart.
    fn source(root: &str, dataset: &str, backbone: &str, seed: u64) -> Source {
        let features = Arc::new(Matrix::new(1, vec![0.0, 1.0]).unwrap());
        let taps = vec![TapFeatures { name: "gap".into(), shape: vec![1], features, views: vec![] }];
        let paths = vec![format!("{dataset}/{root}/0.png"), "1.png".into()];
        let mut source = Source::new(taps, vec!["a".into(), "b".into()], paths, vec![vec![0], vec![1]], &[Split::Train; 2]).unwrap();
        let key = CacheKey { backbone: backbone.into(), seed, ..example() };
        (source.folder, source.dataset) = (format!("{root}/{dataset}/{}", version(&key)), dataset.into());
        source.key = Some(key);
        source
    }

    #[test]
    fn every_cache_gets_the_shortest_name_that_is_its_own() {
        let mut sources = [
            source("c", "pets", "vgg16", 0),
            source("c", "pets", "resnet", 0),
            source("c", "pets", "resnet", 1),
            source("c", "pets", "lite", 0),
            source("c", "wild", "lite", 0),
            source("c", "pets", "wide", 0),
            source("c", "pets", "wide", 1),
            source("c", "wild", "wide", 0),
            source("d", "wild", "wide", 0),
        ];
        name_apart(&mut sources).unwrap();
        let at = |backbone: &str, seed| version(&CacheKey { backbone: backbone.into(), seed, ..example() });
        let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
        let want = [
            "vgg16".to_owned(),
            at("resnet", 0),
            at("resnet", 1),
            "pets/lite".into(),
            "wild/lite".into(),
            format!("pets/{}", at("wide", 0)),
            at("wide", 1),
            format!("c/wild/{}", at("wide", 0)),
            format!("d/wild/{}", at("wide", 0)),
        ];
        assert_eq!(names, want);
        for (i, name) in want.iter().enumerate() {
            assert_eq!(find(&sources, name).unwrap(), i);
        }
        assert_eq!(find(&sources, "pets/vgg16").unwrap(), 0);
        assert_eq!(find(&sources, &format!("wild/{}", at("lite", 0))).unwrap(), 4);
        let several = find(&sources, "lite").unwrap_err().to_string();
        assert!(several.contains("2 caches") && several.contains("pets/lite, wild/lite"), "{several}");
        assert!(find(&sources, "vgg19").unwrap_err().to_string().contains("did you mean `vgg16`?"));
    }

    #[test]
    fn one_cache_given_twice_is_refused() {
        let message = name_apart(&mut [source("c", "pets", "lite", 0), source("c", "pets", "lite", 0)]).unwrap_err().to_string();
        assert!(message.contains("one cache given twice") && message.contains("help:"), "{message}");
    }
}
