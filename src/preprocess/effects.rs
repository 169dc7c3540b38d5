//! A view's effects on pixels of the final size: turning, mirroring, colour; each as Pillow
//! computes it.

use super::View;

/// Turns, mirrors and recolours `[height, width, 3]` bytes in place.
pub(super) fn apply(view: &View, rgb: &mut [u8], [height, width]: [usize; 2]) {
    if view.degrees != 0.0 {
        rotate(rgb, height, width, f64::from(view.degrees));
    }
    if view.flip {
        for row in rgb.chunks_exact_mut(width * 3) {
            mirror(row);
        }
    }
    let [brightness, contrast, saturation] = view.colour;
    if brightness != 1.0 {
        rgb.iter_mut().for_each(|v| *v = blend(0, *v, brightness));
    }
    if contrast != 1.0 {
        let mean = mean_luma(rgb);
        rgb.iter_mut().for_each(|v| *v = blend(mean, *v, contrast));
    }
    if saturation != 1.0 {
        for pixel in rgb.chunks_exact_mut(3) {
            let gray = luma(pixel);
            pixel.iter_mut().for_each(|v| *v = blend(gray, *v, saturation));
        }
    }
}

fn mirror(row: &mut [u8]) {
    row.reverse();
    row.chunks_exact_mut(3).for_each(<[u8]>::reverse);
}

/// Pillow's `Image.blend`: from `a` (factor 0) through `b` (factor 1) and beyond, rounded down.
fn blend(a: u8, b: u8, factor: f32) -> u8 {
    (f32::from(a) + factor * (f32::from(b) - f32::from(a))) as u8
}

/// ITU-R 601-2 luma in Pillow's fixed point.
fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
}

fn mean_luma(rgb: &[u8]) -> u8 {
    let sum: u64 = rgb.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum();
    (sum as f64 / (rgb.len() / 3).max(1) as f64 + 0.5) as u8
}

/// Pillow's `Image.rotate(degrees, BILINEAR)`: counter-clockwise about the centre, black outside.
fn rotate(rgb: &mut [u8], height: usize, width: usize, degrees: f64) {
    let original = rgb.to_vec();
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let centre = [width as f64 / 2.0, height as f64 / 2.0];
    for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let [dx, dy] = [x as f64 + 0.5 - centre[0], y as f64 + 0.5 - centre[1]];
            let at = [cos * dx + sin * dy + centre[0], -sin * dx + cos * dy + centre[1]];
            pixel.copy_from_slice(&bilinear(&original, height, width, at));
        }
    }
}

/// The colour at a point, weighed from four pixels whose centres lie at halves; at the edge, the
/// edge pixel stands for those beyond it.
fn bilinear(rgb: &[u8], height: usize, width: usize, [x, y]: [f64; 2]) -> [u8; 3] {
    if x < 0.0 || y < 0.0 || x >= width as f64 || y >= height as f64 {
        return [0; 3];
    }
    let [x, y] = [x - 0.5, y - 0.5];
    let [left, top] = [x.floor(), y.floor()];
    let at = |x: f64, y: f64, c: usize| {
        let (x, y) = (x.clamp(0.0, (width - 1) as f64) as usize, y.clamp(0.0, (height - 1) as f64) as usize);
        f64::from(rgb[(y * width + x) * 3 + c])
    };
    let mix = |a: f64, b: f64, d: f64| a + (b - a) * d;
    std::array::from_fn(|c| {
        let upper = mix(at(left, top, c), at(left + 1.0, top, c), x - left);
        let lower = mix(at(left, top + 1.0, c), at(left + 1.0, top + 1.0, c), x - left);
        mix(upper, lower, y - top) as u8
    })
}
