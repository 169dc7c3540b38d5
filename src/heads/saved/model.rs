//! The files of a trained head: `head.safetensors` and `model.json`, which says all that is needed to use it.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::heads::evaluation::calibration::rescale;
use crate::heads::features::table::{Labels, Matrix, Pooled};
use crate::heads::features::transform::Transform;
use crate::heads::fitted::head::{BatchNorm, Head, Layer};
use crate::heads::settings::choices::HeadKind;
use crate::heads::settings::params::HeadSpec;
use crate::heads::solvers::Neighbours;
use crate::store::Key;
use crate::{Error, Result, steps};

/// Version of `model.json`.
pub const MODEL_FORMAT: u32 = 2;
/// The description's file name.
pub const MODEL_FILE: &str = "model.json";
/// The folder of a sweep that holds the best trial's head.
pub const BEST_FOLDER: &str = "best";
/// The weights' file name.
pub const HEAD_FILE: &str = "head.safetensors";

/// Name of the tensor of neighbours.
const ROWS: &str = "neighbours.rows";
/// Name of the tensor of their classes, −1 where a row has fewer than others.
const VOTES: &str = "neighbours.classes";

/// One feature vector that a head reads: which tap of which backbone, made how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputFeatures {
    /// The cache's folder when the head was trained.
    pub cache: String,
    /// The data set's name.
    pub dataset: String,
    /// The tap.
    pub tap: String,
    /// Shape of one image's features there.
    pub shape: Vec<usize>,
    /// The words that get the backbone's weights again: an entry's name, a path, `random:SEED`.
    pub weights: String,
    /// Backbone, weights, preprocess: everything that decides the features. `None` for features that came from no cache.
    pub key: Option<Key>,
    /// Digest of the key.
    pub key_digest: String,
}

/// `model.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// [`MODEL_FORMAT`]
    pub format: u32,
    /// The head, with its settings.
    pub head: HeadSpec,
    /// Class names, in the order of the probabilities.
    pub classes: Vec<String>,
    /// What it reads; several are joined in this order.
    pub inputs: Vec<InputFeatures>,
    /// Whether rows are divided by their norm first.
    pub l2: bool,
    /// Whether columns are standardised with `transform.mean` and `transform.scale`.
    pub standardise: bool,
    /// What logits are divided by so that probabilities mean what they say; fitted on val, see [`calibrate`](super::calibrate).
    #[serde(default = "unscaled")]
    pub temperature: f64,
    /// Number of the trial.
    pub trial: usize,
    /// What the sweep varied, as the trial had it.
    pub settings: Map<String, Value>,
    /// Its metrics, `val.acc1` and so on.
    pub metrics: Map<String, Value>,
    /// Version of headstart that trained it.
    pub headstart: String,
}

/// What `model.json` says of the file beside it. Older ones say nothing.
#[derive(Serialize, Deserialize)]
struct Promise {
    /// SHA-256 of `head.safetensors`.
    #[serde(default)]
    head_sha256: Option<String>,
}

/// `model.json` as it is written.
#[derive(Serialize)]
struct ModelFile<'a> {
    #[serde(flatten)]
    model: &'a Model,
    #[serde(flatten)]
    promise: Promise,
}

/// Where a sweep directory has the best head: a folder that holds `model.json` itself will do.
fn best_of(folder: &Path) -> PathBuf {
    let best = folder.join(BEST_FOLDER);
    if best.join(MODEL_FILE).is_file() { best } else { folder.into() }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if folder.join("trials.jsonl").is_file() => Error::data(
            folder,
            "is a sweep that has not finished: it has no best head yet",
            "start the same `headstart sweep` again, it goes on; sweeps that were in this folder before are in its `earlier/N`",
        ),
        std::io::ErrorKind::NotFound => Error::data(&path, "is not there", "name a folder that `headstart sweep` has written"),
        _ => Error::io("read", &path)(e),
    })
}

/// What is wrong with a head whose weights are not those that `model.json` promises.
fn broken_promise(folder: &Path) -> Error {
    let problem = format!("is damaged, or another sweep's: its SHA-256 is not the one that {MODEL_FILE} promises");
    Error::data(folder.join(HEAD_FILE), problem, AGAIN)
}

const AGAIN: &str = crate::steps::TRAIN_AGAIN;

/// Whether the best head's weights are those that `model.json` was written for; one that promises nothing is believed.
///
/// # Errors
/// Files that are not there, that are damaged or do not belong together.
pub fn check_head_file(folder: impl AsRef<Path>) -> Result<()> {
    let folder = best_of(folder.as_ref());
    let path = folder.join(MODEL_FILE);
    let no_model = |e: serde_json::Error| Error::data(&path, format!("is no model: {e}"), AGAIN);
    let promise: Promise = serde_json::from_slice(&read(&folder, MODEL_FILE)?).map_err(no_model)?;
    let weights = read(&folder, HEAD_FILE)?;
    let is_kept = promise.head_sha256.is_none_or(|promised| promised == sha256(&weights));
    if is_kept { Ok(()) } else { Err(broken_promise(&folder)) }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A trained head with everything around it: features as they come from the cache in, class probabilities out.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    /// What it is.
    pub model: Model,
    /// What is done to the features first.
    pub transform: Transform,
    /// The head.
    pub head: Head,
}

impl Model {
    /// Reads `model.json`; `path` is for messages.
    ///
    /// # Errors
    /// Another version's file, or one whose parts do not fit each other.
    pub(crate) fn parse(text: &[u8], path: &Path) -> Result<Model> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let no_model = |e: serde_json::Error| Error::data(path, format!("is no model: {e}"), AGAIN);
        let Version { format } = serde_json::from_slice(text).map_err(no_model)?;
        if format != MODEL_FORMAT {
            let version = if format < MODEL_FORMAT { "an earlier" } else { "a later" };
            let problem = format!("was made by {version} version of headstart: it is in format {format}, this one reads {MODEL_FORMAT}");
            return Err(Error::data(path, problem, format!("{}, then {}; or use that version", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN)));
        }
        let model: Model = serde_json::from_slice(text).map_err(no_model)?;
        model.check().map_err(|problem| Error::data(path, format!("does not fit together: {problem}"), AGAIN))?;
        Ok(model)
    }
}

impl Predictor {
    /// Loads the best head of a sweep directory (or of a folder that holds `model.json` itself).
    ///
    /// # Errors
    /// No such files, or damaged ones.
    pub fn load(folder: impl AsRef<Path>) -> Result<Predictor> {
        let folder = best_of(folder.as_ref());
        Predictor::from_bytes(&read(&folder, MODEL_FILE)?, &read(&folder, HEAD_FILE)?, &folder)
    }

    /// Reads a head from the contents of its two files; `origin` is for messages.
    ///
    /// # Errors
    /// Contents that are not those of a head, or that do not belong together.
    pub fn from_bytes(model: &[u8], weights: &[u8], origin: &Path) -> Result<Predictor> {
        let again = AGAIN;
        let path = origin.join(MODEL_FILE);
        let no_model = |e: serde_json::Error| Error::data(&path, format!("is no model: {e}"), again);
        let promise: Promise = serde_json::from_slice(model).map_err(no_model)?;
        let model = Model::parse(model, &path)?;
        let path = origin.join(HEAD_FILE);
        let damaged = |problem: String| Error::data(&path, problem, again);
        if promise.head_sha256.is_some_and(|promised| promised != sha256(weights)) {
            return Err(broken_promise(origin));
        }
        let tensors = SafeTensors::deserialize(weights).map_err(|e| damaged(format!("is damaged: {e}")))?;
        let read = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let tensor = tensors.tensor(name).map_err(|_| damaged(format!("has no `{name}`")))?;
            if tensor.shape() != shape || tensor.dtype() != safetensors::Dtype::F32 {
                return Err(damaged(format!("has `{name}` with shape {:?} instead of {shape:?}", tensor.shape())));
            }
            Ok(tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        };
        let dims = model.head.dims();
        let layer = |(i, io): (usize, &[usize])| {
            let weight = read(&format!("layers.{i}.weight"), &[io[1], io[0]])?;
            Ok(Layer { weight, bias: read(&format!("layers.{i}.bias"), &[io[1]])? })
        };
        let layers = dims.windows(2).enumerate().map(layer).collect::<Result<_>>()?;
        let neighbours = match model.head.params().head {
            HeadKind::Knn => Some(neighbours(&tensors, &model.head).ok_or_else(|| damaged("has no neighbours that fit".into()))?),
            _ => None,
        };
        let batch_norm = match model.head.has_batch_norm() {
            true => Some(BatchNorm {
                mean: read("batch_norm.running_mean", &dims[..1])?,
                variance: read("batch_norm.running_var", &dims[..1])?,
            }),
            false => None,
        };
        let mut transform = Transform { l2: model.l2, ..Transform::default() };
        if model.standardise {
            transform.mean = read("transform.mean", &dims[..1])?;
            transform.scale = read("transform.scale", &dims[..1])?;
        }
        Ok(Predictor { head: Head { spec: model.head.clone(), batch_norm, layers, neighbours }, transform, model })
    }

    /// The contents of `model.json` and `head.safetensors`.
    ///
    /// # Errors
    /// None in practice: what serialising could refuse is never in a head.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let refused =
            |e: &dyn std::fmt::Display| Error::setting(format!("a head cannot be written: {e}"), "this is a mistake in headstart");
        let tensors = self.tensors();
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let mut views = vec![];
        for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
            let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).map_err(|e| refused(&e))?;
            views.push((name.as_str(), view));
        }
        let votes = self.head.neighbours.as_ref().map(Neighbours::votes);
        if let Some((shape, bytes)) = &votes {
            let view = TensorView::new(safetensors::Dtype::I64, shape.to_vec(), bytes).map_err(|e| refused(&e))?;
            views.push((VOTES, view));
        }
        let weights = safetensors::serialize(views, None).map_err(|e| refused(&e))?;
        let file = ModelFile { model: &self.model, promise: Promise { head_sha256: Some(sha256(&weights)) } };
        let mut model = serde_json::to_vec_pretty(&file).map_err(|e| refused(&e))?;
        model.push(b'\n');
        Ok((model, weights))
    }

    /// Every tensor with its name and shape.
    fn tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        let vector = |name: &str, values| (name.to_owned(), vec![<[f32]>::len(values)], values);
        let mut all = vec![];
        for (i, (layer, io)) in self.head.layers.iter().zip(self.head.spec.dims().windows(2)).enumerate() {
            all.push((format!("layers.{i}.weight"), vec![io[1], io[0]], layer.weight.as_slice()));
            all.push((format!("layers.{i}.bias"), vec![io[1]], layer.bias.as_slice()));
        }
        if let Some(neighbours) = &self.head.neighbours {
            all.push((ROWS.to_owned(), vec![neighbours.labels.len(), self.head.spec.inputs], neighbours.rows.as_slice()));
        }
        if let Some(norm) = &self.head.batch_norm {
            all.push(vector("batch_norm.running_mean", &norm.mean));
            all.push(vector("batch_norm.running_var", &norm.variance));
        }
        if !self.transform.mean.is_empty() {
            all.push(vector("transform.mean", &self.transform.mean));
            all.push(vector("transform.scale", &self.transform.scale));
        }
        all
    }

    /// Features of one image or of several, `[n, features]` with the inputs side by side, to probabilities `[n, classes]`.
    ///
    /// # Errors
    /// A number of values that does not make whole rows.
    pub fn probabilities(&self, features: Vec<f32>) -> Result<Vec<f32>> {
        let dim: usize = self.model.inputs.iter().map(|i| i.shape.iter().product::<usize>()).sum();
        let raw = Matrix::new(dim, features)?;
        let mut x = if self.head.spec.pools() {
            Matrix::of(&Pooled::new(std::sync::Arc::new(raw), &self.model.inputs[0].shape)?).into_data()
        } else {
            raw.into_data()
        };
        x.chunks_exact_mut(self.head.spec.inputs).for_each(|row| self.transform.apply(row));
        let (mut probabilities, classes) = (self.head.probabilities(x), self.model.classes.len());
        rescale(&mut probabilities, classes, self.head.spec.is_each(), self.model.temperature);
        Ok(probabilities)
    }

    /// Class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.model.classes
    }

    /// What the head reads: for each, the tap to take and the cache key of the backbone that makes it.
    pub fn inputs(&self) -> &[InputFeatures] {
        &self.model.inputs
    }
}

/// The temperature of a head that was never calibrated.
fn unscaled() -> f64 {
    1.0
}

/// The neighbours of a head, if the file holds some that fit it.
fn neighbours(tensors: &SafeTensors<'_>, head: &HeadSpec) -> Option<Neighbours> {
    let rows = tensors
        .tensor(ROWS)
        .ok()
        .filter(|t| t.dtype() == safetensors::Dtype::F32 && t.shape().len() == 2 && t.shape()[1] == head.inputs)?;
    let votes = tensors
        .tensor(VOTES)
        .ok()
        .filter(|t| t.dtype() == safetensors::Dtype::I64 && t.shape().len() == 2 && t.shape()[0] == rows.shape()[0])?;
    let width = votes.shape()[1];
    let all: Vec<i64> = votes.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let labels = all.chunks(width.max(1)).map(|row| row.iter().filter_map(|&c| u32::try_from(c).ok()).collect::<Vec<u32>>());
    let labels = Labels::new(labels.collect());
    let fits = !labels.is_empty()
        && labels.len() == rows.shape()[0]
        && (0..labels.len()).all(|row| labels.of(row).iter().all(|&c| (c as usize) < head.classes));
    fits.then(|| Neighbours { rows: rows.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(), labels })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::heads::settings::choices::HeadKind;
    use crate::heads::settings::params::{Fit, Params};

    pub(crate) fn predictor(params: Params, shape: &[usize]) -> Predictor {
        let head = params.check(Fit { tap: "t", shape, classes: 3, many: false }).unwrap();
        let inputs = vec![InputFeatures {
            cache: String::new(),
            dataset: "d".into(),
            tap: "t".into(),
            shape: shape.to_vec(),
            weights: String::new(),
            key: None,
            key_digest: String::new(),
        }];
        let dim = head.inputs;
        let transform = Transform { l2: true, mean: vec![0.1; dim], scale: vec![2.0; dim] };
        let (classes, settings) = (vec!["a".into(), "b".into(), "c".into()], Map::new());
        let (format, headstart) = (MODEL_FORMAT, "0".into());
        let trained = Head::initial(&head);
        let metrics = Map::new();
        Predictor {
            model: Model {
                format,
                head,
                classes,
                inputs,
                l2: true,
                standardise: true,
                temperature: 1.0,
                trial: 0,
                settings,
                metrics,
                headstart,
            },
            transform,
            head: trained,
        }
    }

    #[test]
    fn a_head_comes_back_from_its_files_as_it_was() {
        let params = Params { head: HeadKind::Dense, hidden: vec![4, 5], batch_norm: true, ..Params::default() };
        let before = predictor(params, &[6]);
        let (model, weights) = before.to_bytes().unwrap();
        let after = Predictor::from_bytes(&model, &weights, Path::new("x")).unwrap();
        assert_eq!(before, after);
        let p = after.probabilities((0..12).map(|i| i as f32).collect()).unwrap();
        assert_eq!(p.len(), 6);
        assert!((p[..3].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn maps_are_pooled_on_the_way() {
        let before = predictor(Params { head: HeadKind::Gap, ..Params::default() }, &[2, 2, 2]);
        let flat = before.probabilities(vec![1.0, 3.0, 2.0, 2.0, 5.0, 5.0, 4.0, 6.0]).unwrap();
        let mean = before.probabilities(vec![2.0, 2.0, 2.0, 2.0, 5.0, 5.0, 5.0, 5.0]).unwrap();
        assert_eq!(flat, mean);
    }

    #[test]
    fn damaged_files_are_refused_by_name() {
        let (model, weights) = predictor(Params::default(), &[6]).to_bytes().unwrap();
        let error = |model: &[u8], weights: &[u8]| Predictor::from_bytes(model, weights, Path::new("x")).unwrap_err().to_string();
        assert!(error(b"{}", &weights).contains("x/model.json"));
        assert!(error(&model, &weights[..weights.len() / 2]).contains("x/head.safetensors"));
        let other = predictor(Params::default(), &[7]).to_bytes().unwrap().1;
        assert!(error(&model, &other).contains("SHA-256"));
        for at in 0..weights.len() {
            let mut flipped = weights.clone();
            flipped[at] ^= 1 << (at % 8);
            let said = error(&model, &flipped);
            assert!(said.contains("x/head.safetensors") && said.contains("SHA-256"), "byte {at}: {said}");
        }
        // Written before there was a digest: read, and its tensors still have to fit.
        let old: String = String::from_utf8(model).unwrap().lines().filter(|line| !line.contains("head_sha256")).collect();
        let old = old.replace(",}", "}").into_bytes();
        assert!(Predictor::from_bytes(&old, &weights, Path::new("x")).is_ok());
        assert!(error(&old, &other).contains("layers.0.weight"));
    }
}
