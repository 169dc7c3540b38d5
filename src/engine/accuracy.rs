//! Distance of computed features from the right ones.

/// Error of the features of several images: ‖got − want‖ / ‖want − mean of want over images‖.
///
/// Both are `[images, …]`. Features of different images share a large mean, and an error relative
/// to the values themselves would hide mistakes behind it. For a single image, which has nothing to
/// differ from, the error is relative to `want` itself. Infinite or not-a-number where `got` is, or
/// where all images want the same and got something else.
///
/// # Panics
/// If the lengths differ or do not divide by `images`.
pub fn centred_error(got: &[f32], want: &[f32], images: usize) -> f64 {
    assert_eq!(got.len(), want.len(), "as many values got as wanted");
    assert!(images > 0 && want.len().is_multiple_of(images), "{} values of {images} images", want.len());
    let length = want.len() / images;
    let mean_at = |i: usize| match images {
        1 => 0.0,
        _ => want.iter().skip(i).step_by(length).map(|&v| f64::from(v)).sum::<f64>() / images as f64,
    };
    let means: Vec<f64> = (0..length).map(mean_at).collect();
    let norm = |terms: &mut dyn Iterator<Item = f64>| terms.map(|d| d * d).sum::<f64>().sqrt();
    let wrong = norm(&mut got.iter().zip(want).map(|(&g, &w)| f64::from(g) - f64::from(w)));
    let spread = norm(&mut want.iter().enumerate().map(|(i, &w)| f64::from(w) - means[i % length]));
    if wrong == 0.0 { 0.0 } else { wrong / spread }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_mean_does_not_hide_a_mistake() {
        let want = [100.0, 200.0, 101.0, 201.0];
        assert_eq!(centred_error(&want, &want, 2), 0.0);
        let off = centred_error(&[100.5, 200.0, 101.0, 201.0], &want, 2);
        assert!((off - 0.5).abs() < 1e-12, "{off}");
    }

    #[test]
    fn a_single_image_is_measured_against_itself() {
        assert!((centred_error(&[3.0, 4.5], &[3.0, 4.0], 1) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_a_number_is_no_small_error() {
        assert!(centred_error(&[f32::NAN, 1.0], &[0.0, 1.0], 2).is_nan());
        assert_eq!(centred_error(&[1.0, 1.5], &[1.0, 1.0], 2), f64::INFINITY);
    }
}
