//! A cache as a sweep sees it: features, labels, and a partition into train, val and test.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::data::Split;
use crate::heads::{FeatureTable, Groups, InputFeatures, Labels, Partition, PretrainedLayers};
use crate::steps::{EXTRACT, EXTRACT_AGAIN};
use crate::store::{Cache, CacheKey, Row, Status};
use crate::text::counted;
use crate::{Error, Result};

/// Share of train that serves as val where there is no val split.
pub(crate) const HELD_OUT: f64 = 0.2;

/// One tap of a cache.
#[derive(Clone)]
pub struct TapFeatures {
    /// Its name.
    pub name: String,
    /// Shape of one row.
    pub shape: Vec<usize>,
    /// Features of view 0.
    pub features: Arc<dyn FeatureTable>,
    /// Features of the augmented views 1, 2, ….
    pub views: Vec<Arc<dyn FeatureTable>>,
}

/// A cache as a sweep sees it.
#[derive(Clone)]
pub struct Source {
    /// Its name in the `cache` parameter: `backbone`, or as much more as tells it apart from the
    /// others: `backbone@key`, `dataset/backbone`, `dataset/backbone@key`, the folder.
    pub name: String,
    /// Its folder, for messages and `model.json`.
    pub folder: String,
    /// Name of the data set.
    pub dataset: String,
    /// The words that name the backbone's weights; empty for features that come from no cache.
    pub weights: String,
    /// Everything that decides its features; `None` for features that come from no cache.
    pub key: Option<CacheKey>,
    /// Its taps.
    pub taps: Vec<TapFeatures>,
    /// The backbone's own fully connected layers, for `head: classifier`. The caller sets
    /// them: a sweep knows no backbones.
    pub classifier: Option<PretrainedLayers>,
    /// Class names.
    pub classes: Vec<String>,
    /// Identity of each row: the image's path.
    pub paths: Vec<String>,
    /// Classes of each row.
    pub labels: Labels,
    /// Rows of train, val and test.
    pub partition: Partition,
    /// Rows whose images are the same to the last byte.
    pub copies: Groups,
    /// Rows that are never parted: copies, and rows of one group.
    pub groups: Groups,
}

impl Source {
    /// Opens a cache and its plain features.
    ///
    /// # Errors
    /// A cache that is damaged or whose extraction is not finished.
    pub fn open(folder: &Path) -> Result<Source> {
        Cache::with(folder, |cache| Source::of(cache, folder))
    }

    fn of(cache: &Cache, folder: &Path) -> Result<Source> {
        cache.settled()?;
        cache.has_features()?;
        let manifest = cache.manifest();
        let rows: Vec<&Row> = cache.rows().iter().filter(|r| r.status == Status::Ok).collect();
        let mut taps = vec![];
        for (name, tap) in &manifest.taps {
            let features = cache.features(name, 0)?;
            if !features.row_ids().iter().copied().eq(rows.iter().map(|r| r.row)) {
                let problem = format!("tap `{name}` has features of {} of {}", features.len(), counted(rows.len(), "image", "images"));
                return Err(Error::cache(folder, problem, format!("finish the extraction: {EXTRACT_AGAIN} as before")));
            }
            let views = (1..).map_while(|view| cache.features(name, view).ok().filter(|v| v.row_ids() == features.row_ids()));
            let views = views.map(|v| Arc::new(v) as Arc<dyn FeatureTable>).collect();
            taps.push(TapFeatures { name: name.clone(), shape: tap.shape.clone(), features: Arc::new(features), views });
        }
        let labels = rows.iter().map(|r| r.labels.iter().map(|&l| l as u32).collect()).collect();
        let splits: Vec<Split> = rows.iter().filter_map(|r| r.split).collect();
        let paths = rows.iter().map(|r| r.path.clone()).collect();
        let mut source = Source::new(taps, manifest.classes.clone(), paths, labels, &splits)?;
        source.copies.join(rows.len(), rows.iter().enumerate().filter_map(|(i, row)| Some((i, row.digest?))));
        source.groups = source.copies.clone();
        source.groups.join(rows.len(), rows.iter().enumerate().filter_map(|(i, row)| Some((i, row.group.as_deref()?))));
        source.name = manifest.key.backbone.clone();
        source.folder = folder.display().to_string();
        source.dataset = manifest.dataset.clone();
        source.weights = manifest.weights.clone();
        source.key = Some(manifest.key.clone());
        Ok(source)
    }

    /// A source in memory. Where no row is for val, a sweep holds out a part of train.
    ///
    /// # Errors
    /// No tap, no training row, fewer than two classes, or different numbers of rows.
    pub fn new(
        taps: Vec<TapFeatures>,
        classes: Vec<String>,
        paths: Vec<String>,
        labels: Vec<Vec<u32>>,
        splits: &[Split],
    ) -> Result<Source> {
        let refuse = |problem: String, hint: &str| Err(Error::setting(problem, hint));
        let rows = labels.len();
        if taps.is_empty() {
            return refuse("the cache holds no tap".into(), &format!("{EXTRACT} with option `tap=gap`"));
        }
        if taps.iter().any(|t| t.features.rows() != rows) || paths.len() != rows || splits.len() != rows {
            return refuse("features, labels and splits have different numbers of rows".into(), "give one of each a row");
        }
        let found = counted(classes.len(), "class", "classes");
        if classes.len() < 2 || labels.iter().flatten().any(|&l| l as usize >= classes.len()) {
            return refuse(
                format!("there {} {found}", if classes.len() == 1 { "is" } else { "are" }),
                "a classifier needs two classes, and labels below their number",
            );
        }
        let partition = Partition::new(splits);
        if partition.train.is_empty() {
            return refuse(
                "no row is for training".into(),
                "put images into a `train` folder, or split them with option `split=hash:80/10/10`",
            );
        }
        Ok(Source {
            name: "features".into(),
            folder: String::new(),
            dataset: String::new(),
            weights: String::new(),
            key: None,
            taps,
            classifier: None,
            classes,
            paths,
            labels: Labels::new(labels),
            partition,
            copies: Groups::default(),
            groups: Groups::default(),
        })
    }

    /// Checks that all features could be read so far. Asked before results count.
    ///
    /// # Errors
    /// A file that was cut short meanwhile, or that the disk cannot read.
    pub fn intact(&self) -> Result<()> {
        self.taps.iter().flat_map(|tap| std::iter::once(&tap.features).chain(&tap.views)).try_for_each(|table| table.intact())
    }

    /// A tap by its name.
    pub fn tap(&self, name: &str) -> Option<&TapFeatures> {
        self.taps.iter().find(|t| t.name == name)
    }

    /// Digest of key, rows, labels, partition and groups: with the tap, everything beside its
    /// settings that a trial's numbers depend on.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.key.as_ref().map(CacheKey::digest).unwrap_or_default().as_bytes());
        self.classes.iter().chain(&self.paths).for_each(|text| part(text.as_bytes()));
        for row in 0..self.labels.len() {
            part(&self.labels.of(row).iter().flat_map(|l| l.to_le_bytes()).collect::<Vec<_>>());
        }
        for rows in [&self.partition.train, &self.partition.val, &self.partition.test] {
            part(&rows.iter().flat_map(|&r| (r as u64).to_le_bytes()).collect::<Vec<_>>());
        }
        if !self.groups.are_single() {
            part(&(0..self.paths.len()).flat_map(|row| (self.groups.first(row) as u64).to_le_bytes()).collect::<Vec<_>>());
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The description of one of its taps in `model.json`.
    pub fn describe(&self, tap: &TapFeatures) -> InputFeatures {
        InputFeatures {
            cache: self.folder.clone(),
            dataset: self.dataset.clone(),
            tap: tap.name.clone(),
            shape: tap.shape.clone(),
            weights: self.weights.clone(),
            key_digest: self.key.as_ref().map(CacheKey::digest).unwrap_or_default(),
            key: self.key.clone(),
        }
    }
}
