//! A bundle: base, head, preprocess and classes in one safetensors file that predicts alone.
//!
//! | in the file | holds |
//! |---|---|
//! | `base.N.PARAMETER` | the tensors that the head's taps need, f32, under the original's own names, batch norm unfolded: any machine plans them for itself |
//! | `head.NAME` | the tensors of the sweep's `head.safetensors` |
//! | `__metadata__.headstart` | [`Contents`] as JSON: `model.json`, the bases, and a SHA-256 |
//!
//! The digest is that of the whole file with 64 zeros in the digest's own place: no bit can change
//! unseen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::trained::{TrainedModel, UsedBackbone};
use crate::backbone::Backbone;
use crate::backbones::{self, BuildOptions, Opened};
use crate::engine::DeviceChoice;
use crate::files::{output, replace};
use crate::graph::Parameter;
use crate::heads::{Model, Predictor};
use crate::preprocess::PreprocessSpec;
use crate::weights::{self, Mapped, Tensor, TensorSource, hex};
use crate::{Error, Result, steps};

/// Version of the bundle's layout.
pub(crate) const BUNDLE_FORMAT: u32 = 2;
/// The metadata entry's name.
const ENTRY: &str = "headstart";
/// Stands where the digest belongs while it is computed.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The bundle that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// Tensors of base and head.
    pub tensors: usize,
    /// Size of the file.
    pub bytes: u64,
}

/// What every format of the metadata entry begins with.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The metadata entry.
#[derive(Serialize, Deserialize)]
struct Contents {
    /// [`BUNDLE_FORMAT`]
    format: u32,
    sha256: String,
    /// Version of headstart that wrote it.
    headstart: String,
    bases: Vec<BundledBackbone>,
    /// `model.json`
    model: Model,
}

/// Facts about a backbone beside its tensors; all others stand in the model's key.
#[derive(Serialize, Deserialize)]
struct BundledBackbone {
    backbone: String,
    /// Origin of the weights: an entry, a file, `random:SEED`.
    weights: String,
    /// Options of the backbone's graph.
    options: BuildOptions,
    preprocess: String,
    /// How photos are turned before they are preprocessed; the key says it as well, and bundles of
    /// earlier versions nowhere else.
    #[serde(default)]
    orientation: String,
    taps: Vec<String>,
}

/// Writes everything that the model needs into one file, whole or not at all.
///
/// # Errors
/// Weights that do not fit or cannot be read, a folder that cannot be written to.
pub fn write_bundle(model: &TrainedModel, file: &Path) -> Result<Bundled> {
    let refused = |e: &dyn std::fmt::Display| Error::internal(format!("the bundle cannot be written: {e}"));
    let head = model.predictor.to_bytes()?.weights;
    let head = SafeTensors::deserialize(&head).map_err(|e| refused(&e))?;
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> =
        head.iter().map(|(name, t)| (format!("head.{name}"), t.dtype(), t.shape().to_vec(), t.data().to_vec())).collect();
    for (n, used) in model.backbones.iter().enumerate() {
        used.backbone.audit(&used.taps)?;
        for p in used.backbone.graph().prune(&used.taps)?.parameters() {
            let values = weights::read_shaped(used.backbone.weights().source.as_ref(), &p.name, &p.shape)?.data;
            tensors.push((format!("base.{n}.{}", p.name), Dtype::F32, p.shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
        }
    }
    let contents = Contents {
        format: BUNDLE_FORMAT,
        sha256: ZEROS.into(),
        headstart: env!("CARGO_PKG_VERSION").into(),
        bases: model.backbones.iter().map(BundledBackbone::new).collect(),
        model: model.predictor.model.clone(),
    };
    let entry = serde_json::to_string(&contents).map_err(|e| refused(&e))?;
    let mut views = vec![];
    for (name, dtype, shape, bytes) in &tensors {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| refused(&e))?));
    }
    let mut bytes = safetensors::serialize(views, Some([(ENTRY.to_owned(), entry)].into())).map_err(|e| refused(&e))?;
    let place = find(&bytes, ZEROS).ok_or_else(|| refused(&"no place for its digest"))?;
    let digest = hex(&Sha256::digest(&bytes));
    bytes[place..place + ZEROS.len()].copy_from_slice(digest.as_bytes());
    replace(&output(file)?, &bytes)?;
    Ok(Bundled { tensors: tensors.len(), bytes: bytes.len() as u64 })
}

impl BundledBackbone {
    fn new(used: &UsedBackbone) -> BundledBackbone {
        let weights = used.backbone.weights();
        BundledBackbone {
            backbone: used.backbone.info().name.into(),
            weights: weights.name.clone(),
            options: weights.options.clone(),
            preprocess: used.backbone.preprocess().to_string(),
            orientation: used.orientation.name().into(),
            taps: used.taps.clone(),
        }
    }
}

/// Opens a bundle, every byte checked.
pub(super) fn open(file: &Path, device: DeviceChoice) -> Result<TrainedModel> {
    let again = format!("get the file again, or {} with option `bundle`", steps::EXPORT_AGAIN);
    let damaged = |problem: String| Error::weights(file, problem, &again);
    let mapped = Mapped::open(file)?;
    let bytes = mapped.as_ref();
    let unreadable = |e: safetensors::SafeTensorError| damaged(format!("is not a bundle, or a damaged one: {e}"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let entry = metadata.metadata().as_ref().and_then(|all| all.get(ENTRY));
    let entry =
        entry.ok_or_else(|| Error::weights(file, "is a safetensors file, but not a bundle", "name a bundle, or a sweep's directory"))?;
    let no_bundle = |e: serde_json::Error| damaged(format!("is a damaged bundle: {e}"));
    let Version { format } = serde_json::from_str(entry).map_err(no_bundle)?;
    if format != BUNDLE_FORMAT {
        let earlier = if format < BUNDLE_FORMAT { "an earlier" } else { "a later" };
        let problem = format!("was made by {earlier} version of headstart: it is in format {format}, this one reads {BUNDLE_FORMAT}");
        let hint = format!("{}, {} and export it; or use that version", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN);
        return Err(Error::weights(file, problem, hint));
    }
    let contents: Contents = serde_json::from_str(entry).map_err(no_bundle)?;
    let is_whole = is_whole(bytes, &contents.sha256);
    mapped.check()?;
    if !is_whole {
        return Err(damaged("is damaged: its content is not what its SHA-256 promises".into()));
    }
    let all = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let head: Vec<(&str, TensorView<'_>)> = all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("head.")?, tensor))).collect();
    let head = safetensors::serialize(head, None).map_err(unreadable)?;
    let predictor = Predictor::from_bytes(&serde_json::to_vec(&contents.model).unwrap_or_default(), &head, file)?;
    let tensors: Arc<dyn TensorSource> = weights::open(file)?.into();
    TrainedModel::join(file, predictor, |n, _, key| {
        let about = contents.bases.get(n).ok_or_else(|| damaged(format!("is a damaged bundle: it lacks base {n}")))?;
        let info = backbones::find(&about.backbone).map_err(|e| damaged(format!("is a damaged bundle: {e}")))?;
        if info.graph(&about.options).digest() != key.graph {
            let problem = format!("holds a head on another {} than this headstart builds, or is damaged", info.name);
            return Err(Error::weights(
                file,
                problem,
                format!("use the headstart that wrote it; or {}, {} and export it", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN),
            ));
        }
        let source =
            BundledWeights { file: file.into(), tensors: tensors.clone(), prefix: format!("base.{n}."), digest: key.weights.clone() };
        let weights = Opened {
            source: Box::new(source),
            name: about.weights.clone(),
            // The key has a preprocess of its own, in full.
            preprocess: PreprocessSpec::default(),
            crop_pct: 1.0,
            options: about.options.clone(),
        };
        Backbone::of_key_with(info, key, weights, device)
    })
}

/// The tensors of one base of a bundle.
struct BundledWeights {
    file: PathBuf,
    tensors: Arc<dyn TensorSource>,
    prefix: String,
    /// Digest of the weights that these were taken from: the bundle's own digest vouches for it.
    digest: String,
}

impl TensorSource for BundledWeights {
    fn origin(&self) -> PathBuf {
        self.file.clone()
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn entries(&self) -> Vec<Parameter> {
        let own = |p: Parameter| Some(Parameter { name: p.name.strip_prefix(&self.prefix)?.to_owned(), shape: p.shape });
        self.tensors.entries().into_iter().filter_map(own).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        self.tensors.read(&format!("{}{name}", self.prefix))
    }
}

/// Whether the file's digest, its own place filled with zeros, is the one that it promises.
fn is_whole(bytes: &[u8], promised: &str) -> bool {
    let Some(place) = find(bytes, promised).filter(|_| promised.len() == ZEROS.len()) else { return false };
    let mut hash = Sha256::new();
    hash.update(&bytes[..place]);
    hash.update(ZEROS);
    hash.update(&bytes[place + ZEROS.len()..]);
    hex(&hash.finalize()) == promised
}

/// Position of the first occurrence of a text: the digest stands in the header, before all tensors.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len().max(1)).position(|window| window == text.as_bytes())
}
