//! How the rows of two caches differ.

use crate::store::disk::rows::Row;
use crate::store::reading::cache::Cache;

/// Whether two rows stand for one image. Where one of them was never read, the path decides.
pub(in crate::store) fn is_same_image(a: &Row, b: &Row) -> bool {
    match (a.digest, b.digest) {
        (Some(a), Some(b)) => a == b,
        _ => a.path == b.path,
    }
}

/// The first difference between two numberings of images, and how many there are; `None` where both
/// number the same images alike.
pub(in crate::store) fn other_images(there: &[Row], here: &[Row]) -> Option<String> {
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

/// Rows of a part whose path, split or classes are others here. An open split does not count as
/// another one.
pub(in crate::store) fn other_labels(part: &Cache, here: &[Row], classes: &[String]) -> usize {
    let named = |labels: &[usize], classes: &[String]| -> Vec<String> { labels.iter().filter_map(|&l| classes.get(l).cloned()).collect() };
    let theirs = &part.manifest().classes;
    let differs = |(a, b): &(&Row, &Row)| {
        a.path != b.path || a.split.is_some() && a.split != b.split || named(&a.labels, theirs) != named(&b.labels, classes)
    };
    part.rows().iter().zip(here).filter(differs).count()
}
