//! Position embeddings on another grid than the one they were trained on.

/// `[to, from]` matrix of PyTorch's bicubic interpolation along one axis: `a = −0.75`, corners not
/// aligned, edges repeated, no antialiasing; a cell of the result is `scale` cells of the source
/// wide.
///
/// DINOv2's own code asks for a scale of `(to + 0.1) / from` and gets `to` cells of it ("to avoid
/// floating point error"), so that its grid is a little narrower than the source's; transformers'
/// code asks for the size, where `scale` is `from / to`.
pub(crate) fn bicubic(from: usize, to: usize, scale: f64) -> Vec<f64> {
    let mut matrix = vec![0.0; to * from];
    for (i, row) in matrix.chunks_exact_mut(from.max(1)).enumerate() {
        let at = (i as f64 + 0.5) * scale - 0.5;
        let (cell, rest) = (at.floor(), at - at.floor());
        for (neighbour, distance) in [1.0 + rest, rest, 1.0 - rest, 2.0 - rest].into_iter().enumerate() {
            let place = (cell + neighbour as f64 - 1.0).clamp(0.0, from as f64 - 1.0);
            row[place as usize] += weight(distance);
        }
    }
    matrix
}

/// Keys' cubic convolution kernel at a distance of 0 to 2.
fn weight(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 { ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0 } else { ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_one_and_the_same_grid_stays() {
        for (from, to, offset) in [(37, 16, 0.1), (37, 12, 0.0), (7, 5, 0.0), (5, 9, 0.1), (1, 3, 0.0)] {
            for row in bicubic(from, to, from as f64 / (to as f64 + offset)).chunks_exact(from) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
        let same = bicubic(4, 4, 1.0);
        assert!(same.iter().enumerate().all(|(i, &w)| w == f64::from(u8::from(i % 5 == 0))), "{same:?}");
    }

    /// `torch.nn.functional.interpolate(x, scale_factor=…, mode="bicubic")` along one axis, in
    /// float64.
    #[test]
    fn values_are_those_of_pytorch() {
        let source = [1.0, -2.0, 4.0, 0.5, 3.0];
        let at = |to: usize, scale: f64| -> Vec<f64> {
            bicubic(5, to, scale).chunks_exact(5).map(|row| row.iter().zip(source).map(|(w, x)| w * x).sum()).collect()
        };
        let offset = [-0.15074812862945236, 3.774876955288512, 1.535005853277838];
        let size = [-0.277777777777779, 3.999999999999999, 2.0185185185185213];
        for (got, want) in [(at(3, 5.0 / 3.1), offset), (at(3, 5.0 / 3.0), size)] {
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}");
        }
    }
}
