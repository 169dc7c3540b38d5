//! The caches of a sweep, opened together.

use std::collections::HashMap;
use std::path::Path;

use super::names::name_apart;
use super::source::Source;
use crate::heads::Groups;
use crate::{Error, Result};

/// Opens caches and gives each a name of its own.
///
/// # Errors
/// As [`Source::open`], one cache given twice, and caches of different classes.
pub(crate) fn open_all(folders: &[impl AsRef<Path>]) -> Result<Vec<Source>> {
    let mut sources = folders.iter().map(|f| Source::open(f.as_ref())).collect::<Result<Vec<_>>>()?;
    name_apart(&mut sources)?;
    agree(&mut sources);
    if let Some(other) = sources.iter().find(|s| s.classes != sources[0].classes) {
        let problem = format!("the caches {} and {} have different classes", sources[0].folder, other.folder);
        return Err(Error::setting(problem, "sweep caches of one data set together"));
    }
    Ok(sources)
}

/// Makes all caches keep together the images that one of them keeps together, so that their heads
/// are judged by the same images. An image is known by its path.
fn agree(sources: &mut [Source]) {
    if sources.iter().all(|s| s.groups == sources[0].groups && s.paths == sources[0].paths) {
        return;
    }
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut number = |path: &String| {
        let next = numbers.len();
        *numbers.entry(path.clone()).or_insert(next)
    };
    let images: Vec<Vec<usize>> = sources.iter().map(|s| s.paths.iter().map(&mut number).collect()).collect();
    let mut all = Groups::default();
    for (source, images) in sources.iter().zip(&images) {
        all.join(numbers.len(), images.iter().enumerate().map(|(row, &image)| (image, source.groups.first(row))));
    }
    for (source, images) in sources.iter_mut().zip(&images) {
        source.groups.join(images.len(), images.iter().enumerate().map(|(row, &image)| (row, all.first(image))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Split;
    use crate::heads::Matrix;
    use crate::sweep::TapFeatures;

    fn source(paths: &[&str], groups: &[&str]) -> Source {
        let n = paths.len();
        let features = Arc::new(Matrix::new(1, vec![0.0; n]).unwrap());
        let taps = vec![TapFeatures { name: "gap".into(), shape: vec![1], features, views: vec![] }];
        let labels = (0..n as u32).map(|row| vec![row % 2]).collect();
        let paths = paths.iter().map(|p| (*p).to_owned()).collect();
        let mut source = Source::new(taps, vec!["a".into(), "b".into()], paths, labels, &vec![Split::Train; n]).unwrap();
        source.groups.join(n, groups.iter().enumerate().filter(|(_, group)| !group.is_empty()));
        source
    }

    fn firsts(source: &Source) -> Vec<usize> {
        (0..source.paths.len()).map(|row| source.groups.first(row)).collect()
    }

    #[test]
    fn caches_agree_on_what_stays_together() {
        let mut sources = [source(&["1", "2", "3", "4"], &["x", "", "x", ""]), source(&["4", "3", "2"], &["y", "y", ""])];
        let before = sources[1].digest();
        agree(&mut sources);
        assert_eq!((firsts(&sources[0]), firsts(&sources[1])), (vec![0, 1, 0, 0], vec![0, 0, 2]));
        assert_eq!(sources[1].digest(), before);
        let alone = source(&["1", "2"], &["", ""]);
        assert_ne!(alone.digest(), source(&["1", "2"], &["x", "x"]).digest(), "trials are trained again where rows stay together now");
    }
}
