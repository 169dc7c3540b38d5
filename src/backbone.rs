//! A backbone ready to be used: network, weights, preprocess, engine and device chosen together.

mod features;

use candle_core::{DType, Device};

use crate::backbones::{self, BackboneInfo, Opened};
use crate::data::{DECODER_VERSION, Orientation};
use crate::engine::native::{self, NativeEngine};
use crate::engine::{self, CandleEngine, Compute, DeviceChoice, Engine};
use crate::graph::{Graph, Shape};
use crate::plan::Plan;
use crate::preprocess::{Policy, PreprocessSpec, RESIZE_VERSION, Resize, synthetic_images};
use crate::store::{CacheKey, Dtype};
use crate::weights::{Audit, Fetching};
use crate::{Error, Result, steps};

pub(crate) use features::{FeatureReader, Photo};

/// Seed of the image that biases make up for rounding by: not one that anything else draws.
const SAMPLE: u64 = 0xB16;

/// Which engine runs a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// The fast one on CPUs.
    Native,
    /// Any device of candle's; on a CPU the reference.
    Candle,
    /// The fast one on NVIDIA GPUs.
    Cuda,
}

impl EngineKind {
    /// Its name on the command line and in keys.
    pub const fn name(self) -> &'static str {
        match self {
            EngineKind::Native => "native",
            EngineKind::Candle => "candle",
            EngineKind::Cuda => "cuda",
        }
    }
}

/// Settings of a backbone; each one that is left out follows from the weights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackboneSettings {
    /// Name of the backbone.
    pub backbone: String,
    /// Weights entry, file, or `random[:SEED]`; the backbone's first entry where left out.
    pub weights: Option<String>,
    /// Side of the square input.
    pub size: Option<usize>,
    /// Name of a weights entry whose preprocess to use, or `key=value,…` above the weights' own.
    pub preprocess: Option<String>,
    /// The numbers to compute in.
    pub compute: Compute,
    /// The engine; where left out, native on a CPU, cuda on an NVIDIA GPU, candle on an Apple one
    /// and for transformers.
    pub engine: Option<EngineKind>,
    /// The device.
    pub device: DeviceChoice,
}

/// A backbone by its name, all else as its first weights entry has it.
impl From<&str> for BackboneSettings {
    fn from(name: &str) -> Self {
        BackboneSettings { backbone: name.into(), ..BackboneSettings::default() }
    }
}

/// A backbone with everything that decides its features' values, but the images.
pub struct Backbone {
    info: &'static BackboneInfo,
    graph: Graph,
    weights: Opened,
    preprocess: PreprocessSpec,
    compute: Compute,
    engine: EngineKind,
    device: Device,
}

impl Backbone {
    /// Opens a backbone by name or by settings, fetching its weights if need be:
    /// [`Backbone::open_with`] with nobody to hear of it.
    ///
    /// # Errors
    /// As [`Backbone::open_with`].
    pub fn open(settings: impl Into<BackboneSettings>) -> Result<Backbone> {
        Backbone::open_with(&settings.into(), &|_| ())
    }

    /// Opens the weights (fetching them if need be, which `tell` hears of) and settles what was
    /// left open.
    ///
    /// # Errors
    /// An unknown backbone, weights entry or preprocess; weights that cannot be had or read; a
    /// device that is not there; a combination that does not exist (native on a GPU, or for a
    /// transformer).
    pub fn open_with(settings: &BackboneSettings, tell: &dyn Fn(Fetching)) -> Result<Backbone> {
        let info = backbones::find(&settings.backbone)?;
        // Before anything is fetched: a combination that does not exist should cost no download.
        let place = place(settings, info)?;
        let weights = backbones::open_weights(info, settings.weights.as_deref(), tell)?;
        Backbone::placed(settings, info, weights, place)
    }

    /// As [`Backbone::open_with`], with weights that are open already.
    pub(crate) fn with_weights(settings: &BackboneSettings, info: &'static BackboneInfo, weights: Opened) -> Result<Backbone> {
        let place = place(settings, info)?;
        Backbone::placed(settings, info, weights, place)
    }

    fn placed(
        settings: &BackboneSettings,
        info: &'static BackboneInfo,
        weights: Opened,
        (device, engine): (Device, EngineKind),
    ) -> Result<Backbone> {
        let preprocess = preprocess(settings, info, &weights)?;
        let graph = info.graph(&weights.options);
        Ok(Backbone { info, graph, weights, preprocess, compute: settings.compute, engine, device })
    }

    /// The network of the zoo, without weights.
    pub fn info(&self) -> &'static BackboneInfo {
        self.info
    }

    /// The whole network.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The weights.
    pub(crate) fn weights(&self) -> &Opened {
        &self.weights
    }

    /// In words where the weights come from: an entry's name, a file, `random:SEED`.
    pub fn weights_name(&self) -> &str {
        &self.weights.name
    }

    /// How images are made ready.
    pub fn preprocess(&self) -> &PreprocessSpec {
        &self.preprocess
    }

    /// Engine and device in words: `native on cpu (avx512)`, `candle on cuda:0`.
    pub fn engine_name(&self) -> String {
        match self.engine {
            EngineKind::Native => format!("native ({})", native::NativeOptions::best(self.compute == Compute::Bf16).isa.name()),
            kind => format!("{} ({})", kind.name(), engine::describe(&self.device)),
        }
    }

    /// A note for the user about the chosen engine.
    pub fn note(&self) -> Option<String> {
        let slower = self.device.is_cuda() && self.engine == EngineKind::Candle && self.graph.has_tokens();
        slower.then(|| format!("the cuda engine computes convolutional networks only: {} runs on candle's kernels", self.info.name))
    }

    /// Height and width of the input, or `None` where images are used at the size that they come
    /// in.
    pub fn fixed_input(&self) -> Option<[usize; 2]> {
        match (self.preprocess.crop, self.preprocess.resize) {
            (Some(side), _) => Some([side, side]),
            (None, Resize::Exact { height, width }) => Some([height, width]),
            (None, _) => None,
        }
    }

    /// Shapes of one image's features at some taps, for an input of this height and width.
    ///
    /// # Errors
    /// An unknown tap, an input that does not fit the network.
    pub fn tap_shapes(&self, taps: &[String], [height, width]: [usize; 2]) -> Result<Vec<Shape>> {
        let graph = self.graph.prune(taps)?;
        let shapes = graph.shapes([3, height, width])?;
        taps.iter().map(|t| Ok(shapes[graph.find_tap(t)?].clone())).collect()
    }

    /// Floating-point operations that one image costs up to the deepest of these taps.
    ///
    /// # Errors
    /// As [`Backbone::tap_shapes`].
    pub fn flops(&self, taps: &[String], [height, width]: [usize; 2]) -> Result<u64> {
        self.graph.prune(taps)?.flops([3, height, width])
    }

    /// Compares the weights with what these taps need.
    ///
    /// # Errors
    /// An unknown tap; missing or wrongly shaped tensors, all of them named.
    pub fn audit(&self, taps: &[String]) -> Result<()> {
        let mut audit = Audit::new(&self.graph.prune(taps)?.parameters(), &self.weights.source.entries());
        if audit.is_usable() {
            return Ok(());
        }
        // Tensors that only deeper taps need are expected all the same.
        let whole = Audit::new(&self.graph.parameters(), &self.weights.source.entries());
        audit.unexpected = whole.unexpected;
        Err(Error::WeightsMismatch { path: self.weights.source.origin(), backbone: self.info.name.into(), audit: audit.to_string() })
    }

    /// The base that made a cache with this key, and the orientation of its images: weights by the
    /// name that the key's cache remembers.
    ///
    /// # Errors
    /// As [`Backbone::open_with`]; weights that are no longer those of the key.
    pub(crate) fn of_key(key: &CacheKey, weights: &str, device: DeviceChoice, tell: &dyn Fn(Fetching)) -> Result<(Backbone, Orientation)> {
        let info = backbones::find(&key.backbone)?;
        Backbone::of_key_with(info, key, backbones::open_weights(info, Some(weights), tell)?, device)
    }

    /// As [`Backbone::of_key`], with weights that are open already: a bundle's.
    ///
    /// # Errors
    /// As [`Backbone::of_key`]; a graph that this headstart builds otherwise than the one that made
    /// the features.
    pub(crate) fn of_key_with(
        info: &'static BackboneInfo,
        key: &CacheKey,
        weights: Opened,
        device: DeviceChoice,
    ) -> Result<(Backbone, Orientation)> {
        let settings = BackboneSettings {
            backbone: key.backbone.clone(),
            preprocess: Some(key.preprocess.clone()),
            compute: key.compute.parse()?,
            device,
            ..BackboneSettings::default()
        };
        let base = Backbone::with_weights(&settings, info, weights)?;
        if base.graph.digest() != key.graph {
            let problem = format!("this headstart builds {} otherwise than the one that made the features", info.name);
            return Err(Error::setting(
                problem,
                format!("use the headstart that made them; or {}, then {}", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN),
            ));
        }
        if base.weights.source.digest() != key.weights {
            let hint =
                format!("put back the file that the features were made with; or {}, then {}", steps::EXTRACT_AGAIN, steps::TRAIN_AGAIN);
            return Err(Error::weights(base.weights.source.origin(), "is not the file that the features were made with", hint));
        }
        Ok((base, key.orientation))
    }

    /// Builds the engine for some taps, batches of up to `batch` images and an input of this height
    /// and width.
    ///
    /// # Errors
    /// Weights that do not fit, an input that does not, the device's own failure.
    pub(crate) fn engine(&self, taps: &[String], batch: usize, [height, width]: [usize; 2]) -> Result<Box<dyn Engine>> {
        self.audit(taps)?;
        let (input, weights) = ([3, height, width], self.weights.source.as_ref());
        Ok(match self.engine {
            EngineKind::Native => Box::new(self.native(taps, batch, [height, width])?),
            EngineKind::Cuda => self.cuda(taps, batch, [height, width])?,
            // A GPU gains by fewer, larger ops; on a CPU candle is the reference and runs the graph
            // as it stands.
            EngineKind::Candle if !self.device.is_cpu() => {
                let plan = self.plan_for_gpu(taps, [height, width])?;
                Box::new(CandleEngine::planned(plan, &self.device, self.compute_on_gpu().dtype())?)
            }
            EngineKind::Candle => Box::new(CandleEngine::new(&self.graph, weights, taps, input, &self.device, self.compute.dtype())?),
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda(&self, taps: &[String], batch: usize, size: [usize; 2]) -> Result<Box<dyn Engine>> {
        let gpu = match self.device.location() {
            candle_core::DeviceLocation::Cuda { gpu_id } => gpu_id,
            _ => 0,
        };
        Ok(Box::new(engine::CudaEngine::new(&self.plan_for_gpu(taps, size)?, gpu, self.compute_on_gpu(), batch)?))
    }

    /// Never called: such a device needs the feature.
    #[cfg(not(feature = "cuda"))]
    fn cuda(&self, _: &[String], _: usize, _: [usize; 2]) -> Result<Box<dyn Engine>> {
        Err(engine::device(&DeviceChoice::Cuda(0)).err().unwrap_or_else(|| Error::engine("cuda", "planning")("this build has none")))
    }

    /// The base planned for some taps and an input of this height and width: folded and fused, as
    /// the fast engines run it.
    ///
    /// # Errors
    /// As [`Backbone::engine`].
    pub(crate) fn plan(&self, taps: &[String], [height, width]: [usize; 2]) -> Result<Plan> {
        self.audit(taps)?;
        Plan::new(&self.graph, self.weights.source.as_ref(), taps, [3, height, width])
    }

    /// The native engine for some taps, whichever engine this base runs: for profiles.
    ///
    /// # Errors
    /// As [`Backbone::engine`].
    pub(crate) fn native(&self, taps: &[String], batch: usize, size: [usize; 2]) -> Result<NativeEngine> {
        let options = native::NativeOptions::best(self.compute == Compute::Bf16);
        let plan = self.plan(taps, size)?;
        if self.compute != Compute::Bf16 {
            return NativeEngine::new(&plan, batch, options);
        }
        NativeEngine::new(&engine::correct_biases_for_native(plan, options, &self.sample(size))?, batch, options)
    }

    /// The plan for a GPU, its biases making up for weights rounded to bf16.
    fn plan_for_gpu(&self, taps: &[String], size: [usize; 2]) -> Result<Plan> {
        let plan = self.plan(taps, size)?;
        if self.compute_on_gpu() == Compute::Bf16 { engine::correct_biases_for_gpu(plan, &self.sample(size)) } else { Ok(plan) }
    }

    /// The numbers that a GPU computes in: a network that magnifies rounding stays f32 where bf16 is asked for,
    /// as two digits do on a CPU; maps in bf16 alone would lose more than 2e-2.
    fn compute_on_gpu(&self) -> Compute {
        if self.compute == Compute::Bf16 && self.graph.magnifies_rounding() { Compute::F32 } else { self.compute }
    }

    /// An image to learn of the network by, `[3, height, width]`.
    fn sample(&self, size: [usize; 2]) -> Vec<f32> {
        self.preprocess.normalise().planar(&synthetic_images(SAMPLE, 1, size), size[0] * size[1])
    }

    /// The reference: candle on the CPU in f32, the graph as it stands.
    ///
    /// # Errors
    /// As [`Backbone::engine`].
    pub(crate) fn reference(&self, taps: &[String], [height, width]: [usize; 2]) -> Result<Box<dyn Engine>> {
        let weights = self.weights.source.as_ref();
        Ok(Box::new(CandleEngine::new(&self.graph, weights, taps, [3, height, width], &Device::Cpu, DType::F32)?))
    }

    /// The cache key: everything here that decides values, and how features are stored and views
    /// drawn. The policy is part of it even where only the plain view is wanted, so that views can
    /// be added later.
    pub(crate) fn key(&self, store: Dtype, orientation: Orientation, policy: &Policy, seed: u64) -> CacheKey {
        CacheKey {
            backbone: self.info.name.into(),
            weights: self.weights.source.digest(),
            graph: self.graph.digest(),
            preprocess: self.preprocess.to_string(),
            orientation,
            decoder: DECODER_VERSION.into(),
            resizer: RESIZE_VERSION.into(),
            augment: policy.to_string(),
            seed,
            compute: self.compute.name().into(),
            store,
            engine: self.engine.name().into(),
            device: match self.engine {
                EngineKind::Native => native::NativeOptions::best(self.compute == Compute::Bf16).isa.name().into(),
                _ => engine::describe(&self.device).split(':').next().unwrap_or_default().into(),
            },
            numerics: if self.compute == Compute::Bf16 { native::BF16_NUMERICS_VERSION } else { native::NUMERICS_VERSION },
        }
    }
}

/// Device and engine of a backbone.
fn place(settings: &BackboneSettings, info: &BackboneInfo) -> Result<(Device, EngineKind)> {
    let device = engine::device(&settings.device)?;
    let transformer = info.graph(&backbones::BuildOptions::default()).has_tokens();
    let kind = settings.engine.unwrap_or(usual_engine(&device, transformer));
    check_engine(kind, &device, transformer, info.name)?;
    if kind == EngineKind::Native {
        if settings.compute == Compute::F16 {
            let hint = "use option `dtype=f32`, which is the fastest that most CPUs have, or option `engine=candle`";
            return Err(Error::setting("the native engine computes in f32 and bf16", hint));
        }
        native::NativeOptions::best(settings.compute == Compute::Bf16).check()?;
    }
    Ok((device, kind))
}

/// The engine that a device is best served by.
fn usual_engine(device: &Device, transformer: bool) -> EngineKind {
    match device {
        _ if transformer => EngineKind::Candle,
        Device::Cpu => EngineKind::Native,
        Device::Cuda(_) => EngineKind::Cuda,
        Device::Metal(_) => EngineKind::Candle,
    }
}

/// Whether an engine runs on a device, and this kind of network.
fn check_engine(kind: EngineKind, device: &Device, transformer: bool, name: &str) -> Result<()> {
    let words = kind.name();
    let (fits, where_) = match kind {
        EngineKind::Native => (device.is_cpu(), "CPUs"),
        EngineKind::Cuda => (device.is_cuda(), "NVIDIA GPUs"),
        EngineKind::Candle => return Ok(()),
    };
    if !fits {
        let hint = format!("leave out option `engine={words}`, or choose another option `device`");
        return Err(Error::setting(format!("the {words} engine runs on {where_} only"), hint));
    }
    if transformer {
        let problem = format!("the {words} engine computes convolutional networks only, and {name} is a transformer");
        return Err(Error::setting(problem, format!("leave out option `engine={words}`: the candle engine runs it")));
    }
    Ok(())
}

/// The weights' own preprocess, with what the user says above it: another entry's, single settings,
/// another size.
fn preprocess(settings: &BackboneSettings, info: &BackboneInfo, weights: &Opened) -> Result<PreprocessSpec> {
    let mut base = (weights.preprocess, weights.crop_pct);
    let mut text = settings.preprocess.as_deref().unwrap_or_default();
    if !text.is_empty() && !text.contains('=') {
        let entry = backbones::find_entry(text)?;
        base = (entry.preprocess, entry.crop_pct);
        text = "";
    }
    let sized = settings.size.map_or(base.0, |size| base.0.with_size(size, base.1));
    if settings.size == Some(0) {
        return Err(Error::setting("option `size=0` leaves no pixels", format!("{} was made for {}", info.name, info.size)));
    }
    if text.is_empty() { Ok(sized) } else { PreprocessSpec::parse(text, &sized) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, centred_error};

    #[test]
    fn what_magnifies_rounding_stays_f32_on_gpus_where_bf16_is_asked_for() {
        for (name, compute) in
            [("resnet18", Compute::Bf16), ("googlenet", Compute::Bf16), ("convnext_tiny", Compute::Bf16), ("mobilenet_v2", Compute::F32)]
        {
            let weights = Some("random".into());
            let settings = BackboneSettings {
                backbone: name.into(),
                weights,
                compute: Compute::Bf16,
                engine: Some(EngineKind::Candle),
                device: DeviceChoice::Cpu,
                ..BackboneSettings::default()
            };
            let base = Backbone::open_with(&settings, &|_| ()).unwrap();
            assert_eq!(base.compute_on_gpu(), compute, "{name}");
        }
    }

    #[test]
    fn f16_runs_on_candle_and_the_native_engine_refuses_it() {
        let settings = |compute, engine| BackboneSettings {
            backbone: "squeezenet1_1".into(),
            weights: Some("random:1".into()),
            size: Some(40),
            compute,
            engine: Some(engine),
            device: DeviceChoice::Cpu,
            ..BackboneSettings::default()
        };
        let refused = Backbone::open_with(&settings(Compute::F16, EngineKind::Native), &|_| ()).map(|_| ()).unwrap_err();
        assert!(refused.is_unusable_input() && refused.to_string().contains("option `dtype=f32`"), "{refused}");
        let (images, size, taps) = (3, [40, 40], ["gap".to_string()]);
        let rgb = synthetic_images(1, images, size);
        let features = |compute| {
            let base = Backbone::open_with(&settings(compute, EngineKind::Candle), &|_| ()).unwrap();
            assert_eq!(base.key(Dtype::F32, Orientation::AsStored, &Policy::default(), 0).compute, compute.name());
            let normalise = base.preprocess().normalise();
            let batch = Batch::Pixels { images, size, rgb: &rgb, normalise: &normalise };
            base.engine(&taps, images, size).unwrap().run(batch).unwrap().remove(0)
        };
        let error = centred_error(&features(Compute::F16), &features(Compute::F32), images);
        assert!(error > 0.0 && error < 2e-2, "{error}");
    }
}
