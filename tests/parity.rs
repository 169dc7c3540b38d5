//! Every backbone against its original: weights and images from formulas, outputs as torchvision or Keras computes them in float64.
//!
//! `make_backbones.py`, `make_keras.py` and `make_transformers.py` in `tests/goldens` wrote the goldens.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use headstart::backbone::{Backbone, BackboneSettings};
use headstart::backbones::{self, BuildOptions, Flavour};
use headstart::engine::native::{self, NativeEngine};
use headstart::engine::{Batch, CandleEngine, Engine, centred_error, correct_biases_for_native};
use headstart::internals::graph::Graph;
use headstart::internals::plan::Plan;
use headstart::weights::Formula;

const IMAGES: usize = 3;

/// MurmurHash3's 32-bit finaliser.
fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// The golden script's `images`, `[IMAGES, 3, size, size]`.
fn images(size: usize) -> Vec<f32> {
    (0..IMAGES as u32).flat_map(|n| image(n, 0, size)).collect()
}

/// Image `n`, or another of its kind.
fn image(n: u32, other: u32, size: usize) -> Vec<f32> {
    let at = |c: u32, y: u32, x: u32| {
        let plane = (n * 3 + c + other).wrapping_mul(0x9E37_79B9);
        let place =
            |plane: u32, y: u32, x: u32, v: u32, h: u32| mix(plane.wrapping_add(y.wrapping_mul(v)).wrapping_add(x.wrapping_mul(h))) >> 24;
        let block = place(plane, y >> (n + 3), x >> (n + 3), 0x85EB_CA6B, 0xC2B2_AE35);
        let noise = place(plane, y, x, 0x27D4_EB2F, 0x1656_67B1);
        (block as i32 * 3 + noise as i32 - 510 + 256 * (n as i32 - 1)) as f32 / (512 >> n) as f32
    };
    let side = size as u32;
    (0..3).flat_map(|c| (0..side).flat_map(move |y| (0..side).map(move |x| at(c, y, x)))).collect()
}

/// The golden script's `sampled`, image by image.
fn sample(values: &[f32]) -> Vec<f32> {
    const SAMPLES: usize = 256;
    let count = values.len() / IMAGES;
    let index: Vec<usize> = if count <= SAMPLES { (0..count).collect() } else { (0..SAMPLES).map(|i| i * 982_451_653 % count).collect() };
    values.chunks_exact(count).flat_map(|image| index.iter().map(|&i| image[i])).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/backbones")
}

/// What a network gave.
struct Golden {
    /// Seed of its weights.
    seed: u64,
    /// Factor of the images.
    scale: f32,
    /// For each input size the taps and their wanted samples.
    taps: BTreeMap<usize, Vec<(String, Vec<f32>)>>,
}

fn golden(name: &str) -> Golden {
    let path = folder().join(format!("{name}.safetensors"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (seed, scale) = header.metadata().as_ref().unwrap()["conditions"].split_once(' ').unwrap();
    let mut taps: BTreeMap<usize, Vec<(String, Vec<f32>)>> = BTreeMap::new();
    for (key, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let (size, tap) = key.split_once('/').unwrap();
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        taps.entry(size.parse().unwrap()).or_default().push((tap.into(), values));
    }
    Golden { seed: seed.parse().unwrap(), scale: scale.parse().unwrap(), taps }
}

/// `resnet50`, or `squeezenet1_1.keras`: a backbone and what its graph depends on.
fn graph(name: &str) -> Graph {
    let (name, variant) = name.split_once('.').unwrap_or((name, ""));
    let mut options = BuildOptions::default();
    match variant {
        "" => {}
        "keras" => options.flavour = Flavour::Keras,
        "transform" => options.input_transform = true,
        other => panic!("no variant `{other}`"),
    }
    backbones::find(name).unwrap().graph(&options)
}

fn cpu(graph: &Graph, weights: &Formula, taps: &[String], size: usize) -> CandleEngine {
    CandleEngine::new(graph, weights, taps, [3, size, size], &candle_core::Device::Cpu, candle_core::DType::F32).unwrap()
}

/// All engines against the golden: the reference within 5e-5, the fast one (Winograd included; planned candle for transformers) within the same,
/// the fast one in bf16, where the CPU has it, within 3e-2 at the pooled features.
fn check(name: &str) {
    let graph = graph(name);
    let Golden { seed, scale, taps: wanted } = golden(name);
    let weights = Formula::new(graph.parameters(), seed);
    for (size, wanted) in wanted {
        let taps: Vec<String> = wanted.iter().map(|(tap, _)| tap.clone()).collect();
        let data: Vec<f32> = images(size).into_iter().map(|v| v * scale).collect();
        let plan = Plan::new(&graph, &weights, &taps, [3, size, size]).unwrap();
        let fast: Box<dyn Engine> = match graph.has_tokens() {
            true => Box::new(CandleEngine::planned(plan.clone(), &candle_core::Device::Cpu, candle_core::DType::F32).unwrap()),
            false => Box::new(NativeEngine::new(&plan, IMAGES, native::NativeOptions::default()).unwrap()),
        };
        let bf16 = native::NativeOptions { bf16: true, ..native::NativeOptions::default() };
        let typical: Vec<f32> = image(1, 100, size).into_iter().map(|v| v * scale).collect();
        let rounded = || NativeEngine::new(&correct_biases_for_native(plan.clone(), bf16, &typical).unwrap(), IMAGES, bf16).unwrap();
        let coarse = (bf16.check().is_ok() && !graph.has_tokens()).then(rounded);
        let reference = cpu(&graph, &weights, &taps, size);
        let engines = [(&reference as &dyn Engine, 5e-5), (&*fast, 5e-5)];
        for (engine, bound) in engines.into_iter().chain(coarse.iter().map(|e| (e as &dyn Engine, 3e-2))) {
            let got = engine.run(Batch::Floats { images: IMAGES, shape: [3, size, size], data: &data }).unwrap();
            for ((tap, want), got) in wanted.iter().zip(got) {
                let error = centred_error(&sample(&got), want, IMAGES);
                println!("{name:24} {size} {tap:24} {} {bound:.0e} {error:.1e}", engine.name());
                // Gates of squeeze-excite layers hardly differ between images, and bf16 is meant for what pooling makes of the maps.
                let counts = bound < 1e-2 || tap == "gap";
                assert!(!counts || error < bound, "{name} at {size}, {tap}, {}: error {error:e}", engine.name());
            }
        }
    }
}

macro_rules! networks {
    ($($test:ident: $golden:literal),* $(,)?) => {
        $(#[test] fn $test() { check($golden); })*

        const GOLDENS: &[&str] = &[$($golden),*];
    };
}

networks! {
    alexnet: "alexnet",
    vgg11: "vgg11",
    vgg11_bn: "vgg11_bn",
    vgg13: "vgg13",
    vgg13_bn: "vgg13_bn",
    vgg16: "vgg16",
    vgg16_bn: "vgg16_bn",
    vgg19: "vgg19",
    vgg19_bn: "vgg19_bn",
    vgg16_keras: "vgg16_keras",
    vgg19_keras: "vgg19_keras",
    resnet50_keras: "resnet50_keras",
    resnet18: "resnet18",
    resnet34: "resnet34",
    resnet50: "resnet50",
    resnet101: "resnet101",
    resnet152: "resnet152",
    resnext50_32x4d: "resnext50_32x4d",
    wide_resnet50_2: "wide_resnet50_2",
    squeezenet1_0: "squeezenet1_0",
    squeezenet1_1: "squeezenet1_1",
    squeezenet1_1_keras: "squeezenet1_1.keras",
    densenet121: "densenet121",
    densenet161: "densenet161",
    densenet169: "densenet169",
    densenet201: "densenet201",
    inception_v3: "inception_v3",
    inception_v3_transform: "inception_v3.transform",
    inception_v3_keras: "inception_v3_keras",
    xception: "xception",
    googlenet: "googlenet",
    googlenet_transform: "googlenet.transform",
    shufflenet_v2_x0_5: "shufflenet_v2_x0_5",
    shufflenet_v2_x1_0: "shufflenet_v2_x1_0",
    shufflenet_v2_x1_5: "shufflenet_v2_x1_5",
    shufflenet_v2_x2_0: "shufflenet_v2_x2_0",
    mobilenet_v2: "mobilenet_v2",
    mobilenet_v2_keras: "mobilenet_v2_keras",
    mobilenet_v3_large: "mobilenet_v3_large",
    mobilenet_v3_small: "mobilenet_v3_small",
    efficientnet_b0: "efficientnet_b0",
    efficientnet_b1: "efficientnet_b1",
    efficientnet_b2: "efficientnet_b2",
    efficientnet_b3: "efficientnet_b3",
    efficientnet_b4: "efficientnet_b4",
    efficientnet_lite0: "efficientnet_lite0",
    efficientnet_lite1: "efficientnet_lite1",
    efficientnet_lite2: "efficientnet_lite2",
    convnext_tiny: "convnext_tiny",
    convnext_small: "convnext_small",
    convnext_base: "convnext_base",
    vit_b_16: "vit_b_16",
    dinov2_vits14: "dinov2_vits14",
    dinov2_vitb14: "dinov2_vitb14",
    clip_vit_b_32: "clip_vit_b_32",
    clip_vit_b_16: "clip_vit_b_16",
}

#[test]
fn every_backbone_is_proven() {
    for info in backbones::all() {
        assert!(GOLDENS.contains(&info.name), "{} has no golden", info.name);
    }
}

/// Planned graphs compute what unplanned ones do, and an image's features do not depend on its neighbours.
#[test]
fn plans_and_batches_change_nothing() {
    for name in [
        "alexnet",
        "vgg11_bn",
        "resnet18",
        "squeezenet1_1",
        "densenet121",
        "inception_v3.transform",
        "googlenet",
        "shufflenet_v2_x0_5",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "efficientnet_lite0",
        "convnext_tiny",
        "xception",
        "mobilenet_v2_keras",
        "dinov2_vits14",
    ] {
        let graph = graph(name);
        let Golden { seed, scale, .. } = golden(name);
        let weights = Formula::new(graph.parameters(), seed);
        let (size, taps) = (if graph.has_tokens() { 112 } else { 107 }, ["gap".to_string(), "logits".into()]);
        let data: Vec<f32> = images(size).into_iter().map(|v| v * scale).collect();
        let shape = [3, size, size];
        let plain = cpu(&graph, &weights, &taps, size);
        let want = plain.run(Batch::Floats { images: IMAGES, shape, data: &data }).unwrap();
        let plan = Plan::new(&graph, &weights, &taps, shape).unwrap();
        let planned = CandleEngine::planned(plan, &candle_core::Device::Cpu, candle_core::DType::F32).unwrap();
        let got = planned.run(Batch::Floats { images: IMAGES, shape, data: &data }).unwrap();
        let mut singly = vec![vec![]; taps.len()];
        for image in data.chunks_exact(3 * size * size) {
            for (all, one) in singly.iter_mut().zip(plain.run(Batch::Floats { images: 1, shape, data: image }).unwrap()) {
                all.extend(one);
            }
        }
        for (i, tap) in taps.iter().enumerate() {
            for (what, got) in [("planned", &got[i]), ("one by one", &singly[i])] {
                let error = centred_error(got, &want[i], IMAGES);
                assert!(error < 1e-5, "{name} {tap} {what}: error {error:e}");
            }
        }
    }
}

/// State dicts that PyTorch and safetensors wrote themselves (`tests/goldens/make_files.py`), opened as a user's file is.
#[test]
fn files_of_every_format_give_the_features_of_their_network() {
    let (name, size) = ("shufflenet_v2_x0_5", 64);
    let files = folder().with_file_name("files");
    let golden = std::fs::read(files.join(format!("{name}.golden.safetensors"))).unwrap();
    let golden = safetensors::SafeTensors::deserialize(&golden).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for kind in ["zip.pth", "legacy.pth", "safetensors"] {
        let path = scratch.path().join(format!("{name}.{kind}"));
        let packed = std::fs::File::open(files.join(format!("{name}.{kind}.gz"))).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut std::fs::File::create(&path).unwrap()).unwrap();
        let info = backbones::find(name).unwrap();
        let opened = backbones::open_weights(info, path.to_str(), &|_| {}).unwrap();
        for (tap, want) in golden.tensors() {
            let graph = info.graph(&opened.options);
            let taps = [tap.clone()];
            let engine = CandleEngine::new(
                &graph,
                opened.source.as_ref(),
                &taps,
                [3, size, size],
                &candle_core::Device::Cpu,
                candle_core::DType::F32,
            );
            let data = images(size);
            let got = engine.unwrap().run(Batch::Floats { images: IMAGES, shape: [3, size, size], data: &data }).unwrap().remove(0);
            let kept = want.shape()[1];
            let got: Vec<f32> = got.chunks_exact(got.len() / IMAGES).flat_map(|image| &image[..kept]).copied().collect();
            let want: Vec<f32> = want.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let error = centred_error(&got, &want, IMAGES);
            assert!(error < 5e-5, "{kind} {tap}: error {error:e}");
        }
    }
}

/// A file of zeros with the tensors of a network; its bytes are a hole, so that the largest takes no room.
fn hollow(folder: &Path, name: &str) -> PathBuf {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for p in backbones::find(name).unwrap().graph(&BuildOptions::default()).parameters() {
        let start = end;
        end += 4 * p.shape.iter().product::<usize>();
        header.insert(p.name, serde_json::json!({ "dtype": "F32", "shape": p.shape, "data_offsets": [start, end] }));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let path = folder.join(format!("{name}.safetensors"));
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    path
}

#[test]
fn another_networks_file_is_refused_with_the_names_that_differ() {
    let dir = tempfile::tempdir().unwrap();
    for (file, wanted, differs) in [
        ("resnet34", "resnet50", "layer1.0.conv3.weight"),
        ("resnet50", "resnet34", "layer1.0.conv3.weight"),
        ("vgg16", "vgg16_bn", "features.1.running_mean"),
        ("efficientnet_b1", "efficientnet_b0", "features.1.1.block.0.0.weight"),
    ] {
        let path = hollow(dir.path(), file);
        let settings =
            BackboneSettings { backbone: wanted.into(), weights: Some(path.display().to_string()), ..BackboneSettings::default() };
        let refused = Backbone::open_with(&settings, &|_| {}).and_then(|base| base.audit(&["gap".into()])).unwrap_err().to_string();
        assert!(refused.contains(differs), "{file} for {wanted}: {refused}");
        let own = BackboneSettings { backbone: file.into(), ..settings };
        Backbone::open_with(&own, &|_| {}).unwrap().audit(&["logits".into()]).unwrap();
    }
}
