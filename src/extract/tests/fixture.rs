//! Small PNGs in a temporary folder, an engine made of arithmetic, and jobs over both.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;

use crate::Result;
use crate::data::{self, Dataset, Digest, ImageSource, ListOptions, digests};
use crate::engine::{Batch, Engine};
use crate::extract::{EngineFactory, ExtractionJob, JobTap, Observer, Outcome, Part, run};
use crate::preprocess::{Policy, PreprocessSpec};
use crate::store::{CacheKey, Deferred, Dtype, LocalFiles, Objects, Wait};

pub(super) const SIZE: usize = 6;

/// Twelve features of an image: weighted sums of its pixels, and how many images were in its batch.
pub(super) struct Fake {
    pub taps: Vec<String>,
    pub pause: Duration,
}

impl Engine for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn device(&self) -> String {
        "cpu".into()
    }

    fn run(&self, batch: Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let Batch::Pixels { images, rgb, normalise, .. } = batch else { unreachable!("extraction sends pixels") };
        std::thread::sleep(self.pause * images as u32);
        let planes = normalise.planar(rgb, SIZE * SIZE);
        let feature = |tap: &str, image: &[f32], d: usize| {
            let weight = |i: usize| ((i * (d + 3) + tap.len()) % 7) as f32 - 3.0;
            image.iter().enumerate().map(|(i, v)| weight(i) * v).sum::<f32>() + images as f32 * 0.001
        };
        let of_tap =
            |tap: &String| planes.par_chunks(3 * SIZE * SIZE).flat_map_iter(|image| (0..12).map(move |d| feature(tap, image, d))).collect();
        Ok(self.taps.iter().map(of_tap).collect())
    }
}

/// A folder of images and the settings of a job over it.
pub(super) struct World {
    pub folder: tempfile::TempDir,
    pub taps: Vec<JobTap>,
    pub views: u32,
    pub dtype: Dtype,
    pub batch: usize,
    /// Rows of a group.
    pub group: u64,
    pub partial: bool,
    pub part: Option<Part>,
    pub deferred: Deferred,
    pub cache: PathBuf,
    pub pause: Duration,
}

impl World {
    /// `count` images of two classes.
    pub(super) fn new(count: usize) -> World {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let world = World {
            folder,
            taps: vec![tap("gap"), tap("map")],
            views: 1,
            dtype: Dtype::F32,
            batch: 3,
            group: 8,
            partial: false,
            part: None,
            deferred: Deferred::default(),
            cache,
            pause: Duration::ZERO,
        };
        (0..count).for_each(|i| world.image(&format!("train/{}/{i:03}.png", if i % 2 == 0 { "cats" } else { "dogs" }), i as u64));
        world
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn path(&self, uri: &str) -> PathBuf {
        self.data().join(uri)
    }

    /// Puts an image; another seed is another image.
    pub(super) fn image(&self, uri: &str, seed: u64) {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678;
        let pixels = image::RgbImage::from_fn(SIZE as u32, SIZE as u32, |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            image::Rgb([(state >> 56) as u8, (state >> 48) as u8, (state >> 40) as u8])
        });
        fs::create_dir_all(self.path(uri).parent().unwrap()).unwrap();
        pixels.save(self.path(uri)).unwrap();
    }

    pub(super) fn key(&self) -> CacheKey {
        CacheKey { store: self.dtype, augment: "flip".into(), ..crate::store::example_key() }
    }

    pub(super) fn run(&self) -> Outcome {
        self.try_run().unwrap()
    }

    pub(super) fn try_run(&self) -> Result<Outcome> {
        self.with_job(|job| run(job, &mut crate::extract::Silent))
    }

    pub(super) fn watched(&self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.with_job(|job| run(job, observer))
    }

    /// Lists the data and hands over a job.
    pub(super) fn with_job<T>(&self, act: impl FnOnce(&ExtractionJob<'_>) -> T) -> T {
        let engine = |taps: &[String], _: usize| Ok(Box::new(Fake { taps: taps.to_vec(), pause: self.pause }) as Box<dyn Engine>);
        self.with_engine(&engine, act)
    }

    pub(super) fn with_engine<T>(&self, engine: &EngineFactory<'_>, act: impl FnOnce(&ExtractionJob<'_>) -> T) -> T {
        let source = data::open(&self.data(), &ListOptions::default()).unwrap();
        let dataset = source.list().unwrap();
        self.with_source(source.as_ref(), &dataset, engine, act)
    }

    pub(super) fn with_source<T>(
        &self,
        source: &dyn ImageSource,
        dataset: &Dataset,
        engine: &EngineFactory<'_>,
        act: impl FnOnce(&ExtractionJob<'_>) -> T,
    ) -> T {
        let digests: Vec<Result<Digest>> = digests(source, &dataset.entries, None, &|| {}).unwrap().each;
        let preprocess = PreprocessSpec::parse("resize=none,crop=none,range=unit", &PreprocessSpec::default()).unwrap();
        act(&ExtractionJob {
            weights: "random:0",
            folder: &self.cache,
            name: "photos",
            key: &self.key(),
            source,
            dataset,
            digests: &digests,
            unread: &[],
            partial: self.partial,
            orientation: data::Orientation::AsStored,
            preprocess: &preprocess,
            input: [SIZE, SIZE],
            policy: &"flip,rotate:20".parse::<Policy>().unwrap(),
            views: self.views,
            taps: &self.taps,
            batch: self.batch,
            flops: 3_000_000_000_000 / self.group / u64::from(self.views),
            engine,
            wait: Wait::Moment,
            part: self.part,
            deferred: self.deferred,
        })
    }

    /// Every file of the cache that must not differ from run to run.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = LocalFiles::new(&self.cache).list("").unwrap();
        let kept = names.into_iter().filter(|n| !n.starts_with('.') && n != "extract.log.jsonl");
        kept.map(|n| (n.clone(), fs::read(self.cache.join(&n)).unwrap())).collect()
    }

    /// The engine's tap lists, in the order in which engines were asked for.
    pub(super) fn engines_built(&self) -> Vec<Vec<String>> {
        let built = RefCell::new(vec![]);
        let engine = |taps: &[String], _: usize| {
            built.borrow_mut().push(taps.to_vec());
            Ok(Box::new(Fake { taps: taps.to_vec(), pause: self.pause }) as Box<dyn Engine>)
        };
        self.with_engine(&engine, |job| run(job, &mut crate::extract::Silent)).unwrap();
        built.into_inner()
    }
}

pub(super) fn tap(name: &str) -> JobTap {
    JobTap { name: name.into(), shape: if name == "map" { vec![3, 2, 2] } else { vec![12] } }
}

/// Images computed, reused, left and failed.
pub(super) fn counts(outcome: &Outcome) -> [usize; 4] {
    assert_eq!(outcome.images, outcome.computed + outcome.reused + outcome.left + outcome.failed.len());
    [outcome.computed, outcome.reused, outcome.left, outcome.failed.len()]
}

pub(super) fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(n, _)| n.as_str()).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
