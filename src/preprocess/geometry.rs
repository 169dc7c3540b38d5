//! The geometric part: resize and central crop with torchvision's rounding, computing only the
//! pixels that the crop keeps.

use super::resize::{Axis, Source, resize};
use super::{PreprocessSpec, Resize, View, effects};
use crate::data::Pixels;

/// Name and version of the geometric part, for the cache key. It is our own code: no crate whose
/// version could move takes part in it.
pub(crate) const RESIZE_VERSION: &str = "pillow-convolution/1";

/// One axis of "resize, pad, crop": where kept pixels come from and how much black goes around
/// them.
struct Cut {
    axis: Axis,
    before: usize,
    after: usize,
}

impl PreprocessSpec {
    /// Rows and columns of the result for an image of `[height, width]`.
    pub fn output_size(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        self.crop.map_or_else(|| self.resized([height, width]), |side| [side, side])
    }

    /// Resizes and crops, and appends `output_size · 3` RGB bytes to `out`. Where there is neither
    /// a crop nor an exact size, the result is as large as [`output_size`](Self::output_size) says:
    /// look there first, when images may have any shape.
    pub fn apply(&self, image: &Pixels, out: &mut Vec<u8>) {
        self.apply_view(image, &View::PLAIN, out);
    }

    /// The same seen through an augmented view, of the same size; `View::PLAIN` changes nothing.
    ///
    /// In this order: a random crop is resized to the output size (in the place of resize and
    /// central crop), turned, mirrored, and its brightness, contrast and saturation changed.
    pub(crate) fn apply_view(&self, image: &Pixels, view: &View, out: &mut Vec<u8>) {
        let start = out.len();
        let size = self.output_size([image.height, image.width]);
        let whole = Source { rgb: &image.rgb, stride: image.width, left: 0, top: 0, width: image.width, height: image.height };
        match view.crop_of([image.height, image.width]) {
            Some([top, left, height, width]) => {
                let [rows, columns] = size.map(|n| Axis { full: n, keep: 0..n });
                resize(Source { top, left, height, width, ..whole }, &columns, &rows, self.interp, out);
            }
            None => self.centre(whole, out),
        }
        effects::apply(view, &mut out[start..], size);
    }

    /// Size after the first step. torchvision's rule: the longer side is rounded down.
    fn resized(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let longer = |short: usize, long: usize, side: usize| (side as u128 * long as u128 / short.max(1) as u128) as usize;
        match self.resize {
            Resize::None => [height, width],
            Resize::Exact { height, width } => [height, width],
            Resize::Shorter(side) if width <= height => [longer(width, height, side), side],
            Resize::Shorter(side) => [side, longer(height, width, side)],
        }
    }

    fn centre(&self, source: Source<'_>, out: &mut Vec<u8>) {
        let [rows, columns] = self.resized([source.height, source.width]).map(|full| cut(full, self.crop.unwrap_or(full)));
        if rows.before + rows.after + columns.before + columns.after == 0 {
            return resize(source, &columns.axis, &rows.axis, self.interp, out);
        }
        let mut inner = Vec::new();
        resize(source, &columns.axis, &rows.axis, self.interp, &mut inner);
        let width = columns.before + columns.axis.keep.len() + columns.after;
        let black = |out: &mut Vec<u8>, pixels: usize| out.resize(out.len() + pixels * 3, 0);
        black(out, rows.before * width);
        for row in inner.chunks_exact(columns.axis.keep.len() * 3) {
            black(out, columns.before);
            out.extend_from_slice(row);
            black(out, columns.after);
        }
        black(out, rows.after * width);
    }
}

/// torchvision's `center_crop` on one axis: an odd pixel of padding goes behind, and the offset is
/// rounded to the even neighbour.
fn cut(full: usize, side: usize) -> Cut {
    if side >= full {
        let padding = side - full;
        return Cut { axis: Axis { full, keep: 0..full }, before: padding / 2, after: padding - padding / 2 };
    }
    let start = ((full - side) as f64 / 2.0).round_ties_even() as usize;
    Cut { axis: Axis { full, keep: start..start + side }, before: 0, after: 0 }
}
