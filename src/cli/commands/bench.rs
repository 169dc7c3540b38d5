//! `headstart bench`: how fast an engine is here, and how close to the reference.

use std::time::Instant;

use crate::backbone::Backbone;
use crate::engine::native::{LayerTime, NativeEngine};
use crate::engine::{self, Batch, Engine, centred_error};
use crate::heads::{OptimizerKind, trainer};
use crate::preprocess::synthetic_images;
use crate::simd::Isa;
use crate::{Error, Result};
use serde_json::json;

use crate::cli::args::{BenchForward, BenchHeads};
use crate::cli::bench::heads::HeadsBench;
use crate::cli::bench::peak::peak_gflops;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, table};

/// Times the very plan that `features` runs, up to `gap`, on random images.
pub(crate) fn forward(a: &BenchForward, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    if a.batch == 0 || a.repeat == 0 {
        return Err(Error::setting("--batch and --repeat take 1 or more", "leave them out for their defaults").into());
    }
    let base = Backbone::open_with(&a.base.settings(super::device(device, screen)?)?, &screen.fetching())?;
    base.note().iter().for_each(|note| screen.note(note));
    let size = base.fixed_input().ok_or_else(|| Error::setting("the input size is not known", "set one with --size"))?;
    let taps = ["gap".to_string()];
    let normalise = base.preprocess().normalise();
    let rgb = synthetic_images(0, a.batch, size);
    let batch = Batch::Pixels { images: a.batch, size, rgb: &rgb, normalise: &normalise };
    let start = Instant::now();
    let engine = base.engine(&taps, a.batch, size)?;
    let plan_seconds = start.elapsed().as_secs_f64();
    let mut features = engine.run(batch)?;
    let rates: Vec<f64> = (0..a.repeat).map(|_| rate(engine.as_ref(), batch, &mut features)).collect::<Result<_>>()?;
    let (median, best) = (median(&rates), rates.iter().copied().fold(0.0, f64::max));
    let error = match a.check {
        true => Some(centred_error(&features[0], &base.reference(&taps, size)?.run(batch)?[0], a.batch)),
        false => None,
    };
    let layers = match a.profile {
        true => Some(profile(&base.native(&taps, a.batch, size)?, batch, a.repeat)?),
        false => None,
    };
    let peak = layers.as_ref().map(|_| peak_gflops(Isa::best()));
    let gflop = base.flops(&taps, size)? as f64 / 1e9;
    if screen.json {
        let layers = layers.map(|layers| layers.iter().map(layer_json).collect::<Vec<_>>());
        screen.object(&json!({
            "backbone": base.info().name, "size": size, "batch": a.batch, "engine": base.engine_name(),
            "images_per_second": { "median": median, "best": best }, "gflops": median * gflop, "plan_seconds": plan_seconds, "error": error, "summary": engine.summary(), "peak_gflops": peak, "layers": layers,
        }));
    } else {
        screen.result(format_args!(
            "{} at {}×{}, batch {}, {}: {median:.1} images/s (best {best:.1}), {:.0} GFLOP/s, planned in {plan_seconds:.2} s",
            base.info().name,
            size[1],
            size[0],
            a.batch,
            base.engine_name(),
            median * gflop,
        ));
        if let Some(summary) = engine.summary() {
            screen.result(summary);
        }
        if let Some(error) = error {
            screen.result(format_args!("centred error against the reference: {error:.1e}"));
        }
        if let (Some(layers), Some(peak)) = (layers, peak) {
            show_layers(&layers, peak, screen);
        }
    }
    Ok(Ending::Done)
}

/// The middle of at least one value, of an even number the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Images a second. An engine that takes several batches at once gets them, as from `features`:
/// each lane a few, one after the other.
fn rate(engine: &dyn Engine, batch: Batch<'_>, features: &mut Vec<Vec<f32>>) -> Result<f64> {
    let lanes = engine.in_flight().max(1);
    let each = if lanes > 1 { 4 } else { 1 };
    let start = Instant::now();
    if lanes == 1 {
        *features = engine.run(batch)?;
    } else {
        let lane = || (0..each).try_fold(vec![], |_, _| engine.run(batch));
        *features = std::thread::scope(|scope| {
            let running: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
            let ended = running.into_iter().map(|l| l.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            ended.collect::<Result<Vec<_>>>().map(|mut lanes| lanes.pop().unwrap_or_default())
        })?;
    }
    Ok((lanes * each * batch.images()) as f64 / start.elapsed().as_secs_f64())
}

/// Each layer's best of some runs.
fn profile(engine: &NativeEngine, batch: Batch<'_>, repeat: usize) -> Result<Vec<LayerTime>> {
    let mut best = engine.profile(batch)?;
    for _ in 0..repeat {
        for (best, again) in best.iter_mut().zip(engine.profile(batch)?) {
            if again.ms < best.ms {
                *best = again;
            }
        }
    }
    Ok(best)
}

fn layer_json(l: &LayerTime) -> serde_json::Value {
    json!({ "layer": l.name, "shape": l.shape, "kernel": l.kernel, "ms": l.ms, "gflops": l.gflops })
}

/// The table of layers, held against what the CPU's f32 multiply-adds reach on registers. Winograd
/// multiplies less than is counted, so it may pass.
fn show_layers(layers: &[LayerTime], peak: f64, screen: &Screen) {
    let counted = |l: &LayerTime, text: String| if l.gflops > 0.0 { text } else { String::new() };
    let rows = layers.iter().map(|l| {
        let share = counted(l, format!("{:.0} %", 100.0 * l.gflops / peak));
        [l.name.clone(), l.shape.clone(), l.kernel.clone(), format!("{:.3}", l.ms), counted(l, format!("{:.0}", l.gflops)), share]
    });
    let header = ["layer", "shape", "kernel", "ms a batch", "GFLOP/s", "of the roofline"].map(str::to_string);
    screen.result(table(header, 3, rows));
    let total: f64 = layers.iter().map(|l| l.ms).sum();
    screen.result(format_args!("{total:.1} ms in all; direct f32 roofline {peak:.0} GFLOP/s"));
}

/// Times epochs of heads on random features, all heads together.
pub(crate) fn heads(a: &BenchHeads, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let words = OptimizerKind::CHOICES;
    let optimizer = serde_json::from_value(json!(a.optimizer)).map_err(|_| {
        let near = crate::nearest(&a.optimizer, words.iter().copied()).unwrap_or("adam");
        Error::setting(format!("`{}` is no optimiser", a.optimizer), format!("did you mean `{near}`?"))
    })?;
    if [a.rows, a.dim, a.classes, a.batch, a.epochs, a.trials].contains(&0) {
        return Err(Error::setting("rows, dim, classes, batch, epochs and trials take 1 or more", "only --hidden may be 0").into());
    }
    let bench = HeadsBench {
        rows: a.rows,
        dim: a.dim,
        hidden: a.hidden,
        classes: a.classes,
        batch: a.batch,
        optimizer,
        epochs: a.epochs,
        trials: a.trials,
    };
    let trainer = trainer(&engine::device(&super::device(device, screen)?)?);
    let seconds = bench.run(trainer.as_ref())?;
    let (median, best) = (median(&seconds), seconds.iter().copied().fold(f64::INFINITY, f64::min));
    if screen.json {
        screen.object(&json!({
            "trainer": trainer.name(), "rows": a.rows, "dim": a.dim, "hidden": a.hidden, "classes": a.classes, "batch": a.batch,
            "optimizer": a.optimizer, "trials": a.trials, "seconds_per_epoch": { "median": median, "best": best },
        }));
    } else {
        screen.result(format_args!("{} heads, {}: {median:.4} s an epoch of all together (best {best:.4})", a.trials, trainer.name()));
    }
    Ok(Ending::Done)
}
