//! Images in, class probabilities out: read, decode, backbone, head.

use std::path::PathBuf;
use std::sync::Arc;

use super::trained::{TrainedModel, UsedBackbone};
use crate::backbone::{FeatureReader, Photo};
use crate::data::Image;
use crate::engine::DeviceChoice;
use crate::heads::{InputFeatures, Predictor};
use crate::preprocess::Policy;
use crate::weights::Fetching;
use crate::{Error, Result};

/// How many augmented readings of an image are averaged, and how they are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Views {
    /// Readings of each image, the plain one first; 1 for that alone.
    pub count: u32,
    /// How the others differ from it.
    pub policy: Policy,
    /// Seed of the draws.
    pub seed: u64,
}

#[cfg(test)]
impl Views {
    /// The plain reading alone.
    pub(crate) const PLAIN: Views = Views { count: 1, policy: Policy::STANDARD, seed: 0 };
}

/// A [`Classifier`] in the making.
#[derive(Debug, Clone)]
pub struct ClassifierBuilder {
    model: PathBuf,
    device: DeviceChoice,
    views: u32,
    augment: Option<Policy>,
}

impl ClassifierBuilder {
    /// The device of the backbones [default: the GPU where there is one, else the CPU].
    #[must_use]
    pub fn device(self, device: DeviceChoice) -> Self {
        ClassifierBuilder { device, ..self }
    }

    /// Readings of each image that are averaged: the plain one and augmented ones [default: 1].
    #[must_use]
    pub fn views(self, views: u32) -> Self {
        ClassifierBuilder { views, ..self }
    }

    /// How augmented readings differ from the plain one
    /// [default: as in the features that the head was trained on, else [`Policy::STANDARD`]].
    #[must_use]
    pub fn augment(self, policy: Policy) -> Self {
        ClassifierBuilder { augment: Some(policy), ..self }
    }

    /// Opens the model. `tell` hears of weights that are fetched, which a bundle never needs.
    ///
    /// # Errors
    /// As [`TrainedModel::open`].
    pub fn open(self, tell: &dyn Fn(Fetching)) -> Result<Classifier> {
        let model = TrainedModel::open(&self.model, self.device, tell)?;
        let views = self.views_for(&model)?;
        Ok(Classifier::new(model, views))
    }

    fn views_for(&self, model: &TrainedModel) -> Result<Views> {
        let key = model.backbones.first().map(|used| &used.key);
        let trained = || key.map_or(Ok(Policy::default()), |key| key.augment.parse());
        let policy = match self.augment {
            Some(policy) => policy,
            None => trained().map(|policy| if policy == Policy::default() { Policy::STANDARD } else { policy })?,
        };
        Ok(Views { count: self.views, policy, seed: key.map_or(0, |key| key.seed) })
    }
}

/// A trained model ready to look at images.
///
/// ```no_run
/// use headstart::Classifier;
///
/// let mut classifier = Classifier::open("sweeps/cats-dogs")?;
/// for (path, prediction) in ["a.jpg", "b.jpg"].iter().zip(classifier.predict(["a.jpg", "b.jpg"])?) {
///     match prediction {
///         Ok(prediction) => println!("{path}: {:?}", prediction.top(1)),
///         Err(unusable) => eprintln!("{unusable}"),
///     }
/// }
/// # Ok::<(), headstart::Error>(())
/// ```
pub struct Classifier {
    predictor: Predictor,
    readers: Vec<(UsedBackbone, FeatureReader)>,
    views: Views,
    classes: Arc<[String]>,
}

/// A model's answer for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    classes: Arc<[String]>,
    probabilities: Vec<f32>,
}

impl Prediction {
    /// Probability of each class, from 0 to 1, in the order of [`Classifier::classes`].
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// Class names, in the order of [`Prediction::probabilities`].
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The `count` most probable classes with their probabilities, the most probable first.
    pub fn top(&self, count: usize) -> Vec<(&str, f32)> {
        let mut ranked: Vec<(&str, f32)> = self.classes.iter().map(String::as_str).zip(self.probabilities.iter().copied()).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(count);
        ranked
    }
}

impl Classifier {
    /// Images that are worth giving to [`Classifier::predict`] at once.
    pub const BATCH: usize = FeatureReader::BATCH;

    /// Opens a sweep's directory or a bundle, to read each image once: [`Classifier::builder`] with
    /// nothing set.
    ///
    /// # Errors
    /// As [`TrainedModel::open`].
    pub fn open(model: impl Into<PathBuf>) -> Result<Classifier> {
        Classifier::builder(model).open(&|_| ())
    }

    /// A classifier of a sweep's directory or a bundle, with more to say.
    pub fn builder(model: impl Into<PathBuf>) -> ClassifierBuilder {
        ClassifierBuilder { model: model.into(), device: DeviceChoice::Auto, views: 1, augment: None }
    }

    /// Makes a model ready; engines are built when the first image shows its size.
    pub(crate) fn new(model: TrainedModel, views: Views) -> Classifier {
        let reader = |used: &UsedBackbone| FeatureReader::new(used.taps.clone(), used.orientation);
        let classes = model.predictor.classes().into();
        let readers = model.backbones.into_iter().map(|used| (reader(&used), used)).map(|(reader, used)| (used, reader)).collect();
        Classifier { predictor: model.predictor, readers, views, classes }
    }

    /// Class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Class probabilities of each image, averaged over the views, or why it cannot be used.
    ///
    /// # Errors
    /// An engine that cannot be built, or fails: nothing to do with a single image.
    pub fn predict<'a, I>(&mut self, images: I) -> Result<Vec<Result<Prediction>>>
    where
        I: IntoIterator,
        I::Item: Into<Image<'a>>,
    {
        let images: Vec<Image<'a>> = images.into_iter().map(Into::into).collect();
        let mut predictions = Vec::with_capacity(images.len());
        for images in images.chunks(Classifier::BATCH) {
            predictions.extend(self.predict_batch(images)?);
        }
        Ok(predictions)
    }

    fn predict_batch(&mut self, images: &[Image<'_>]) -> Result<Vec<Result<Prediction>>> {
        // Photos by image, each as all backbones see it.
        let mut opened: Vec<Result<Vec<Photo>>> = images.iter().map(|_| Ok(vec![])).collect();
        for (used, reader) in &mut self.readers {
            for (photos, photo) in opened.iter_mut().zip(reader.read(&used.backbone, images)?) {
                match (photos.as_mut(), photo) {
                    (Ok(photos), Ok(photo)) => photos.push(photo),
                    (Ok(_), Err(error)) => *photos = Err(error),
                    (Err(_), _) => {}
                }
            }
        }
        let usable: Vec<&Vec<Photo>> = opened.iter().filter_map(|photos| photos.as_ref().ok()).collect();
        let mut means = self.probabilities(&usable)?.into_iter();
        let prediction = |probabilities| Prediction { classes: self.classes.clone(), probabilities };
        Ok(opened.into_iter().map(|photos| photos.map(|_| prediction(means.next().unwrap_or_default()))).collect())
    }

    /// Whether an image's features are as many as the head was trained on: of images that are not
    /// brought to one size they need not be.
    fn check(&self, parts: &[Vec<f32>]) -> Result<()> {
        let wanted = |input: &InputFeatures| input.shape.iter().product::<usize>();
        match self.predictor.inputs().iter().zip(parts).find(|(input, values)| wanted(input) != values.len()) {
            Some((input, values)) => {
                let problem =
                    format!("tap `{}` has {} features of this image, and the head reads {}", input.tap, values.len(), wanted(input));
                Err(Error::setting(problem, "give images of the size that the head was trained on"))
            }
            None => Ok(()),
        }
    }

    /// Mean probabilities of images that all backbones can use.
    fn probabilities(&self, photos: &[&Vec<Photo>]) -> Result<Vec<Vec<f32>>> {
        let count = self.views.count.max(1);
        let mut means = vec![vec![0.0; self.classes.len()]; photos.len()];
        for view in (0..count).filter(|_| !photos.is_empty()) {
            for (mean, parts) in means.iter_mut().zip(self.features(photos, view)?) {
                self.check(&parts)?;
                let p = self.predictor.probabilities(parts.concat())?;
                mean.iter_mut().zip(p).for_each(|(mean, p)| *mean += p / count as f32);
            }
        }
        Ok(means)
    }

    /// Features of one view of each photo, where the head's inputs want them:
    /// `parts[photo][input]`.
    fn features(&self, photos: &[&Vec<Photo>], view: u32) -> Result<Vec<Vec<Vec<f32>>>> {
        let Views { policy, seed, .. } = self.views;
        let mut parts = vec![vec![vec![]; self.predictor.inputs().len()]; photos.len()];
        for (r, (used, reader)) in self.readers.iter().enumerate() {
            let photos: Vec<&Photo> = photos.iter().map(|all| &all[r]).collect();
            let features = reader.features(&used.backbone, &photos, &|digest| policy.view(seed, digest, view))?;
            for (parts, features) in parts.iter_mut().zip(features) {
                used.inputs.iter().zip(features).for_each(|(&input, values)| parts[input] = values);
            }
        }
        Ok(parts)
    }
}
