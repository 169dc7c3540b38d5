//! The two files of a head together: features in, probabilities of classes out.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::digests::{Digests, model_file, sha256};
use super::folder::{AGAIN, best_of, read, wrong_weights};
use super::model::{HEAD_FILE, InputFeatures, MODEL_FILE, Model};
use crate::heads::evaluation::calibration::rescale;
use crate::heads::features::combined::Pooled;
use crate::heads::features::labels::Labels;
use crate::heads::features::matrix::Matrix;
use crate::heads::features::transform::Transform;
use crate::heads::fitted::batch_norm::BatchNorm;
use crate::heads::fitted::head::{FittedHead, Head};
use crate::heads::fitted::layer::Layer;
use crate::heads::fitted::neighbours::Neighbours;
use crate::heads::settings::config::HeadConfig;
use crate::heads::settings::spec::HeadSpec;
use crate::{Error, Result};

/// Name of the tensor of neighbours.
const ROWS: &str = "neighbours.rows";
/// Name of the tensor of their classes, padded with −1.
const VOTES: &str = "neighbours.classes";

/// Contents of the two files of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadFiles {
    /// `model.json`
    pub model: Vec<u8>,
    /// `head.safetensors`
    pub weights: Vec<u8>,
}

/// A trained head ready for use: it takes features as the cache stores them and returns class
/// probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    /// What it is.
    pub model: Model,
    /// The transform of the features.
    pub transform: Transform,
    /// The head.
    pub head: Head,
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
    /// Contents that are not a head's, or that do not belong together.
    pub fn from_bytes(model: &[u8], weights: &[u8], origin: &Path) -> Result<Predictor> {
        let again = AGAIN;
        let path = origin.join(MODEL_FILE);
        let no_model = |e: serde_json::Error| Error::data(&path, format!("is not a model: {e}"), again);
        let digests: Digests = serde_json::from_slice(model).map_err(no_model)?;
        let model = Model::parse(model, &path)?;
        let path = origin.join(HEAD_FILE);
        let damaged = |problem: String| Error::data(&path, problem, again);
        if digests.head_sha256.is_some_and(|promised| promised != sha256(weights)) {
            return Err(wrong_weights(origin));
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
        let fitted = match model.head.config() {
            HeadConfig::Knn { .. } => {
                FittedHead::Neighbours(neighbours(&tensors, &model.head).ok_or_else(|| damaged("has no neighbours that fit".into()))?)
            }
            HeadConfig::Linear { .. }
            | HeadConfig::Dense { .. }
            | HeadConfig::Gap
            | HeadConfig::GapDropout { .. }
            | HeadConfig::Classifier { .. }
            | HeadConfig::Ridge { .. }
            | HeadConfig::LogisticRegression { .. }
            | HeadConfig::NearestMean => {
                let layers = dims.windows(2).enumerate().map(layer).collect::<Result<_>>()?;
                let mut batch_norm = None;
                if model.head.has_batch_norm() {
                    let mean = read("batch_norm.running_mean", &dims[..1])?;
                    batch_norm = Some(BatchNorm { mean, variance: read("batch_norm.running_var", &dims[..1])? });
                }
                FittedHead::Layers { batch_norm, layers }
            }
        };
        let mut transform = Transform { l2: model.l2, ..Transform::default() };
        if model.standardise {
            transform.mean = read("transform.mean", &dims[..1])?;
            transform.scale = read("transform.scale", &dims[..1])?;
        }
        Ok(Predictor { head: Head { spec: model.head.clone(), fitted }, transform, model })
    }

    /// The contents of `model.json` and `head.safetensors`.
    ///
    /// # Errors
    /// None in practice: a head holds nothing that serialisation refuses.
    pub fn to_bytes(&self) -> Result<HeadFiles> {
        let refused = |e: &dyn std::fmt::Display| Error::internal(format!("a head cannot be written: {e}"));
        let tensors = self.tensors();
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let mut views = vec![];
        for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
            let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).map_err(|e| refused(&e))?;
            views.push((name.as_str(), view));
        }
        let votes = self.head.neighbours().map(Neighbours::votes);
        if let Some((shape, bytes)) = &votes {
            let view = TensorView::new(safetensors::Dtype::I64, shape.to_vec(), bytes).map_err(|e| refused(&e))?;
            views.push((VOTES, view));
        }
        let weights = safetensors::serialize(views, None).map_err(|e| refused(&e))?;
        let model = model_file(&self.model, &weights).map_err(|e| refused(&e))?;
        Ok(HeadFiles { model, weights })
    }

    /// Every tensor with its name and shape.
    fn tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        let vector = |name: &str, values| (name.to_owned(), vec![<[f32]>::len(values)], values);
        let mut all = vec![];
        for (i, (layer, io)) in self.head.layers().iter().zip(self.head.spec.dims().windows(2)).enumerate() {
            all.push((format!("layers.{i}.weight"), vec![io[1], io[0]], layer.weight.as_slice()));
            all.push((format!("layers.{i}.bias"), vec![io[1]], layer.bias.as_slice()));
        }
        if let Some(neighbours) = self.head.neighbours() {
            all.push((ROWS.to_owned(), vec![neighbours.labels.len(), self.head.spec.inputs], neighbours.rows.as_slice()));
        }
        if let Some(norm) = self.head.batch_norm() {
            all.push(vector("batch_norm.running_mean", &norm.mean));
            all.push(vector("batch_norm.running_var", &norm.variance));
        }
        if !self.transform.mean.is_empty() {
            all.push(vector("transform.mean", &self.transform.mean));
            all.push(vector("transform.scale", &self.transform.scale));
        }
        all
    }

    /// Features of one image or of several, `[n, features]` with the inputs side by side, to
    /// probabilities `[n, classes]`.
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

    /// The inputs of the head: for each, the tap and the cache key of the backbone that computes
    /// it.
    pub fn inputs(&self) -> &[InputFeatures] {
        &self.model.inputs
    }
}

/// The neighbours of a head if the file holds ones that fit it.
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
    use crate::heads::saved::model::MODEL_FORMAT;
    use crate::heads::settings::choices::HeadKind;
    use crate::heads::settings::params::Params;
    use crate::heads::settings::spec::Fit;
    use serde_json::Map;

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
        let HeadFiles { model, weights } = before.to_bytes().unwrap();
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
        let HeadFiles { model, weights } = predictor(Params::default(), &[6]).to_bytes().unwrap();
        let error = |model: &[u8], weights: &[u8]| Predictor::from_bytes(model, weights, Path::new("x")).unwrap_err().to_string();
        assert!(error(b"{}", &weights).contains("x/model.json"));
        assert!(error(&model, &weights[..weights.len() / 2]).contains("x/head.safetensors"));
        let other = predictor(Params::default(), &[7]).to_bytes().unwrap().weights;
        assert!(error(&model, &other).contains("SHA-256"));
        for at in 0..weights.len() {
            let mut flipped = weights.clone();
            flipped[at] ^= 1 << (at % 8);
            let said = error(&model, &flipped);
            assert!(said.contains("x/head.safetensors") && said.contains("SHA-256"), "byte {at}: {said}");
        }
        // Written before there were digests: read, and its tensors still have to fit.
        let old: String = String::from_utf8(model).unwrap().lines().filter(|line| !line.contains("_sha256")).collect();
        let old = old.replace(",}", "}").into_bytes();
        assert!(Predictor::from_bytes(&old, &weights, Path::new("x")).is_ok());
        assert!(error(&old, &other).contains("layers.0.weight"));
    }

    #[test]
    fn a_bit_that_flips_in_model_json_is_refused_or_changes_nothing() {
        let before = predictor(Params { head: HeadKind::Knn, ..Params::default() }, &[6]);
        let HeadFiles { model, .. } = before.to_bytes().unwrap();
        let parse = |text: &[u8]| Model::parse(text, Path::new("x/model.json"));
        let whole = parse(&model).unwrap();
        let mut accepted = 0;
        for (at, bit) in (0..model.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = model.clone();
            flipped[at] ^= 1 << bit;
            match parse(&flipped) {
                Ok(same) => {
                    accepted += 1;
                    assert_eq!(same, whole, "bit {bit} of byte {at}");
                }
                Err(e) => assert!(e.to_string().contains("x/model.json"), "bit {bit} of byte {at}: {e}"),
            }
        }
        // The name of the digest itself: a file without one passes.
        assert!(accepted <= 8 * "model_sha256".len(), "{accepted} flips are accepted");
    }
}
