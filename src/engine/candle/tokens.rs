//! The layers of transformers in plain candle ops: tokens are `[N, T, D]`, the class token first.
//!
//! Why not candle-transformers' own models: their blocks are private or give no block's output
//! (`dinov2`, `vit`), their positions fit one size of image (`vit`, `clip`) or are resampled to the
//! nearest (`dinov2`), whose norms also add 1e-5 where the original adds 1e-6 and which cannot be
//! opened without a classifier. One set of ops over our graph serves all of them, with taps, audit
//! and planning as for convolutional networks.

use candle_core::{DType, Device, Result, Tensor};

use crate::graph::Tokens;

/// Largest matrix of attention scores that a device computes at once, in values: bounds memory at
/// large inputs.
const SCORES: usize = 1 << 28;

/// Patches `[N, C, H, W]` with the class token ahead, to each the embedding of its position added.
pub(super) fn tokens(map: &Tensor, class: &Tensor, positions: &Tensor, tokens: &Tokens) -> Result<Tensor> {
    let (_, _, h, w) = map.dims4()?;
    let first = positions.narrow(1, 0, 1)?;
    let patches = positions.narrow(1, 1, tokens.grid * tokens.grid)?;
    let patches = match tokens.interpolation(h, w) {
        None => patches,
        Some([rows, columns]) => resample(&patches, tokens, [(h, rows), (w, columns)])?,
    };
    with_class_token(map, &(class + first)?, &patches)
}

/// The same with fixed positions: the class token `[1, 1, C]` with its own, those of the
/// patches `[1, H · W, C]`.
pub(super) fn with_class_token(map: &Tensor, class: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let (n, c, ..) = map.dims4()?;
    let patches = map.flatten_from(2)?.transpose(1, 2)?.broadcast_add(positions)?;
    Tensor::cat(&[&class.broadcast_as((n, 1, c))?, &patches], 1)
}

/// Positions `[1, grid², C]` on another grid, in f32 at least.
fn resample(patches: &Tensor, tokens: &Tokens, [(h, rows), (w, columns)]: [(usize, Vec<f64>); 2]) -> Result<Tensor> {
    let (grid, width) = (tokens.grid, tokens.channels);
    let dtype = if patches.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let matrix = |values: Vec<f64>, to: usize| Tensor::from_vec(values, (to, grid), patches.device())?.to_dtype(dtype);
    // Rows first, all columns and channels together; then columns, row by row.
    let by_row = matrix(rows, h)?.matmul(&patches.to_dtype(dtype)?.reshape((grid, grid * width))?)?;
    let by_cell = matrix(columns, w)?.broadcast_matmul(&by_row.reshape((h, grid, width))?)?;
    by_cell.reshape((1, h * w, width))?.to_dtype(patches.dtype())
}

/// Self-attention of `[N, T, 3 · D]`: query, key and value one behind the other.
pub(super) fn attention(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (n, t, width) = x.dims3()?;
    // On a CPU an image at a time: its scores stay in the cache.
    let at_once = if matches!(x.device(), Device::Cpu) { 1 } else { (SCORES / (heads * t * t)).clamp(1, n) };
    let scale = ((width / 3 / heads) as f64).powf(-0.5);
    let parts: Vec<Tensor> = (0..n)
        .step_by(at_once)
        .map(|start| {
            let images = at_once.min(n - start);
            let split = x.narrow(0, start, images)?.reshape((images, t, 3, heads, ()))?.permute((2, 0, 3, 1, 4))?;
            let [query, key, value] = [0, 1, 2].map(|i| split.get(i).and_then(|part| part.contiguous()));
            let scores = (query? * scale)?.matmul(&key?.t()?)?;
            let mixed = softmax(&scores)?.matmul(&value?)?;
            mixed.transpose(1, 2)?.reshape((images, t, width / 3))
        })
        .collect::<Result<_>>()?;
    Tensor::cat(&parts, 0)
}

/// Along the last axis. The fused op has no gradient.
fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.track_op() { candle_nn::ops::softmax(x, candle_core::D::Minus1) } else { candle_nn::ops::softmax_last_dim(x) }
}

/// The first token.
pub(super) fn class_token(x: &Tensor) -> Result<Tensor> {
    x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
}

/// All tokens but the first as `[N, D, H, W]`.
pub(super) fn patch_map(x: &Tensor, map: &Tensor) -> Result<Tensor> {
    let (n, _, h, w) = map.dims4()?;
    let (_, t, width) = x.dims3()?;
    x.narrow(1, 1, t - 1)?.transpose(1, 2)?.reshape((n, width, h, w))
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::engine::{Batch, CandleEngine, Engine, centred_error};
    use crate::graph::{Act, Conv, Graph, Op, Padding};
    use crate::plan::Plan;
    use crate::weights::{Formula, TensorSource};

    const OFFSET: Tokens = Tokens { channels: 8, patch: 4, grid: 3, offset: 0.1 };

    /// One block of width 8 with two heads over patches of 4×4, everything that a transformer has.
    fn block() -> Graph {
        let (mut g, x) = Graph::new(3);
        let conv = Conv { input: 3, output: 8, kernel: [4; 2], stride: [4; 2], padding: Padding::all(0), groups: 1, bias: true };
        let linear = |input, output, bias| Op::Linear { input, output, bias };
        let patches = g.add("patch_embed.proj", Op::Conv(conv), &[x]);
        let tokens = g.add("tokens", Op::Tokens(OFFSET), &[patches]);
        let y = g.add("norm1", Op::LayerNorm { channels: 8, eps: 1e-6 }, &[tokens]);
        let y = g.add("qkv", linear(8, 24, true), &[y]);
        let y = g.add("attn", Op::Attention { heads: 2 }, &[y]);
        let y = g.add("proj", linear(8, 8, true), &[y]);
        let y = g.add("ls1.gamma", Op::LayerScale { channels: 8, tokens: true }, &[y]);
        let x = g.add("add1", Op::Add, &[y, tokens]);
        let y = g.add("fc1", linear(8, 16, true), &[x]);
        let y = g.add("act", Op::Act(Act::QuickGelu), &[y]);
        let y = g.add("fc2", linear(16, 8, false), &[y]);
        let x = g.add("add2", Op::Add, &[y, x]);
        let class = g.add("cls", Op::ClassToken, &[x]);
        let map = g.add("map", Op::PatchMap, &[x, patches]);
        let joined = g.add("head", linear(8, 5, false), &[class]);
        for (tap, id) in [("blocks.0", x), ("cls", class), ("map", map), ("head", joined)] {
            g.tap(tap, id);
        }
        g
    }

    #[test]
    fn planned_and_unplanned_agree_on_any_grid_and_batch() {
        let graph = block();
        let weights = Formula::new(graph.parameters(), 3);
        let taps: Vec<String> = graph.taps().iter().map(|(name, _)| name.clone()).collect();
        for [height, width] in [[12, 12], [20, 8], [8, 16]] {
            let shape = [3, height, width];
            let data: Vec<f32> = (0..3 * 3 * height * width).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
            let batch = Batch::Floats { images: 3, shape, data: &data };
            let plain = CandleEngine::new(&graph, &weights, &taps, shape, &Device::Cpu, DType::F64).unwrap();
            let plan = Plan::new(&graph, &weights, &taps, shape).unwrap();
            assert_eq!(plan.tap_shapes()[2], [8, height / 4, width / 4]);
            let planned = CandleEngine::planned(plan, &Device::Cpu, DType::F64).unwrap().run(batch).unwrap();
            let want = plain.run(batch).unwrap();
            let alone = plain.run(Batch::Floats { images: 1, shape, data: &data[..data.len() / 3] }).unwrap();
            for (i, tap) in taps.iter().enumerate() {
                let error = centred_error(&planned[i], &want[i], 3);
                // A plan holds f32.
                assert!(error < 1e-5, "{tap} at {height}×{width}: {error:e}");
                assert_eq!(alone[i], want[i][..alone[i].len()], "{tap}");
            }
        }
    }

    #[test]
    fn attention_is_the_plain_sum() {
        let (t, d, heads) = (5, 4, 2);
        let data: Vec<f64> = (0..2 * t * 3 * d * heads).map(|i| f64::from(i as u32 * 37 % 101) / 50.0 - 1.0).collect();
        let x = Tensor::from_slice(&data, (2, t, 3 * d * heads), &Device::Cpu).unwrap();
        let got: Vec<f64> = attention(&x, heads).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let at = |image: usize, token: usize, part: usize, head: usize, i: usize| {
            data[((image * t + token) * 3 + part) * d * heads + head * d + i]
        };
        let mut want = vec![];
        for (image, token, head) in (0..2).flat_map(|n| (0..t).flat_map(move |t| (0..heads).map(move |h| (n, t, h)))) {
            let score =
                |other: usize| (0..d).map(|i| at(image, token, 0, head, i) * at(image, other, 1, head, i)).sum::<f64>() / (d as f64).sqrt();
            let weights: Vec<f64> = (0..t).map(|other| score(other).exp()).collect();
            let sum: f64 = weights.iter().sum();
            want.extend((0..d).map(|i| (0..t).map(|other| weights[other] / sum * at(image, other, 2, head, i)).sum::<f64>()));
        }
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?} {want:?}");
    }

    /// The way that has gradients computes the same, and each of a block's parameters has one.
    #[test]
    fn gradients_reach_every_parameter() {
        let graph = block().prune(&["cls".into(), "map".into()]).unwrap();
        let weights = Formula::new(graph.parameters(), 3);
        let frozen = crate::engine::parameters(&graph, &weights, &Device::Cpu, DType::F64).unwrap();
        let trained = frozen.iter().map(|(name, t)| (name.clone(), Var::from_tensor(t).unwrap().into_inner())).collect();
        let data: Vec<f64> = (0..2 * 3 * 16 * 16).map(|i| f64::from(i * 7919 % 1000) / 500.0 - 1.0).collect();
        let images = Tensor::from_vec(data, (2, 3, 16, 16), &Device::Cpu).unwrap();
        let [plain, tracked] = [&frozen, &trained].map(|parameters| crate::engine::forward(&graph, parameters, &images).unwrap());
        let difference = (&plain[1] - &tracked[1]).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(difference < 1e-12);
        let grads =
            (tracked[0].sqr().unwrap().sum_all().unwrap() + tracked[1].sqr().unwrap().sum_all().unwrap()).unwrap().backward().unwrap();
        for (name, tensor) in &trained {
            let grad = grads.get(tensor).unwrap_or_else(|| panic!("`{name}` has no gradient"));
            assert!(grad.abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap() > 0.0, "{name}");
        }
        assert_eq!(trained.len(), weights.entries().iter().filter(|p| frozen.contains_key(&p.name)).count());
    }

    #[test]
    fn other_sizes_are_refused_with_the_nearest_that_fit() {
        let error = block().shapes([3, 18, 16]).unwrap_err();
        assert!(error.is_unusable_input(), "{error}");
        let text = error.to_string();
        assert!(text.contains("18×16") && text.contains("16 and 20"), "{text}");
    }
}
