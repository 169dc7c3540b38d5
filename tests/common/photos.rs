//! Photos that tests make for themselves.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};

/// An image of 40×30 that differs for each number; its class decides its dominant colour, so a head can learn it.
pub(crate) fn image(class: usize, number: usize) -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| {
        let noise = (((x as usize * 31 + y as usize * 17 + number * 101) * 2_654_435_761) >> 8) % 60;
        let mut pixel = [noise as u8 + 20; 3];
        pixel[class % 3] += 120;
        Rgb(pixel)
    })
}

/// `DIR/CLASS/NN.png`, so many of each class.
pub(crate) fn photos(dir: &Path, classes: &[&str], each: usize) {
    for (c, class) in classes.iter().enumerate() {
        fs::create_dir_all(dir.join(class)).unwrap();
        for n in 0..each {
            image(c, n).save(dir.join(class).join(format!("{n:03}.png"))).unwrap();
        }
    }
}
