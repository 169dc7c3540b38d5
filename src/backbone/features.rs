//! Features of single images: read, decoded, preprocessed, and run through the backbone in batches.

use rayon::prelude::*;

use super::Backbone;
use crate::data::{Digest, Image, Orientation, Pixels, decode};
use crate::engine::{Batch, Engine};
use crate::preprocess::View;
use crate::{Error, Result};

/// An image as decoded, with the digest that its views are drawn from.
pub(crate) struct Photo {
    pixels: Pixels,
    digest: Digest,
    /// Rows and columns that the network gets to see.
    size: [usize; 2],
}

/// Some taps of a backbone, and the engine for them once the first image has shown its size.
pub(crate) struct FeatureReader {
    taps: Vec<String>,
    orientation: Orientation,
    engine: Option<Planned>,
}

/// An engine and the input size that it is planned for.
struct Planned {
    engine: Box<dyn Engine>,
    size: [usize; 2],
}

impl Planned {
    /// All images must have the size of the first one.
    fn check(&self, size: [usize; 2], image: &Image<'_>) -> Result<()> {
        let [h, w] = self.size;
        if size == self.size {
            return Ok(());
        }
        let reason = format!("is {}×{} where the first image is {w}×{h}, and nothing is resized", size[1], size[0]);
        Err(Error::Image { path: image.name(), reason })
    }
}

impl FeatureReader {
    /// Images a batch.
    pub(crate) const BATCH: usize = 32;

    pub(crate) fn new(taps: Vec<String>, orientation: Orientation) -> FeatureReader {
        FeatureReader { taps, orientation, engine: None }
    }

    /// Reads and decodes images; builds the engine for the first one's size, which all others must
    /// have.
    ///
    /// # Errors
    /// An engine that cannot be built: nothing to do with a single image.
    pub(crate) fn read(&mut self, backbone: &Backbone, images: &[Image<'_>]) -> Result<Vec<Result<Photo>>> {
        let mut photos: Vec<Result<Photo>> = images.par_iter().map(|image| self.decode(backbone, image)).collect();
        for (photo, image) in photos.iter_mut().zip(images) {
            let Ok(Photo { size, .. }) = photo else { continue };
            if let Err(error) = self.plan(backbone, *size)?.check(*size, image) {
                *photo = Err(error);
            }
        }
        Ok(photos)
    }

    fn decode(&self, backbone: &Backbone, image: &Image<'_>) -> Result<Photo> {
        let bytes = image.bytes()?;
        let pixels = decode(&bytes, &image.name(), self.orientation)?;
        let size = backbone.preprocess().output_size([pixels.height, pixels.width]);
        Ok(Photo { pixels, digest: Digest::of(&bytes), size })
    }

    /// The engine, built for the first image's size.
    fn plan(&mut self, backbone: &Backbone, size: [usize; 2]) -> Result<&Planned> {
        let planned = match self.engine.take() {
            Some(planned) => planned,
            None => Planned { engine: backbone.engine(&self.taps, FeatureReader::BATCH, size)?, size },
        };
        Ok(self.engine.insert(planned))
    }

    /// Features of one view of each photo, by photo and tap. All photos have the size that was
    /// planned for.
    pub(crate) fn features(
        &self,
        backbone: &Backbone,
        photos: &[&Photo],
        view: &(dyn Fn(&Digest) -> View + Sync),
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let Some(Planned { engine, size }) = &self.engine else { return Ok(vec![]) };
        let preprocess = backbone.preprocess();
        let normalise = preprocess.normalise();
        let seen = |photo: &&Photo| {
            let mut rgb = vec![];
            preprocess.apply_view(&photo.pixels, &view(&photo.digest), &mut rgb);
            rgb
        };
        let rgb: Vec<Vec<u8>> = photos.par_iter().map(seen).collect();
        let mut features = Vec::with_capacity(photos.len());
        for rgb in rgb.chunks(FeatureReader::BATCH) {
            let images = rgb.len();
            let taps = engine.run(Batch::Pixels { images, size: *size, rgb: &rgb.concat(), normalise: &normalise })?;
            let row = |i: usize, tap: &Vec<f32>| tap[i * tap.len() / images..(i + 1) * tap.len() / images].to_vec();
            features.extend((0..images).map(|i| taps.iter().map(|tap| row(i, tap)).collect()));
        }
        Ok(features)
    }
}

impl Backbone {
    /// Features of images at one tap, `Backbone::tap_shapes` values each (row-major), or why an
    /// image cannot be used. Nothing is cached: for a data set, use an
    /// [`Extraction`](crate::Extraction).
    ///
    /// # Errors
    /// An unknown tap, weights that do not fit it, the engine's own failure: nothing to do with a
    /// single image.
    ///
    /// ```
    /// use headstart::data::Pixels;
    /// use headstart::{Backbone, BackboneSettings};
    ///
    /// let settings = BackboneSettings { weights: Some("random:1".into()), size: Some(33), ..BackboneSettings::from("squeezenet1_1") };
    /// let backbone = Backbone::open(settings)?;
    /// let gray = Pixels::new(40, 40, vec![128; 40 * 40 * 3])?;
    /// let features = backbone.features("gap", [&gray])?.remove(0)?;
    /// assert_eq!(backbone.tap_shapes(&["gap".into()], [33, 33])?, [[features.len()]]);
    /// # Ok::<(), headstart::Error>(())
    /// ```
    pub fn features<'a, I>(&self, tap: &str, images: I) -> Result<Vec<Result<Vec<f32>>>>
    where
        I: IntoIterator,
        I::Item: Into<Image<'a>>,
    {
        let mut reader = FeatureReader::new(vec![tap.into()], Orientation::AsStored);
        let images: Vec<Image<'a>> = images.into_iter().map(Into::into).collect();
        let mut features = Vec::with_capacity(images.len());
        for images in images.chunks(FeatureReader::BATCH) {
            let photos = reader.read(self, images)?;
            let usable: Vec<&Photo> = photos.iter().flatten().collect();
            let mut computed = reader.features(self, &usable, &|_| View::PLAIN)?.into_iter();
            features.extend(photos.into_iter().map(|photo| photo.map(|_| computed.next().map_or(vec![], |mut taps| taps.remove(0)))));
        }
        Ok(features)
    }
}
