//! Maps in bf16 against plain loops: with small integers nothing may be lost.

use super::*;

/// bf16 in AMX tiles, where this CPU has them.
fn amx_bf16() -> Option<NativeOptions> {
    Amx::detect().map(|amx| NativeOptions { isa: Isa::Amx(amx), bf16: true })
}

impl Sketch {
    /// A convolution with a few weights of ±1 an output: sums stay integers that bf16 holds.
    fn sparse(&mut self, input: ValueId, conv: ConvShape, residual: Option<ValueId>, act: Option<Act>) -> ValueId {
        let output = self.conv(input, conv, residual, act);
        let Some(Step { layer: Layer::Conv { weight, bias, .. }, .. }) = self.plan.steps.last_mut() else { unreachable!() };
        let each = weight.len() / conv.output;
        let mut values = vec![0.0; weight.len()];
        for row in values.chunks_mut(each) {
            for _ in 0..4 {
                row[self.draw.from(0..=each - 1)] = self.draw.pick(&[-1.0, 1.0]);
            }
        }
        *weight = values.into();
        *bias = (0..conv.output).map(|_| self.draw.from(0..=2) as f32 - 1.0).collect();
        output
    }

    fn pool(&mut self, input: ValueId, stride: usize, mean: bool) -> ValueId {
        let [c, h, w] = self.map(input);
        let pool = Pool { kernel: [3, 3], stride: [stride; 2], padding: Padding::Explicit([1; 4]), ceil: false, count_padding: false };
        let shape = vec![c, (h - 1) / stride + 1, (w - 1) / stride + 1];
        self.add(if mean { Layer::AvgPool(pool) } else { Layer::MaxPool(pool) }, &[input], shape)
    }
}

/// Integers in, integers out, for one image and several.
fn exactly(options: NativeOptions, s: &Sketch, what: &str) {
    const IMAGES: usize = 3;
    let shape = s.map(0);
    let len: usize = shape.iter().product();
    let data: Vec<f32> = (0..IMAGES * len).map(|i| ((i * 7 + i / 5 + i / 31) % 5) as f32 - 2.0).collect();
    let engine = NativeEngine::new(&s.plan, IMAGES, options).unwrap();
    let got = engine.run(Batch::Floats { images: IMAGES, shape, data: &data }).unwrap();
    for (image, data) in data.chunks(len).enumerate() {
        for (tap, want) in reference::run(&s.plan, data).iter().enumerate() {
            let got = &got[tap][image * want.len()..][..want.len()];
            let wrong = got.iter().zip(want).position(|(&got, &want)| f64::from(got) != want);
            let kernels = || engine.kernels().map(|(_, kernel)| kernel).collect::<Vec<_>>().join(", ");
            assert!(wrong.is_none(), "{what}, image {image}, tap {tap}: {wrong:?}; {}", kernels());
        }
    }
    let one = engine.run(Batch::Floats { images: 1, shape, data: &data[..len] }).unwrap();
    assert!(one.iter().zip(&got).all(|(one, all)| all.starts_with(one)), "{what}: neighbours change an image");
}

#[test]
fn integers_stay_what_they_are() {
    let Some(options) = amx_bf16() else { return };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut d = Draw(seed + 8000);
        let [h, w] = [d.from(3..=20), d.pick(&[3, 7, 14, 15, 16, 17, 28, 33])];
        let mut s = Sketch::new(seed, [d.pick(&[16, 32, 40, 64, 100]), h, w]);
        let conv = s.square(0, d.pick(&[32, 48, 64, 70, 96]), d.pick(&[1, 3]), 1, 1);
        let a = s.sparse(0, conv, None, d.pick(&[None, Some(Act::Relu)]));
        let mut conv = s.square(a, s.map(a)[0], d.pick(&[1, 3, 3, 5]), 1, 1);
        if d.from(0..=3) == 0 {
            conv.kernel = [conv.kernel[0], 1];
            conv.padding[2..].fill(0);
        }
        let residual = [a, 0].into_iter().filter(|&v| s.map(v) == s.map(a) && s.map(a)[1..] == [h, w]).nth(d.from(0..=2));
        let b = s.sparse(a, conv, residual, Some(Act::Relu));
        let c = s.pool(b, d.from(1..=2), false);
        let conv = s.square(c, d.pick(&[33, 64, 128]), d.pick(&[1, 3]), d.from(1..=3), 1);
        let e = s.sparse(c, conv, None, None);
        let mut conv = s.square(e, 32, 3, 1, 1);
        conv.padding = [d.from(0..=2), d.from(1..=2), d.from(1..=2), d.from(1..=2)];
        let mut taps = vec![];
        if s.map(e)[1] + conv.padding[0] + conv.padding[1] >= 3 && s.map(e)[2] >= 1 {
            taps.push(s.sparse(e, conv, None, Some(Act::Relu6)));
        }
        s.plan.taps = d.pick(&[&[a, b, c, e][..], &[e], &[c, b]]).iter().copied().chain(taps).collect();
        let engine = NativeEngine::new(&s.plan, 1, options).unwrap();
        seen.extend(engine.kernels().map(|(_, kernel)| kernel.split(' ').take(2).collect::<Vec<_>>().join(" ")));
        exactly(options, &s, &format!("seed {seed}: {h}×{w}"));
    }
    assert!(seen.iter().any(|kernel| kernel == "max pool"), "{seen:?}");
    assert!(seen.iter().any(|kernel| kernel == "bf16 16×32") && seen.iter().any(|kernel| kernel == "bf16 14×32"), "{seen:?}");
}

/// Layers whose weights weigh more than their maps: all images together, outputs shared out.
#[test]
fn integers_stay_what_they_are_with_heavy_weights() {
    let Some(options) = amx_bf16() else { return };
    for (seed, size, k, stride) in [(1, 7, 3, 1), (2, 9, 1, 1), (3, 14, 3, 2)] {
        let mut s = Sketch::new(seed, [64, size, size]);
        let conv = s.square(0, 512, 1, 1, 1);
        let a = s.sparse(0, conv, None, Some(Act::Relu));
        let conv = s.square(a, if k == 1 { 1100 } else { 512 }, k, stride, 1);
        let b = s.sparse(a, conv, (stride == 1 && k == 3).then_some(a), None);
        let conv = s.square(b, 128, 1, 1, 1);
        let c = s.sparse(b, conv, None, None);
        s.plan.taps = vec![c];
        exactly(options, &s, &format!("heavy {k}×{k} on {size}×{size}"));
    }
}

/// An image, a first convolution, a pool, bottlenecks with residuals, and the mean of it all.
#[test]
fn a_small_residual_network_is_close() {
    let Some(options) = amx_bf16() else { return };
    let mut s = Sketch::new(5, [3, 61, 67]);
    let conv = s.square(0, 64, 7, 2, 1);
    let stem = s.conv(0, conv, None, Some(Act::Relu));
    let mut x = s.pool(stem, 2, false);
    for (wide, stride) in [(64, 1), (64, 1), (128, 2)] {
        let conv = s.square(x, wide, 1, 1, 1);
        let a = s.conv(x, conv, None, Some(Act::Relu));
        let conv = s.square(a, wide, 3, stride, 1);
        let b = s.conv(a, conv, None, Some(Act::Relu));
        let residual = if stride == 1 && s.map(x)[0] == 2 * wide {
            x
        } else {
            let conv = s.square(x, 2 * wide, 1, stride, 1);
            s.conv(x, conv, None, None)
        };
        let conv = s.square(b, 2 * wide, 1, 1, 1);
        x = s.conv(b, conv, Some(residual), Some(Act::Relu));
    }
    let smooth = s.pool(x, 1, true);
    let conv = s.square(smooth, 48, 1, 1, 1);
    let last = s.conv(smooth, conv, None, Some(Act::Silu));
    let all = s.add(Layer::GlobalAvgPool, &[last], vec![48, 1, 1]);
    s.plan.taps = vec![stem, x, last, all];
    let engine = NativeEngine::new(&s.plan, 1, options).unwrap();
    let kernels: Vec<&str> = engine.kernels().map(|(_, kernel)| kernel).collect();
    assert_eq!((kernels[0], kernels[1]), ("stem bf16", "max pool bf16"), "{kernels:?}");
    assert_eq!(kernels[kernels.len() - 3], "mean pool bf16", "{kernels:?}");
    assert_eq!(kernels.last(), Some(&"mean pool bf16"), "{kernels:?}");
    assert!(kernels[2..kernels.len() - 3].iter().all(|kernel| kernel.starts_with("bf16 ")), "{kernels:?}");
    check(s, "a residual network");
}

#[test]
fn the_thread_count_changes_no_byte_in_bf16() {
    let Some(options) = amx_bf16() else { return };
    let mut s = Sketch::new(9, [3, 45, 45]);
    let conv = s.square(0, 64, 7, 2, 1);
    let a = s.conv(0, conv, None, Some(Act::Relu));
    let conv = s.square(a, 256, 3, 1, 1);
    let b = s.conv(a, conv, None, Some(Act::Silu));
    let conv = s.square(b, 512, 3, 2, 1);
    let c = s.conv(b, conv, None, Some(Act::Relu));
    s.plan.taps = vec![a, b, c];
    let data = s.draw.floats(5 * 3 * 45 * 45);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let engine = NativeEngine::new(&s.plan, 5, options).unwrap();
            engine.run(Batch::Floats { images: 5, shape: [3, 45, 45], data: &data }).unwrap()
        })
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
