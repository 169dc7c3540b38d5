//! A backbone's input as one line of text: size, interpolation and value range.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Normalise;
use crate::{Error, Result, nearest};

/// Everything from decoded pixels to the input tensor.
///
/// As text it is a list `key=value,…` of these keys, in any order, each at most once:
///
/// | key | values | meaning |
/// |---|---|---|
/// | `resize` | `none` \| `shorter:N` \| `exact:HxW` | as stored; shorter side to N pixels, the longer to `⌊N·longer/shorter⌋`; to H rows and W columns |
/// | `crop` | `none` \| `N` | after it, the central N×N pixels; black is added around an image that is smaller |
/// | `interp` | `nearest` \| `bilinear` \| `bicubic` | as in Pillow, with its antialiasing |
/// | `range` | `torch` \| `tf` \| `caffe` \| `unit` | value of a byte: see [`Range`]; sets `mean`, `std` and `order` too, where the text does not |
/// | `mean` | `A/B/C` or one number for all | subtracted, in the order of the output's channels |
/// | `std` | `A/B/C` or one number for all | divided by, likewise |
/// | `order` | `rgb` \| `bgr` | channels of the output |
///
/// A value is thus `(range(byte) − mean) / std`. [`Display`](fmt::Display) prints all keys in this
/// order, the canonical form that caches are keyed by; [`parse`](PreprocessSpec::parse) reads it
/// back exactly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PreprocessSpec {
    /// First step.
    pub resize: Resize,
    /// Second step: side of the central square.
    pub crop: Option<usize>,
    /// How resizing interpolates.
    pub interp: Interp,
    /// Value of a byte.
    pub range: Range,
    /// Subtracted from it, by output channel.
    pub mean: [f32; 3],
    /// Divisor after that, by output channel.
    pub std: [f32; 3],
    /// Order of the output's channels.
    pub order: Order,
}

/// How the size of an image changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Not at all.
    None,
    /// The shorter side becomes this long, the longer one keeps its proportion, rounded down.
    Shorter(usize),
    /// To this size, whatever the proportion.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// How resizing weighs its neighbours; bilinear and bicubic widen when shrinking (antialiasing), as
/// in Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interp {
    /// One pixel, unweighed.
    Nearest,
    /// A triangle over two pixels.
    Bilinear,
    /// Catmull–Rom (a = −0.5) over four pixels.
    Bicubic,
}

/// Value of a byte before `mean` and `std`, and the defaults of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// byte / 255; ImageNet's mean 0.485/0.456/0.406 and std 0.229/0.224/0.225; RGB.
    Torch,
    /// byte / 127.5 − 1; mean 0, std 1; RGB.
    Tf,
    /// The byte itself; mean 103.939/116.779/123.68, std 1; BGR. With `mean=127,std=128,order=rgb`:
    /// EfficientNet-Lite's `(x − 127) / 128`.
    Caffe,
    /// byte / 255; mean 0, std 1; RGB.
    Unit,
}

/// Order of the output's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Sizes beyond this are taken for typos.
const MAX_SIDE: usize = 16_384;

/// Words of a value and their meanings.
trait Words: Copy + PartialEq + 'static {
    const KEY: &'static str;
    const WORDS: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    fn from_word(word: &str) -> Result<Self> {
        Self::WORDS.iter().find(|(w, _)| *w == word).map(|&(_, value)| value).ok_or_else(|| {
            let words: Vec<&str> = Self::WORDS.iter().map(|&(word, _)| word).collect();
            unknown(&format!("a value of `{}`", Self::KEY), word, &words)
        })
    }
}

impl Words for Interp {
    const KEY: &'static str = "interp";
    const WORDS: &'static [(&'static str, Self)] =
        &[("nearest", Interp::Nearest), ("bilinear", Interp::Bilinear), ("bicubic", Interp::Bicubic)];
}

impl Words for Range {
    const KEY: &'static str = "range";
    const WORDS: &'static [(&'static str, Self)] =
        &[("torch", Range::Torch), ("tf", Range::Tf), ("caffe", Range::Caffe), ("unit", Range::Unit)];
}

impl Words for Order {
    const KEY: &'static str = "order";
    const WORDS: &'static [(&'static str, Self)] = &[("rgb", Order::Rgb), ("bgr", Order::Bgr)];
}

impl Range {
    /// Mean, std and order that go with it where nothing else is said.
    const fn defaults(self) -> ([f32; 3], [f32; 3], Order) {
        match self {
            Range::Torch => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], Order::Rgb),
            Range::Tf | Range::Unit => ([0.0; 3], [1.0; 3], Order::Rgb),
            Range::Caffe => ([103.939, 116.779, 123.68], [1.0; 3], Order::Bgr),
        }
    }

    /// `byte · scale + shift`.
    const fn affine(self) -> (f64, f64) {
        match self {
            Range::Torch | Range::Unit => (1.0 / 255.0, 0.0),
            Range::Tf => (1.0 / 127.5, -1.0),
            Range::Caffe => (1.0, 0.0),
        }
    }
}

const KEYS: [&str; 7] = ["resize", "crop", "interp", "range", "mean", "std", "order"];

impl PreprocessSpec {
    /// Shorter side to `resize`, central square of `crop`, interpolation and range as given, the
    /// range's own mean, std and order.
    pub const fn new(resize: usize, crop: usize, interp: Interp, range: Range) -> PreprocessSpec {
        let (mean, std, order) = range.defaults();
        PreprocessSpec { resize: Resize::Shorter(resize), crop: Some(crop), interp, range, mean, std, order }
    }

    /// `base` with the keys that `text` gives; an empty text changes nothing.
    ///
    /// # Errors
    /// An unknown key or value, with the nearest known one; a key given twice; a std of zero; a
    /// size of zero or beyond 16,384.
    ///
    /// ```
    /// use headstart::preprocess::PreprocessSpec;
    ///
    /// let spec = PreprocessSpec::parse("resize=shorter:256,crop=224,interp=bicubic", &PreprocessSpec::default())?;
    /// assert_eq!(spec.output_size([480, 640]), [224, 224]);
    /// # Ok::<(), headstart::Error>(())
    /// ```
    pub fn parse(text: &str, base: &PreprocessSpec) -> Result<PreprocessSpec> {
        let mut values: [Option<&str>; KEYS.len()] = [None; KEYS.len()];
        for item in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| Error::setting(format!("`{item}` is not `key=value`"), format!("keys are {}", KEYS.join(", "))))?;
            let at = KEYS.iter().position(|k| *k == key).ok_or_else(|| unknown("a preprocess key", key, &KEYS))?;
            if values[at].replace(value).is_some() {
                return Err(Error::setting(format!("preprocess key `{key}` is given twice"), "keep one of the two"));
            }
        }
        let [resize, crop, interp, range, mean, std, order] = values;
        let mut spec = *base;
        if let Some(word) = range {
            spec.range = Range::from_word(word)?;
            (spec.mean, spec.std, spec.order) = spec.range.defaults();
        }
        spec.resize = resize.map_or(Ok(spec.resize), str::parse)?;
        spec.crop = match crop {
            Some("none") => None,
            Some(side) => Some(parse_side("crop", side)?),
            None => spec.crop,
        };
        spec.interp = interp.map_or(Ok(spec.interp), Words::from_word)?;
        spec.mean = mean.map_or(Ok(spec.mean), |text| triple("mean", text))?;
        spec.std = std.map_or(Ok(spec.std), |text| triple("std", text))?;
        if spec.std.iter().any(|&s| s <= 0.0) {
            return Err(Error::setting(
                format!("`std={}` divides by zero or turns the sign", std.unwrap_or_default()),
                "give positive numbers",
            ));
        }
        spec.order = order.map_or(Ok(spec.order), Words::from_word)?;
        Ok(spec)
    }

    /// The same at another size: the central `size`×`size` pixels after the shorter side became
    /// `round(size / crop_pct)`; where images are squeezed into a square and not cropped, that
    /// square.
    #[must_use]
    pub fn with_size(&self, size: usize, crop_pct: f64) -> PreprocessSpec {
        if let (Resize::Exact { .. }, None) = (self.resize, self.crop) {
            return PreprocessSpec { resize: Resize::Exact { height: size, width: size }, ..*self };
        }
        PreprocessSpec { resize: Resize::Shorter((size as f64 / crop_pct).round() as usize), crop: Some(size), ..*self }
    }

    /// The numeric part: bytes to numbers.
    pub(crate) fn normalise(&self) -> Normalise {
        let (scale, shift) = self.range.affine();
        let per_channel = |f: &dyn Fn(f64, f64) -> f64| std::array::from_fn(|c| f(f64::from(self.mean[c]), f64::from(self.std[c])) as f32);
        Normalise {
            scale: per_channel(&|_, std| scale / std),
            shift: per_channel(&|mean, std| (shift - mean) / std),
            bgr: self.order == Order::Bgr,
        }
    }
}

impl Default for PreprocessSpec {
    /// torchvision's classic one: shorter side 256, central 224, bilinear, ImageNet's mean and std.
    fn default() -> Self {
        PreprocessSpec::new(256, 224, Interp::Bilinear, Range::Torch)
    }
}

impl fmt::Display for PreprocessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resize, crop, interp, range, mean: [m0, m1, m2], std: [s0, s1, s2], order } = self;
        let crop = crop.map_or("none".into(), |side| side.to_string());
        let (interp, range, order) = (interp.word(), range.word(), order.word());
        write!(f, "resize={resize},crop={crop},interp={interp},range={range},mean={m0}/{m1}/{m2},std={s0}/{s1}/{s2},order={order}")
    }
}

impl From<PreprocessSpec> for String {
    fn from(spec: PreprocessSpec) -> String {
        spec.to_string()
    }
}

impl TryFrom<String> for PreprocessSpec {
    type Error = Error;

    /// Reads the canonical form; keys left out are those of the default.
    fn try_from(text: String) -> Result<PreprocessSpec> {
        PreprocessSpec::parse(&text, &PreprocessSpec::default())
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resize::None => f.write_str("none"),
            Resize::Shorter(side) => write!(f, "shorter:{side}"),
            Resize::Exact { height, width } => write!(f, "exact:{height}x{width}"),
        }
    }
}

impl FromStr for Resize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Resize> {
        const FORMS: &str = "use `resize=none`, `resize=shorter:256` or `resize=exact:224x224` (height first)";
        match text.split_once(':') {
            None if text == "none" => Ok(Resize::None),
            Some(("shorter", side)) => Ok(Resize::Shorter(parse_side("resize", side)?)),
            Some(("exact", size)) => {
                let (height, width) = size.split_once('x').ok_or_else(|| Error::setting(format!("`{size}` is not HEIGHTxWIDTH"), FORMS))?;
                Ok(Resize::Exact { height: parse_side("resize", height)?, width: parse_side("resize", width)? })
            }
            _ => Err(Error::setting(format!("`{text}` is not a way to resize"), FORMS)),
        }
    }
}

fn parse_side(key: &str, text: &str) -> Result<usize> {
    text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side)).ok_or_else(|| {
        Error::setting(format!("`{text}` is not a size for `{key}`"), format!("give a number of pixels from 1 to {MAX_SIDE}"))
    })
}

fn triple(key: &str, text: &str) -> Result<[f32; 3]> {
    let numbers: Option<Vec<f32>> = text.split('/').map(|v| v.parse().ok().filter(|v: &f32| v.is_finite())).collect();
    match numbers.as_deref() {
        Some(&[all]) => Ok([all; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err(Error::setting(
            format!("`{key}={text}` is not three numbers"),
            format!("write `{key}=0.5/0.5/0.5`, or one number for all channels"),
        )),
    }
}

/// An unknown word and the nearest known one.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> Error {
    let hint = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use {}", known.join(", ")),
    };
    Error::setting(format!("`{word}` is not {what}"), hint)
}
