//! Weights entries: for each backbone the pretrained weights that can be had by name, with the preprocess that they were trained with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{BackboneInfo, Flavour, Options};
use crate::preprocess::{Interp, Order, PreprocessSpec, Range};
use crate::weights::mapping::{Adapted, Dialect, adapt};
use crate::weights::{self, Audit, Formula, TensorSource, WheelEntry, wheel};
use crate::{Error, Result, nearest};

/// Crop over resized side where nothing else is said: 224 of 256.
const CROP_PCT: f64 = 0.875;

/// One set of pretrained weights.
#[derive(Debug, Clone, Copy)]
pub struct WeightsEntry {
    /// Its name on the command line.
    pub name: &'static str,
    /// The backbone that it is for.
    pub backbone: &'static str,
    /// The file.
    pub source: WheelEntry,
    /// What the weights want to see.
    pub preprocess: PreprocessSpec,
    /// Crop over resized side: how the preprocess goes over to other sizes.
    pub crop_pct: f64,
    /// Top-1 accuracy on ImageNet as published, a fraction.
    pub acc1: Option<f64>,
    /// Which original the graph must follow.
    pub flavour: Flavour,
}

/// `(byte − 127) / 128` in RGB, bicubic, 32 pixels cut off: how the EfficientNet-Lites were trained.
const fn lite(size: usize) -> PreprocessSpec {
    let spec = PreprocessSpec::new(size + 32, size, Interp::Bicubic, Range::Caffe);
    PreprocessSpec { mean: [127.0; 3], std: [128.0; 3], order: Order::Rgb, ..spec }
}

const fn lite_entry(name: &'static str, source: WheelEntry, size: usize, acc1: f64) -> WeightsEntry {
    let crop_pct = size as f64 / (size + 32) as f64;
    WeightsEntry { name, backbone: name, source, preprocess: lite(size), crop_pct, acc1: Some(acc1), flavour: Flavour::Torchvision }
}

const ENTRIES: &[WeightsEntry] = &[
    lite_entry("efficientnet_lite0", wheel::EFFICIENTNET_LITE0, 224, 0.751),
    lite_entry("efficientnet_lite1", wheel::EFFICIENTNET_LITE1, 240, 0.767),
    lite_entry("efficientnet_lite2", wheel::EFFICIENTNET_LITE2, 260, 0.776),
    WeightsEntry {
        name: "squeezenet1_1.keras",
        backbone: "squeezenet1_1",
        source: wheel::SQUEEZENET1_1,
        preprocess: PreprocessSpec::new(256, 227, Interp::Bilinear, Range::Caffe),
        crop_pct: 227.0 / 256.0,
        acc1: Some(0.575),
        flavour: Flavour::Keras,
    },
];

/// The entries of one backbone, the default first.
pub fn entries(info: &BackboneInfo) -> impl Iterator<Item = &'static WeightsEntry> {
    ENTRIES.iter().filter(|e| e.backbone == info.name)
}

/// The entry of this name.
///
/// # Errors
/// An unknown name: says the nearest.
pub fn find_entry(name: &str) -> Result<&'static WeightsEntry> {
    ENTRIES.iter().find(|e| e.name == name).ok_or_else(|| {
        let near = nearest(name, ENTRIES.iter().map(|e| e.name));
        let hint = near.map_or("`headstart backbones NAME` lists a backbone's entries".into(), |n| format!("did you mean `{n}`?"));
        Error::setting(format!("no weights entry `{name}`"), hint)
    })
}

impl WeightsEntry {
    /// Its file on this machine, fetched if need be; `tell` hears of that.
    ///
    /// # Errors
    /// As [`WheelEntry::fetch`].
    pub fn fetch(&self, tell: &dyn Fn(&str)) -> Result<PathBuf> {
        self.source.fetch(tell)
    }

    /// The licence as its source states it.
    pub fn licence(&self) -> Option<&'static str> {
        self.source.licence
    }

    /// Where it comes from, in words.
    pub fn source_name(&self) -> String {
        format!("Python package {} {}", self.source.package, self.source.version)
    }
}

/// Weights ready to be planned: tensors under the graph's own names.
pub struct Opened {
    /// The tensors.
    pub source: Box<dyn TensorSource>,
    /// The words that get the same weights again: an entry's name, a path, `random:SEED`.
    pub name: String,
    /// What the weights want to see.
    pub preprocess: PreprocessSpec,
    /// How that goes over to other sizes.
    pub crop_pct: f64,
    /// Which original the graph must follow.
    pub flavour: Flavour,
    /// Outputs of the classifier.
    pub classes: usize,
}

/// Opens what `--weights` names: an entry, a file, `random[:SEED]`; the backbone's first entry where it names nothing.
///
/// # Errors
/// A backbone without entries where nothing is named; an entry of another backbone; a file that cannot be had or read.
pub fn open_weights(info: &BackboneInfo, text: Option<&str>, tell: &dyn Fn(&str)) -> Result<Opened> {
    let Some(text) = text else {
        let entry = entries(info).next().ok_or_else(|| {
            let hint = format!(
                "give a file with --weights FILE, or try it out with --weights random (`headstart weights check FILE --backbone {}`)",
                info.name
            );
            Error::setting(format!("no pretrained weights of {} can be fetched by name", info.name), hint)
        })?;
        return open_entry(info, entry, tell);
    };
    if let Some(seed) = random(text)? {
        return Ok(formula(info, seed));
    }
    match ENTRIES.iter().find(|e| e.name == text) {
        Some(entry) => open_entry(info, entry, tell),
        None => open_file(info, text),
    }
}

/// The seed of `random` or `random:SEED`.
fn random(text: &str) -> Result<Option<u64>> {
    match text.strip_prefix("random") {
        Some("") => Ok(Some(0)),
        Some(rest) if rest.starts_with(':') => {
            let seed = rest[1..].parse();
            Ok(Some(seed.map_err(|_| Error::setting(format!("`{text}` has no whole number as its seed"), "write random:7, or random"))?))
        }
        _ => Ok(None),
    }
}

fn formula(info: &BackboneInfo, seed: u64) -> Opened {
    let options = Options::default();
    let (preprocess, crop_pct) = usual(info);
    let source = Box::new(Formula::new(info.graph(&options).parameters(), seed));
    Opened { source, name: format!("random:{seed}"), preprocess, crop_pct, flavour: options.flavour, classes: options.classes }
}

/// The preprocess of weights that say nothing of it: the first entry's, else torchvision's.
fn usual(info: &BackboneInfo) -> (PreprocessSpec, f64) {
    let torchvision = PreprocessSpec::new(224, 224, Interp::Bilinear, Range::Torch).with_size(info.size, CROP_PCT);
    entries(info).find(|e| e.flavour == Flavour::Torchvision).map_or((torchvision, CROP_PCT), |e| (e.preprocess, e.crop_pct))
}

fn open_entry(info: &BackboneInfo, entry: &WeightsEntry, tell: &dyn Fn(&str)) -> Result<Opened> {
    if entry.backbone != info.name {
        let hint = format!("use --backbone {}, or another entry: `headstart backbones {}` lists them", entry.backbone, info.name);
        return Err(Error::setting(format!("`{}` holds weights of {}, not of {}", entry.name, entry.backbone, info.name), hint));
    }
    let opened = open_file(info, &entry.fetch(tell)?.to_string_lossy())?;
    Ok(Opened { name: entry.name.into(), preprocess: entry.preprocess, crop_pct: entry.crop_pct, flavour: entry.flavour, ..opened })
}

fn open_file(info: &BackboneInfo, text: &str) -> Result<Opened> {
    let path = Path::new(text);
    if !path.exists() {
        let near = nearest(text, ENTRIES.iter().map(|e| e.name).chain(["random"]));
        let hint = near.map_or("give an entry's name, a file, or random".into(), |n| format!("did you mean `{n}`?"));
        return Err(Error::weights(path, "is neither a weights entry nor a file", hint));
    }
    let Adapted { source, dialect } = adapt(info.name, weights::open(path)?);
    let flavour = if dialect == Dialect::Keras { Flavour::Keras } else { Flavour::Torchvision };
    refuse_deeper(info, flavour, &*source)?;
    let (preprocess, crop_pct) = usual(info);
    let classifier = source.entries().into_iter().find(|p| p.name == info.classifier);
    let classes = classifier.and_then(|p| p.shape.first().copied()).unwrap_or(Options::default().classes);
    // Whoever reads the name later may stand in another folder.
    let name = std::path::absolute(path).map_err(Error::io("find", path))?.display().to_string();
    Ok(Opened { source, name, preprocess, crop_pct, flavour, classes })
}

/// A deeper network's file holds all that a shallower one of its family needs, and more: taken for it, it would give wrong features. So
/// tensors that the graph does not know are accepted only outside the modules that its features come from: other classifiers, say.
fn refuse_deeper(info: &BackboneInfo, flavour: Flavour, source: &dyn TensorSource) -> Result<()> {
    let module = |name: &str| name.split(['.', '/']).next().unwrap_or_default().to_string();
    let graph = info.graph(&Options { flavour, ..Options::default() });
    let features = graph.prune(&["gap".into()])?.parameters();
    let modules: BTreeSet<String> = features.iter().map(|p| module(&p.name)).collect();
    let entries = source.entries();
    let mut audit = Audit::new(&graph.parameters(), &entries);
    audit.unexpected.retain(|name| modules.contains(&module(name)));
    if audit.unexpected.is_empty() {
        return Ok(());
    }
    let features = Audit::new(&features, &entries);
    (audit.missing, audit.misshapen) = (features.missing, features.misshapen);
    Err(Error::WeightsMismatch { path: source.origin(), backbone: info.name.into(), audit: Box::new(audit) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones::find;

    #[test]
    fn every_entry_belongs_to_a_backbone_and_fits_its_size() {
        for entry in ENTRIES {
            let info = find(entry.backbone).unwrap();
            assert!(entries(info).any(|e| e.name == entry.name));
            let crop = entry.preprocess.crop.unwrap();
            assert_eq!(entry.preprocess.with_size(crop, entry.crop_pct), entry.preprocess, "{}", entry.name);
        }
    }

    #[test]
    fn random_weights_take_a_seed() {
        let info = find("mobilenet_v2").unwrap();
        let [a, b, c] = ["random", "random:0", "random:1"].map(|t| open_weights(info, Some(t), &|_| {}).unwrap().source.digest());
        assert!(a == b && b != c);
        assert!(open_weights(info, Some("random:x"), &|_| {}).is_err());
    }

    #[test]
    fn mistakes_name_the_way_out() {
        let of = |name: &str, text| open_weights(find(name).unwrap(), text, &|_| {}).err().unwrap().to_string();
        assert!(of("mobilenet_v2", None).contains("--weights"));
        assert!(of("mobilenet_v2", Some("efficientnet_lite0")).contains("--backbone efficientnet_lite0"));
        assert!(of("efficientnet_lite0", Some("efficientnet_lit0")).contains("did you mean `efficientnet_lite0`"));
    }

    /// A weights file of these tensors, all zeros.
    fn file(folder: &Path, tensors: &[crate::graph::Parameter]) -> String {
        let zeros: Vec<Vec<u8>> = tensors.iter().map(|p| vec![0; 4 * p.shape.iter().product::<usize>()]).collect();
        let view = |shape: &Vec<usize>, data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap();
        let views = tensors.iter().zip(&zeros).map(|(p, data)| (&p.name, view(&p.shape, data)));
        let path = folder.join("weights.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path.to_str().unwrap().into()
    }

    #[test]
    fn a_file_decides_how_many_classes_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let info = find("mobilenet_v2").unwrap();
        let graph = info.graph(&Options { classes: 5, ..Options::default() });
        let opened = open_weights(info, Some(&file(dir.path(), &graph.parameters())), &|_| {}).unwrap();
        assert_eq!(opened.classes, 5);
    }

    #[test]
    fn a_deeper_networks_file_is_refused_but_another_classifier_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let info = find("shufflenet_v2_x0_5").unwrap();
        let open = |extra: &str| {
            let mut tensors = info.graph(&Options::default()).parameters();
            tensors.push(crate::graph::Parameter { name: extra.into(), shape: vec![1] });
            open_weights(info, Some(&file(dir.path(), &tensors)), &|_| {})
        };
        for harmless in ["head.weight", "fc.1.weight", "conv5.1.num_batches_tracked"] {
            assert!(open(harmless).is_ok(), "{harmless}");
        }
        let error = open("stage4.9.branch2.0.weight").err().unwrap().to_string();
        assert!(error.contains("stage4.9.branch2.0.weight"), "{error}");
    }
}
