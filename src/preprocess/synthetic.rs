//! Images made by a formula, where any images serve: for measurements, and for the means that bf16
//! is corrected by.

use crate::rng::Philox;

/// Random images, `[images, height, width, 3]`, the same every time: noise over gradients that
/// differ from image to image, so that their features differ as photos' do.
pub fn synthetic_images(seed: u64, images: usize, [height, width]: [usize; 2]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(images * height * width * 3);
    for image in 0..images {
        let mut random = Philox::new(seed, image as u64).draws([0, 0]);
        let corners: [[f32; 3]; 4] = std::array::from_fn(|_| std::array::from_fn(|_| random.range(0.0, 200.0)));
        for (y, x) in (0..height * width).map(|i| (i / width, i % width)) {
            let (v, u) = (y as f32 / height as f32, x as f32 / width as f32);
            let weights = [(1.0 - v) * (1.0 - u), (1.0 - v) * u, v * (1.0 - u), v * u];
            let noise = random.range(0.0, 55.0);
            rgb.extend((0..3).map(|c| (corners.iter().zip(weights).map(|(k, w)| k[c] * w).sum::<f32>() + noise) as u8));
        }
    }
    rgb
}
