use std::path::PathBuf;

use super::*;
use crate::Result;
use crate::backbones;
use crate::graph::Parameter;
use crate::weights::TensorSource;
use crate::weights::{Audit, Formula, Tensor};

/// As [`super::adapt`], with the backbone's graph needs.
fn adapt(backbone: &str, source: Box<dyn TensorSource>) -> Adapted {
    super::adapt(&backbones::find(backbone).unwrap().naming, &needed(backbone), source)
}

fn needed(backbone: &str) -> Vec<Parameter> {
    backbones::find(backbone).unwrap().graph(&backbones::BuildOptions::default()).parameters()
}

/// A file of another library that holds exactly what its map makes into the parameters of
/// `backbone`.
fn foreign(stored: &[(&str, &[usize])]) -> Box<dyn TensorSource> {
    let entries = stored.iter().map(|&(name, shape)| Parameter { name: name.into(), shape: shape.to_vec() }).collect();
    Box::new(Formula::new(entries, 0))
}

#[test]
fn axes_turn_kernels_and_matrices() {
    struct One(Tensor);
    impl TensorSource for One {
        fn origin(&self) -> PathBuf {
            "one".into()
        }
        fn digest(&self) -> String {
            "0".into()
        }
        fn entries(&self) -> Vec<Parameter> {
            vec![Parameter { name: "x".into(), shape: self.0.shape.clone() }]
        }
        fn read(&self, _: &str) -> Result<Tensor> {
            Ok(self.0.clone())
        }
    }
    let turned = |shape: &[usize], axes| {
        let data = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
        let mapped = Mapped::new(Box::new(One(Tensor { shape: shape.to_vec(), data })), |_| Some(("y".into(), axes)));
        let tensor = mapped.read("y").unwrap();
        assert_eq!(mapped.entries()[0].shape, tensor.shape, "what is announced is what is read");
        tensor
    };
    let kernel = turned(&[2, 3, 4, 5], Axes::HwioToOihw);
    assert_eq!(kernel.shape, [5, 4, 2, 3]);
    // out 4, in 3, row 1, column 2 was stored at [1][2][3][4].
    assert_eq!(kernel.data[((4 * 4 + 3) * 2 + 1) * 3 + 2], (((3 + 2) * 4 + 3) * 5 + 4) as f32);
    let depthwise = turned(&[2, 3, 4, 1], Axes::HwcmToC1hw);
    assert_eq!(depthwise.shape, [4, 1, 2, 3]);
    assert_eq!(depthwise.data[..6], [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
    let dense = turned(&[2, 3], Axes::IoToOi);
    assert_eq!((dense.shape, dense.data), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!(turned(&[7], Axes::IoToOi).shape, [7], "another rank stays as it is");
    let of_map = turned(&[12, 2], Axes::HwcRowsToChw([2, 2, 3]));
    // Output 1 of channel 2, row 1, column 0: the map's cell (1 · 2 + 0) · 3 + 2.
    assert_eq!((of_map.shape.as_slice(), of_map.data[12 + 2 * 4 + 2]), (&[2, 12][..], (((2 * 3) + 2) * 2 + 1) as f32));
    assert_eq!(turned(&[12, 2], Axes::HwcRowsToChw([1, 1, 3])).shape, [12, 2], "another map stays as it is");
    let matrix = turned(&[2, 3, 2, 1], Axes::KernelToMatrix);
    assert_eq!((matrix.shape, matrix.data[11]), (vec![2, 6], 11.0));
    assert_eq!(turned(&[3], Axes::ToChannels).shape, [3, 1, 1]);
}

#[test]
fn a_source_that_already_has_the_graphs_names_stays_as_it_is() {
    let adapted = adapt("squeezenet1_1", foreign(&[("features.0.weight", &[64, 3, 3, 3])]));
    assert_eq!(adapted.dialect, Dialect::Native);
    assert_eq!(adapt("vgg16", foreign(&[("conv1/conv1_W:0", &[3, 3, 3, 64])])).dialect, Dialect::Native);
}

#[test]
fn unknown_tensors_keep_their_names() {
    let adapted = adapt("squeezenet1_1", foreign(&[("conv1/conv1_W:0", &[3, 3, 3, 64]), ("mean", &[3])]));
    assert_eq!(adapted.dialect, Dialect::Keras);
    let names: Vec<_> = adapted.source.entries().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["features.0.weight", "mean"]);
}

#[test]
fn a_renamed_source_has_a_digest_of_its_own() {
    let file = || foreign(&[("conv1/conv1_W:0", &[3, 3, 3, 64])]);
    assert_ne!(adapt("squeezenet1_1", file()).source.digest(), file().digest());
}

/// Names as Keras stores them for each of a network's parameters, found by trying: every needed
/// tensor must come from exactly one of them.
fn fits(backbone: &str, stored: &[(String, Vec<usize>)]) {
    let stored: Vec<(&str, &[usize])> = stored.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
    let adapted = adapt(backbone, foreign(&stored));
    assert_eq!(adapted.dialect, Dialect::Keras);
    let audit = Audit::new(&needed(backbone), &adapted.source.entries());
    assert_eq!(audit, Audit::default(), "{audit}");
}

#[test]
fn keras_squeezenet_becomes_torchvisions() {
    let mut stored = vec![("conv1/conv1_W:0".to_string(), vec![3, 3, 3, 64]), ("conv1/conv1_b:0".into(), vec![64])];
    let fires =
        [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)];
    for (i, (input, narrow, wide)) in fires.into_iter().enumerate() {
        for (part, side, from, to) in [("squeeze1x1", 1, input, narrow), ("expand1x1", 1, narrow, wide), ("expand3x3", 3, narrow, wide)] {
            let name = format!("fire{n}/{part}/fire{n}/{part}", n = i + 2);
            stored.push((format!("{name}_W:0"), vec![side, side, from, to]));
            stored.push((format!("{name}_b:0"), vec![to]));
        }
    }
    stored.push(("conv10/conv10_W:0".into(), vec![1, 1, 512, 1000]));
    stored.push(("conv10/conv10_b:0".into(), vec![1000]));
    fits("squeezenet1_1", &stored);
}

#[test]
fn slim_mobilenet_v2_becomes_keras() {
    let mut stored: Vec<(String, Vec<usize>)> = vec![];
    let mut unit = |path: String, kernel: &str, shape: Vec<usize>| {
        let channels = if kernel == "weights" { shape[3] } else { shape[2] };
        stored.push((format!("keras_layer/MobilenetV2/{path}/{kernel}:0"), shape));
        for role in ["beta", "gamma", "moving_mean", "moving_variance"] {
            stored.push((format!("keras_layer/MobilenetV2/{path}/BatchNorm/{role}:0"), vec![channels]));
        }
    };
    unit("Conv".into(), "weights", vec![3, 3, 3, 32]);
    let mut input = 32;
    let stages = [(16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)];
    let blocks = stages.into_iter().flat_map(|(channels, count)| std::iter::repeat_n(channels, count));
    for (i, channels) in blocks.enumerate() {
        let block = if i == 0 { "expanded_conv".to_string() } else { format!("expanded_conv_{i}") };
        let wide = if i == 0 { input } else { input * 6 };
        if i > 0 {
            unit(format!("{block}/expand"), "weights", vec![1, 1, input, wide]);
        }
        unit(format!("{block}/depthwise"), "depthwise_weights", vec![3, 3, wide, 1]);
        unit(format!("{block}/project"), "weights", vec![1, 1, wide, channels]);
        input = channels;
    }
    unit("Conv_1".into(), "weights", vec![1, 1, 320, 1280]);
    // The feature vector has no classifier of its own; the graph's is added here so that nothing is
    // missing.
    stored.push(("predictions.weight".into(), vec![1000, 1280]));
    stored.push(("predictions.bias".into(), vec![1000]));
    fits("mobilenet_v2_keras", &stored);
}

/// The pairs that `tests/goldens/weights/make_timm_names.py` found by running both networks.
#[test]
fn timms_names_become_the_graphs() {
    let list = include_str!("../../../tests/goldens/weights/timm_names.txt");
    let rows: Vec<[&str; 3]> = list.lines().map(|l| l.split(' ').collect::<Vec<_>>().try_into().unwrap()).collect();
    let mut networks: Vec<&str> = rows.iter().map(|r| r[0]).collect();
    networks.dedup();
    assert_eq!(networks.len(), 13);
    for network in networks {
        let pairs: Vec<(String, String)> = rows.iter().filter(|r| r[0] == network).map(|r| (parameter(r[1]), parameter(r[2]))).collect();
        let stored: Vec<(&str, &[usize])> = pairs.iter().map(|(timm, _)| (timm.as_str(), &[4][..])).collect();
        let adapted = adapt(network, foreign(&stored));
        let renamed = pairs.iter().any(|(timm, ours)| timm != ours);
        let same = ["resnet", "resnext", "densenet", "inception"].iter().any(|family| network.starts_with(family));
        assert_eq!((renamed, adapted.dialect), if same { (false, Dialect::Native) } else { (true, Dialect::Timm) }, "{network}");
        let mut want: Vec<&str> = pairs.iter().map(|(_, ours)| ours.as_str()).collect();
        want.sort_unstable();
        let entries = adapted.source.entries();
        assert_eq!(entries.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), want, "{network}");
        // Each name leads to the tensor that it should: values of the formula follow from the
        // stored name.
        for (timm, ours) in &pairs {
            assert_eq!(adapted.source.read(ours).unwrap().data, foreign(&[(timm, &[4])]).read(timm).unwrap().data, "{network} {ours}");
        }
    }
}

/// A module's weight; the list names parameters of containers (layer scales) themselves.
fn parameter(row: &str) -> String {
    if row.ends_with("gamma") || row.ends_with("layer_scale") { row.into() } else { format!("{row}.weight") }
}

/// What `tests/goldens/make_transformers.py` proved by running the networks. Lines: backbone,
/// library, stored name, shape, our name, and which part of ours it is (`q`, `k`, `v`) or whether
/// it is transposed (`T`); `*` stands for each block's number.
#[test]
fn transformers_of_every_library_become_the_graphs() {
    let list = include_str!("../../../tests/goldens/weights/transformer_names.txt");
    let rows: Vec<[&str; 6]> = list.lines().map(|l| l.split(' ').collect::<Vec<_>>().try_into().unwrap()).collect();
    let mut files: Vec<[&str; 2]> = rows.iter().map(|r| [r[0], r[1]]).collect();
    files.dedup();
    assert_eq!(files.len(), 10, "{files:?}");
    for [backbone, library] in files {
        let rows = rows.iter().filter(|r| r[..2] == [backbone, library]).flat_map(|&[_, _, name, shape, ours, how]| {
            let blocks = if name.contains('*') { 12 } else { 1 };
            let shape: Vec<usize> = shape.split('x').map(|n| n.parse().unwrap()).collect();
            (0..blocks).map(move |b| {
                let numbered = |name: &str| name.replacen('*', &b.to_string(), 1);
                (numbered(name), shape.clone(), numbered(ours), how)
            })
        });
        let rows: Vec<_> = rows.collect();
        proven(backbone, &rows);
        if library == "torchvision" {
            // The published file is older than torchvision's present names.
            let older = |name: &str| name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.");
            proven(backbone, &rows.into_iter().map(|(name, shape, ours, how)| (older(&name), shape, ours, how)).collect::<Vec<_>>());
        }
    }
}

/// Checks that these stored tensors become all those of a backbone's graph, each from where it
/// should.
fn proven(backbone: &str, rows: &[(String, Vec<usize>, String, &str)]) {
    let stored: Vec<(&str, &[usize])> = rows.iter().map(|(name, shape, ..)| (name.as_str(), shape.as_slice())).collect();
    let adapted = adapt(backbone, foreign(&stored));
    let graph = backbones::find(backbone).unwrap().graph(&backbones::BuildOptions::default());
    let classified = rows.iter().any(|(_, _, ours, _)| ours == "head.weight");
    let needed = if classified { graph } else { graph.prune(&["gap".into()]).unwrap() }.parameters();
    let mut audit = Audit::new(&needed, &adapted.source.entries());
    audit.unexpected.retain(|name| !name.ends_with("mask_token"));
    assert_eq!(audit, Audit::default(), "{backbone}\n{audit}");
    // Where each comes from shows as well on small tensors, no two of whose sides are alike.
    let small: Vec<Vec<usize>> = rows.iter().map(|(_, shape, ..)| shape.iter().enumerate().map(|(i, &n)| n.min(3 + i)).collect()).collect();
    let stored: Vec<(&str, &[usize])> = rows.iter().zip(&small).map(|((name, ..), shape)| (name.as_str(), shape.as_slice())).collect();
    let (adapted, file) = (adapt(backbone, foreign(&stored)), foreign(&stored));
    for ((name, _, ours, how), shape) in rows.iter().zip(&small).filter(|((_, _, ours, _), _)| needed.iter().any(|p| p.name == *ours)) {
        let (got, want) = (adapted.source.read(ours).unwrap().data, file.read(name).unwrap().data);
        let right = match *how {
            "-" => got == want,
            "T" => (0..got.len()).all(|i| got[i] == want[i % shape[0] * shape[1] + i / shape[0]]),
            third => got.chunks_exact(want.len()).nth("qkv".find(third).unwrap()) == Some(&want),
        };
        assert!(right, "{backbone}: {name} → {ours}");
    }
}

#[test]
fn parts_of_a_tensor_stay_apart_where_one_is_missing() {
    let rows: [(&str, &[usize]); 3] = [
        ("vision_model.encoder.layers.0.self_attn.q_proj.bias", &[4]),
        ("vision_model.encoder.layers.0.self_attn.v_proj.bias", &[4]),
        ("vision_model.embeddings.patch_embedding.weight", &[4, 3, 2, 2]),
    ];
    let names: Vec<_> = adapt("clip_vit_b_32", foreign(&rows)).source.entries().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["patch_embed.proj.weight", rows[0].0, rows[1].0]);
}
