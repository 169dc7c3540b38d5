//! Augmentation that can be cached: a view is drawn once, from policy, seed, image and view number,
//! and is then part of the data.

use std::fmt;
use std::str::FromStr;

use super::spec::unknown;
use crate::data::Digest;
use crate::rng::Philox;
use crate::{Error, Result};

/// Possible changes of an image: `crop:0.6-1.0,flip,rotate:10,colour:0.2`, `standard` (that without
/// `rotate`) or `none`.
///
/// | item | meaning |
/// |---|---|
/// | `crop:A-B` | a random rectangle of A to B of the image's area, its width to height between 3:4 and 4:3 (log-uniform), resized to the input size |
/// | `flip` | mirrored left to right, every second time |
/// | `rotate:D` | turned about its centre by −D to D degrees, bilinear, black where nothing was |
/// | `colour:J` | brightness, contrast and saturation each times 1−J to 1+J |
///
/// [`Display`](fmt::Display) prints the canonical form, items in this order, that caches are keyed
/// by.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Policy {
    crop: Option<[f32; 2]>,
    flip: bool,
    rotate: Option<f32>,
    colour: Option<f32>,
}

/// One augmented reading of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    pub(super) crop: Option<Crop>,
    /// Mirrored left to right.
    pub(super) flip: bool,
    /// Degrees, counter-clockwise.
    pub(super) degrees: f32,
    /// Factors of brightness, contrast, saturation.
    pub(super) colour: [f32; 3],
}

/// A rectangle in relative terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Crop {
    /// Share of the image's area.
    area: f32,
    /// Width to height.
    ratio: f32,
    /// Where in the free space its corner lies: 0 top or left, towards 1 bottom or right.
    corner: [f32; 2],
}

/// Keeps views apart from other uses of a seed.
const STREAM: u64 = u64::from_le_bytes(*b"views\0\0\0");

impl Policy {
    /// The policy of most training recipes.
    pub const STANDARD: Policy = Policy { crop: Some([0.6, 1.0]), flip: true, rotate: None, colour: Some(0.2) };

    /// The view of a number of an image; number 0 is the plain one. The same arguments give the
    /// same view, and an item of the policy does not change the draws of the others.
    pub(crate) fn view(&self, seed: u64, image: &Digest, number: u32) -> View {
        if number == 0 {
            return View::PLAIN;
        }
        let Digest([a, b, c, d, e, f, g, h, ..]) = *image;
        let mut draws = Philox::new(seed, STREAM ^ u64::from_le_bytes([a, b, c, d, e, f, g, h])).draws([number, 0]);
        let [area, ratio, top, left, flip, turn, brightness, contrast, saturation] = std::array::from_fn(|_| draws.uniform());
        let spread = |u: f32| 2.0 * u - 1.0;
        let crop = self.crop.map(|[low, high]| Crop {
            area: low + (high - low) * area,
            ratio: (4.0_f32 / 3.0).powf(spread(ratio)),
            corner: [top, left],
        });
        View {
            crop,
            flip: self.flip && flip < 0.5,
            degrees: self.rotate.map_or(0.0, |limit| limit * spread(turn)),
            colour: [brightness, contrast, saturation].map(|u| 1.0 + self.colour.unwrap_or(0.0) * spread(u)),
        }
    }
}

impl View {
    /// The image as it is.
    pub(crate) const PLAIN: View = View { crop: None, flip: false, degrees: 0.0, colour: [1.0; 3] };

    /// Top, left, height and width of the random crop of an image; a side that would be longer than
    /// the image's is cut to it.
    pub(super) fn crop_of(&self, [height, width]: [usize; 2]) -> Option<[usize; 4]> {
        let crop = self.crop?;
        let area = height as f64 * width as f64 * f64::from(crop.area);
        let side = |ratio: f64, limit: usize| ((area * ratio).sqrt().round() as usize).clamp(1, limit);
        let (h, w) = (side(1.0 / f64::from(crop.ratio), height), side(f64::from(crop.ratio), width));
        let offset = |free: usize, u: f32| ((free + 1) as f64 * f64::from(u)) as usize;
        Some([offset(height - h, crop.corner[0]), offset(width - w, crop.corner[1]), h, w])
    }
}

const ITEMS: [&str; 6] = ["crop", "flip", "rotate", "colour", "standard", "none"];

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Policy> {
        match text {
            "standard" => return Ok(Policy::STANDARD),
            "none" => return Ok(Policy::default()),
            _ => {}
        }
        let mut policy = Policy::default();
        let mut names = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (name, value) = item.split_once(':').map_or((item, None), |(name, value)| (name, Some(value)));
            if names.contains(&name) {
                return Err(Error::setting(format!("`{name}` is given twice"), "keep one of the two"));
            }
            names.push(name);
            let number = |form: &str, low: f32, high: f32| {
                let number = value.and_then(|v| v.parse().ok()).filter(|v| (low..=high).contains(v));
                number.ok_or_else(|| {
                    Error::setting(format!("`{item}` lacks a number from {low} to {high}"), format!("write it like `{form}`"))
                })
            };
            match name {
                "crop" => policy.crop = Some(shares(item, value)?),
                "flip" if value.is_none() => policy.flip = true,
                "flip" => return Err(Error::setting(format!("`{item}`: flip takes no value"), "write `flip`")),
                "rotate" => policy.rotate = Some(number("rotate:10", 0.0, 180.0)?),
                "colour" => policy.colour = Some(number("colour:0.2", 0.0, 1.0)?),
                "standard" | "none" => return Err(Error::setting(format!("`{name}` stands alone"), "name the items instead")),
                _ => return Err(unknown("an augmentation", name, &ITEMS)),
            }
        }
        Ok(policy)
    }
}

fn shares(item: &str, value: Option<&str>) -> Result<[f32; 2]> {
    let shares = value.and_then(|v| v.split_once('-')).and_then(|(low, high)| Some([low.parse().ok()?, high.parse().ok()?]));
    shares.filter(|&[low, high]: &[f32; 2]| 0.01 <= low && low <= high && high <= 1.0).ok_or_else(|| {
        Error::setting(format!("`{item}` does not say which shares of the area to take"), "write it like `crop:0.6-1.0`, from 0.01 to 1")
    })
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = [
            self.crop.map(|[low, high]| format!("crop:{low}-{high}")),
            self.flip.then(|| "flip".into()),
            self.rotate.map(|degrees| format!("rotate:{degrees}")),
            self.colour.map(|jitter| format!("colour:{jitter}")),
        ];
        let items: Vec<String> = items.into_iter().flatten().collect();
        f.write_str(if items.is_empty() { "none" } else { "" })?;
        f.write_str(&items.join(","))
    }
}
