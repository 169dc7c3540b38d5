//! Every layer in plain candle ops, on any device and dtype, maps `[N, C, H, W]`, vectors `[N, D]`,
//! tokens `[N, T, D]`; gradients flow through all of them.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Activation, Module};

use crate::graph::{Act, Padding, Pool};

/// Pointwise activation.
pub(super) fn act(act: Act, x: &Tensor) -> Result<Tensor> {
    match act {
        Act::Relu => Activation::Relu,
        Act::Relu6 => Activation::Relu6,
        Act::Silu => Activation::Silu,
        Act::HardSwish => Activation::HardSwish,
        Act::HardSigmoid => Activation::HardSigmoid,
        Act::Sigmoid => Activation::Sigmoid,
        Act::Gelu => Activation::Gelu,
        Act::QuickGelu => return x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
    }
    .forward(x)
}

/// A vector of one number a channel, shaped to broadcast against `x`.
pub(super) fn per_channel(values: &Tensor, x: &Tensor) -> Result<Tensor> {
    match x.rank() {
        4 => values.reshape((1, (), 1, 1)),
        _ => values.flatten_all(),
    }
}

/// `x · scale + shift` by channel.
pub(super) fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(&per_channel(scale, x)?)?.broadcast_add(&per_channel(shift, x)?)
}

/// Convolution with zeros `[top, bottom, left, right]` around the map.
pub(super) fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    padding: [usize; 4],
    stride: usize,
    groups: usize,
) -> Result<Tensor> {
    let y = match padding {
        [t, b, l, r] if t == b && b == l && l == r => x.conv2d(weight, t, stride, 1, groups)?,
        [t, b, l, r] => x.pad_with_zeros(2, t, b)?.pad_with_zeros(3, l, r)?.conv2d(weight, 0, stride, 1, groups)?,
    };
    match bias {
        Some(bias) => y.broadcast_add(&per_channel(bias, &y)?),
        None => Ok(y),
    }
}

/// Fully connected, `weight` being `[output, input]`: on vectors, on each token, or on the channels
/// of each pixel of a map.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (output, input) = weight.dims2()?;
    let y = match *x.dims() {
        [_, _, _, _] => return conv(x, &weight.reshape((output, input, 1, 1))?, bias, [0; 4], 1, 1),
        [n, t, _] => x.reshape((n * t, input))?.matmul(&weight.t()?)?.reshape((n, t, output))?,
        _ => x.matmul(&weight.t()?)?,
    };
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// Norm over the channels of each pixel, of each token or of the vector.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let channels = if x.rank() == 4 { 1 } else { x.rank() - 1 };
    let centred = x.broadcast_sub(&x.mean_keepdim(channels)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(channels)? + eps)?.sqrt()?;
    affine(&centred.broadcast_div(&deviation)?, weight, bias)
}

/// Windows along one axis of a pooled map.
#[derive(Clone, Copy)]
struct Axis {
    length: usize,
    before: usize,
    /// Padding that PyTorch counts; a window reaching beyond it is cut off.
    after: usize,
    kernel: usize,
    stride: usize,
    windows: usize,
}

impl Axis {
    /// Cells that must follow the axis so that the last window is whole.
    fn fill(&self) -> usize {
        ((self.windows - 1) * self.stride + self.kernel).saturating_sub(self.before + self.length)
    }

    /// Cells that count in each window's mean.
    fn counts(&self, with_padding: bool) -> Vec<f64> {
        let (low, high) = if with_padding { (0, self.before + self.length + self.after) } else { (self.before, self.before + self.length) };
        let cells = |start: usize| (start + self.kernel).min(high).saturating_sub(start.max(low));
        (0..self.windows).map(|i| cells(i * self.stride) as f64).collect()
    }
}

/// Vertical and horizontal axes of a pool whose output is `[height, width]`.
fn axes(pool: &Pool, x: &Tensor, output: [usize; 2]) -> Result<[Axis; 2]> {
    let (_, _, h, w) = x.dims4()?;
    let [t, b, l, r] = crate::graph::resolve_padding(pool.padding, [h, w], pool.kernel, pool.stride);
    let axis = |i: usize, length, before, after| Axis {
        length,
        before,
        after,
        kernel: pool.kernel[i],
        stride: pool.stride[i],
        windows: output[i],
    };
    Ok([axis(0, h, t, b), axis(1, w, l, r)])
}

/// Surrounds the map with a value so that all windows are whole.
fn surround(x: &Tensor, axes: [Axis; 2], value: f32) -> Result<Tensor> {
    let mut x = x.clone();
    for (dim, axis) in [(2, axes[0]), (3, axes[1])] {
        if axis.before > 0 {
            x = Tensor::cat(&[&strip(&x, dim, axis.before, value)?, &x], dim)?;
        }
        if axis.fill() > 0 {
            x = Tensor::cat(&[&x, &strip(&x, dim, axis.fill(), value)?], dim)?;
        }
    }
    Ok(x)
}

/// A strip of `width` along `dim` that fits beside `x`.
fn strip(x: &Tensor, dim: usize, width: usize, value: f32) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape[dim] = width;
    Tensor::full(value, shape, x.device())?.to_dtype(x.dtype())
}

/// Combines the cells of each window along one axis, one pass a cell of the kernel: the slow way
/// that has a right gradient.
///
/// candle's own pools have none for overlapping windows, and a wrong one for maxima.
fn along(x: &Tensor, dim: usize, axis: Axis, join: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let cell = |offset: usize| -> Result<Tensor> {
        let index: Vec<u32> = (0..axis.windows).map(|i| (i * axis.stride + offset) as u32).collect();
        x.index_select(&Tensor::new(index, x.device())?, dim)
    };
    (1..axis.kernel).try_fold(cell(0)?, |sofar, offset| join(&sofar, &cell(offset)?))
}

/// Maximum over windows.
pub(super) fn max_pool(x: &Tensor, pool: &Pool, output: [usize; 2]) -> Result<Tensor> {
    let [v, h] = axes(pool, x, output)?;
    let x = surround(x, [v, h], f32::NEG_INFINITY)?;
    if x.track_op() {
        let larger = |a: &Tensor, b: &Tensor| a.maximum(b);
        return along(&along(&x, 2, v, larger)?, 3, h, larger);
    }
    x.max_pool2d_with_stride((v.kernel, h.kernel), (v.stride, h.stride))
}

/// Mean over windows.
pub(super) fn avg_pool(x: &Tensor, pool: &Pool, output: [usize; 2]) -> Result<Tensor> {
    let [v, h] = axes(pool, x, output)?;
    let x = surround(x, [v, h], 0.0)?;
    let cells = (v.kernel * h.kernel) as f64;
    let mean = if x.track_op() {
        let sum = |a: &Tensor, b: &Tensor| a + b;
        (along(&along(&x, 2, v, sum)?, 3, h, sum)? / cells)?
    } else {
        x.avg_pool2d_with_stride((v.kernel, h.kernel), (v.stride, h.stride))?
    };
    let (rows, columns) = (v.counts(pool.count_padding), h.counts(pool.count_padding));
    if rows.iter().all(|&n| n == v.kernel as f64) && columns.iter().all(|&n| n == h.kernel as f64) {
        return Ok(mean);
    }
    let correction: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| (cells / (r * c)) as f32)).collect();
    let correction = Tensor::from_vec(correction, (1, 1, rows.len(), columns.len()), x.device())?.to_dtype(x.dtype())?;
    mean.broadcast_mul(&correction)
}

/// PyTorch's adaptive average pooling.
pub(super) fn adaptive_avg_pool(x: &Tensor, to: [usize; 2]) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if to == [1, 1] {
        return x.mean_keepdim((2, 3));
    }
    if to == [h, w] {
        return Ok(x.clone());
    }
    if h % to[0] == 0 && w % to[1] == 0 {
        let kernel = [h / to[0], w / to[1]];
        return avg_pool(x, &Pool { kernel, stride: kernel, padding: Padding::all(0), ceil: false, count_padding: true }, to);
    }
    let columns = x.broadcast_matmul(&averaging(w, to[1], x)?.t()?)?;
    averaging(h, to[0], x)?.broadcast_matmul(&columns)
}

/// `[to, from]` matrix whose row `i` averages cells `⌊i·from/to⌋ .. ⌈(i+1)·from/to⌉`.
fn averaging(from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
    let mut matrix = vec![0f32; to * from];
    for (i, row) in matrix.chunks_exact_mut(from).enumerate() {
        let cells = i * from / to..((i + 1) * from).div_ceil(to);
        let share = 1.0 / cells.len() as f32;
        row[cells].fill(share);
    }
    Tensor::from_vec(matrix, (to, from), like.device())?.to_dtype(like.dtype())
}

/// ShuffleNet's channel shuffle.
pub(super) fn shuffle(x: &Tensor, groups: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n, groups, c / groups, h, w))?.transpose(1, 2)?.contiguous()?.reshape((n, c, h, w))
}

/// `[N, C, H, W]` to `[N, C · H · W]`.
pub(super) fn flatten(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(1)
}

/// Pixels `[n, h, w, 3]` travel as bytes and become numbers on the device, in f32, before they take
/// the compute dtype.
pub(super) fn normalise(
    rgb: &[u8],
    shape: [usize; 4],
    normalise: &crate::preprocess::Normalise,
    dtype: DType,
    on: &Device,
) -> Result<Tensor> {
    let bytes = Tensor::from_slice(rgb, &shape, on)?;
    let mut pixels = bytes.to_dtype(DType::F32)?;
    if normalise.bgr {
        pixels = pixels.index_select(&Tensor::new(&[2u32, 1, 0], on)?, D::Minus1)?;
    }
    let (scale, shift) = (Tensor::new(&normalise.scale, on)?, Tensor::new(&normalise.shift, on)?);
    let values = pixels.broadcast_mul(&scale)?.broadcast_add(&shift)?;
    values.permute((0, 3, 1, 2))?.contiguous()?.to_dtype(dtype)
}
