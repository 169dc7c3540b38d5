//! Goldens of Pillow and torchvision, and properties of specs, geometry and views.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::data::{Digest, Pixels};

fn goldens(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/goldens/preprocess/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The image of `make_preprocess.py`: noise and gradients in squares of 4 × 4.
fn formula(height: usize, width: usize, seed: u32) -> Pixels {
    let value = |y: u32, x: u32, c: u32| {
        if (x / 4 + y / 4).is_multiple_of(2) {
            let mixed = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791) ^ seed;
            (mixed.wrapping_mul(2_654_435_761) >> 24) as u8
        } else {
            (x * 255 / width as u32 + c * 50 + y) as u8
        }
    };
    let places = (0..height as u32).flat_map(|y| (0..width as u32).flat_map(move |x| (0..3).map(move |c| (y, x, c))));
    Pixels { width, height, rgb: places.map(|(y, x, c)| value(y, x, c)).collect() }
}

fn spec(text: &str) -> PreprocessSpec {
    PreprocessSpec::parse(text, &PreprocessSpec::default()).unwrap()
}

fn problem(text: &str) -> String {
    PreprocessSpec::parse(text, &PreprocessSpec::default()).unwrap_err().to_string()
}

fn seen(spec: &PreprocessSpec, image: &Pixels, view: &View) -> Vec<u8> {
    let mut out = Vec::new();
    spec.apply_view(image, view, &mut out);
    let [height, width] = spec.output_size([image.height, image.width]);
    assert_eq!(out.len(), height * width * 3);
    out
}

#[test]
fn resize_and_crop_are_those_of_pillow_and_torchvision_to_the_last_bit() {
    for golden in goldens("resize.json") {
        let number = |v: &Value| v.as_u64().unwrap() as usize;
        let image = formula(number(&golden["from"][0]), number(&golden["from"][1]), number(&golden["seed"]) as u32);
        let spec = spec(golden["spec"].as_str().unwrap());
        let want = Pixels::from_golden(&golden);
        assert_eq!(spec.output_size([image.height, image.width]), [want.height, want.width], "{golden}");
        assert!(seen(&spec, &image, &View::PLAIN) == want.rgb, "{golden}");
    }
}

#[test]
fn effects_are_those_of_pillow_to_the_last_bit() {
    let image = formula(13, 17, 99);
    for golden in goldens("effects.json") {
        let amount = golden["amount"].as_f64().unwrap() as f32;
        let colour = |at: usize| std::array::from_fn(|i| if i == at { amount } else { 1.0 });
        let view = match golden["effect"].as_str().unwrap() {
            "none" => View::PLAIN,
            "rotate" => View { degrees: amount, ..View::PLAIN },
            "brightness" => View { colour: colour(0), ..View::PLAIN },
            "contrast" => View { colour: colour(1), ..View::PLAIN },
            "color" => View { colour: colour(2), ..View::PLAIN },
            other => panic!("{other}"),
        };
        assert!(seen(&spec("resize=none,crop=none"), &image, &view) == Pixels::from_golden(&golden).rgb, "{} {amount}", golden["effect"]);
    }
}

#[test]
fn results_are_appended() {
    let image = formula(5, 6, 1);
    let spec = spec("resize=shorter:4,crop=3");
    let mut both = seen(&spec, &image, &View::PLAIN);
    let once = both.clone();
    spec.apply(&image, &mut both);
    assert_eq!(both, [once.clone(), once].concat());
}

#[test]
fn a_spec_is_its_base_with_what_the_text_changes() {
    let torch = "resize=shorter:256,crop=224,interp=bilinear,range=torch,mean=0.485/0.456/0.406,std=0.229/0.224/0.225,order=rgb";
    assert_eq!(PreprocessSpec::default().to_string(), torch);
    assert_eq!(spec(" ").to_string(), torch);
    assert_eq!(spec("crop=none, resize=exact:96x128").resize, Resize::Exact { height: 96, width: 128 });
    // A range brings its mean, std and order, wherever it stands, unless they are given.
    let caffe = spec("std=2,range=caffe");
    assert_eq!((caffe.mean, caffe.std, caffe.order), ([103.939, 116.779, 123.68], [2.0; 3], Order::Bgr));
    let lite = spec("mean=127,range=caffe,std=128,order=rgb,interp=bicubic");
    assert!(lite.to_string().ends_with("interp=bicubic,range=caffe,mean=127/127/127,std=128/128/128,order=rgb"));
    assert_eq!(spec("").with_size(160, 0.875).to_string(), torch.replace("256,crop=224", "183,crop=160"));
    assert_eq!(spec("resize=exact:224x224,crop=none").with_size(160, 0.875), spec("resize=exact:160x160,crop=none"));
}

#[test]
fn mistakes_name_the_nearest_word() {
    for (text, want) in [
        ("interp=bilinaer", "`bilinaer` is not a value of `interp`\n  help: did you mean `bilinear`?"),
        ("intrep=bilinear", "did you mean `interp`?"),
        ("range=imagenet", "use torch, tf, caffe, unit"),
        ("order=bgrr", "did you mean `bgr`?"),
        ("resize=224", "`resize=shorter:256`"),
        ("resize=exact:224", "`224` is not HEIGHTxWIDTH"),
        ("resize=shorter:0", "from 1 to 16384"),
        ("crop=20000", "from 1 to 16384"),
        ("mean=1/2", "`mean=0.5/0.5/0.5`"),
        ("mean=nan", "is not three numbers"),
        ("std=1/0/1", "divides by zero"),
        ("crop=3,crop=4", "`crop` is given twice"),
        ("crop", "`crop` is not `key=value`"),
        ("crop=3,", "`` is not `key=value`"),
    ] {
        let error = problem(text);
        assert!(error.contains(want) && error.contains("help: "), "{text}: {error}");
    }
}

#[test]
fn bytes_become_the_numbers_of_each_convention() {
    let at = |text: &str, rgb: [u8; 3]| spec(text).normalise().planar(&rgb, 1);
    let close = |got: Vec<f32>, want: [f64; 3]| {
        assert!(got.iter().zip(want).all(|(g, w)| (f64::from(*g) - w).abs() < 2e-6 * w.abs().max(1.0)), "{got:?} {want:?}");
    };
    let rgb = [200_u8, 100, 0];
    let [r, g, b] = rgb.map(f64::from);
    close(at("", rgb), [(r / 255.0 - 0.485) / 0.229, (g / 255.0 - 0.456) / 0.224, (b / 255.0 - 0.406) / 0.225]);
    close(at("range=tf", rgb), [r / 127.5 - 1.0, g / 127.5 - 1.0, b / 127.5 - 1.0]);
    close(at("range=caffe", rgb), [b - 103.939, g - 116.779, r - 123.68]);
    close(at("range=unit", rgb), [r / 255.0, g / 255.0, b / 255.0]);
    close(at("range=caffe,mean=127,std=128,order=rgb", rgb), [(r - 127.0) / 128.0, (g - 127.0) / 128.0, (b - 127.0) / 128.0]);
    // Mean and std are in the order of the output.
    close(at("range=unit,order=bgr,mean=0.5/0/0,std=1/1/2", rgb), [b / 255.0 - 0.5, g / 255.0, r / 510.0]);
}

#[test]
fn a_policy_is_its_canonical_text() {
    let text = |t: &str| t.parse::<Policy>().unwrap().to_string();
    assert_eq!(text("standard"), "crop:0.6-1,flip,colour:0.2");
    assert_eq!(text("colour:0.1,rotate:10,flip"), "flip,rotate:10,colour:0.1");
    assert_eq!(text("none"), "none");
    assert_eq!("none".parse::<Policy>().unwrap(), Policy::default());
    for (bad, want) in [
        ("colur:0.2", "did you mean `colour`?"),
        ("crop", "`crop:0.6-1.0`"),
        ("crop:0.9-0.5", "`crop:0.6-1.0`"),
        ("crop:0-1", "from 0.01 to 1"),
        ("flip:1", "write `flip`"),
        ("rotate:200", "from 0 to 180"),
        ("colour:x", "`colour:0.2`"),
        ("", "use crop"),
        ("flip,standard", "stands alone"),
        ("flip,flip", "twice"),
    ] {
        let error = bad.parse::<Policy>().unwrap_err().to_string();
        assert!(error.contains(want), "{bad}: {error}");
    }
}

#[test]
fn views_depend_on_seed_image_and_number_and_the_first_is_plain() {
    let policy = Policy::STANDARD;
    let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
    assert_eq!(policy.view(1, &a, 0), View::PLAIN);
    let all = [policy.view(1, &a, 1), policy.view(1, &a, 2), policy.view(1, &b, 1), policy.view(2, &a, 1)];
    for (i, view) in all.iter().enumerate() {
        assert!(*view != View::PLAIN && all[i + 1..].iter().all(|other| other != view));
    }
    assert_eq!(policy.view(1, &a, 1), all[0]);
    // What one item draws does not depend on the others.
    let flips = |text: &str| -> Vec<bool> { (1..40).map(|n| text.parse::<Policy>().unwrap().view(1, &a, n).flip).collect() };
    assert_eq!(flips("flip"), flips("standard"));
    assert!(flips("flip").contains(&true) && flips("flip").contains(&false));
}

#[test]
fn crops_have_the_area_and_shape_that_the_policy_says() {
    let policy: Policy = "crop:0.3-0.8".parse().unwrap();
    let [height, width] = [300, 400];
    let mut corners = [0.0; 2];
    for number in 1..500 {
        let [top, left, h, w] = policy.view(7, &Digest::of(b""), number).crop_of([height, width]).unwrap();
        assert!(top + h <= height && left + w <= width);
        let (area, ratio) = ((h * w) as f64 / (height * width) as f64, w as f64 / h as f64);
        assert!(area < 0.81, "{area}");
        if h < height && w < width {
            assert!(area > 0.295 && (0.74..1.35).contains(&ratio), "{area} {ratio}");
            corners = [corners[0] + top as f64 / (height - h) as f64 / 500.0, corners[1] + left as f64 / (width - w) as f64 / 500.0];
        }
    }
    assert!(corners.iter().all(|mean| (0.3..0.6).contains(mean)), "{corners:?}");
}

#[test]
fn a_flip_mirrors_and_a_crop_resizes_its_rectangle() {
    let image = formula(9, 8, 3);
    let mirrored = seen(&spec("resize=none,crop=none"), &image, &View { flip: true, ..View::PLAIN });
    for (row, original) in mirrored.chunks(24).zip(image.rgb.chunks(24)) {
        let back: Vec<u8> = row.chunks(3).rev().flatten().copied().collect();
        assert_eq!(back, original);
    }
    let view = "crop:0.3-0.5".parse::<Policy>().unwrap().view(1, &Digest::of(b""), 1);
    let [top, left, height, width] = view.crop_of([9, 8]).unwrap();
    let rows = (top..top + height).flat_map(|y| image.rgb[(y * 8 + left) * 3..][..width * 3].to_vec());
    let cut = Pixels { height, width, rgb: rows.collect() };
    assert_eq!(seen(&spec("crop=12"), &image, &view), seen(&spec("resize=exact:12x12,crop=none"), &cut, &View::PLAIN));
}

fn any_spec() -> impl Strategy<Value = PreprocessSpec> {
    let resize = prop_oneof![
        Just(Resize::None),
        (1_usize..40).prop_map(Resize::Shorter),
        (1_usize..40, 1_usize..40).prop_map(|(height, width)| Resize::Exact { height, width })
    ];
    let crop = prop_oneof![Just(None), (1_usize..30).prop_map(Some)];
    let interp = prop_oneof![Just(Interp::Nearest), Just(Interp::Bilinear), Just(Interp::Bicubic)];
    let range = prop_oneof![Just(Range::Torch), Just(Range::Tf), Just(Range::Caffe), Just(Range::Unit)];
    let order = prop_oneof![Just(Order::Rgb), Just(Order::Bgr)];
    (resize, crop, interp, range, prop::array::uniform3(-300_f32..300.0), prop::array::uniform3(1e-6_f32..300.0), order)
        .prop_map(|(resize, crop, interp, range, mean, std, order)| PreprocessSpec { resize, crop, interp, range, mean, std, order })
}

proptest! {
    #[test]
    fn the_canonical_text_reads_back_exactly(spec in any_spec(), base in any_spec()) {
        prop_assert_eq!(PreprocessSpec::parse(&spec.to_string(), &base).unwrap(), spec);
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<PreprocessSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn a_crop_is_a_window_of_the_whole(height in 1_usize..40, width in 1_usize..40, spec in any_spec(), side in 1_usize..20) {
        // Whatever the crop keeps is what the whole result has there.
        let image = formula(height, width, 1);
        let whole_spec = PreprocessSpec { crop: None, ..spec };
        let [h, w] = whole_spec.output_size([height, width]);
        prop_assume!(h * w < 4000 && side <= h.min(w));
        let whole = seen(&whole_spec, &image, &View::PLAIN);
        let cropped = seen(&PreprocessSpec { crop: Some(side), ..spec }, &image, &View::PLAIN);
        let offset = |full: usize| ((full - side) as f64 / 2.0).round_ties_even() as usize;
        for (y, row) in cropped.chunks_exact(side * 3).enumerate() {
            let start = ((offset(h) + y) * w + offset(w)) * 3;
            prop_assert_eq!(row, &whole[start..start + side * 3]);
        }
    }

    #[test]
    fn a_flat_image_stays_flat(height in 1_usize..30, width in 1_usize..30, level in 0_u8..=255, full in 1_usize..50, bicubic: bool) {
        let image = Pixels { height, width, rgb: vec![level; height * width * 3] };
        let interp = if bicubic { Interp::Bicubic } else { Interp::Bilinear };
        let spec = PreprocessSpec { resize: Resize::Exact { height: full, width: full }, crop: None, interp, ..PreprocessSpec::default() };
        prop_assert!(seen(&spec, &image, &View::PLAIN).iter().all(|&v| v == level));
    }

    #[test]
    fn any_view_of_any_image_has_the_output_size(height in 1_usize..30, width in 1_usize..30, seed: u64, number in 0_u32..9, side in 1_usize..20) {
        let policy: Policy = "crop:0.01-1,flip,rotate:180,colour:1".parse().unwrap();
        let view = policy.view(seed, &Digest::of(&[height as u8, width as u8]), number);
        seen(&spec(&format!("resize=shorter:20,crop={side}")), &formula(height, width, 0), &view);
    }
}
