//! A comparison as one HTML file.

use std::path::Path;

use serde_json::Value;

use super::outcome::{ArmTime, PAGE_FILE, Speedup};
use crate::Result;
use crate::files::replace;
use crate::report::render_speedup;
use crate::text::seconds;

/// The values that the page shows.
struct Page<'a> {
    title: String,
    speedup: &'a Speedup,
}

/// Writes the HTML page.
pub(super) fn write(speedup: &Speedup, folder: &Path) -> Result<()> {
    let title = format!("Speed-up: {} on {}", speedup.about.backbone, speedup.about.dataset);
    let html = render_speedup(&Page { title, speedup }.values())?;
    replace(&folder.join(PAGE_FILE), html.as_bytes())
}

impl Page<'_> {
    fn values(&self) -> Value {
        let s = self.speedup;
        let fact = |name: &str, value: String| serde_json::json!({ "name": name, "value": value });
        let scaled = if s.in_loop.scaled { " (scaled)" } else { "" };
        let points =
            |arm: &ArmTime| arm.curve(s.epochs).map(|point| serde_json::json!([point.seconds, point.measured])).collect::<Vec<_>>();
        let shape = s.about.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
        let settings = s.settings.iter().map(|(key, value)| format!("{key} {}", crate::heads::plain(value))).collect::<Vec<_>>().join(", ");
        serde_json::json!({
            "title": self.title,
            "headline": [
                fact("times as fast", format!("{:.1}×{scaled}", s.speedup)),
                fact("base in the loop", format!("{}{scaled}", seconds(s.in_loop.seconds))),
                fact("on cached features", seconds(s.cached.seconds)),
                fact("break-even", s.break_even_epoch.map_or("never".into(), |epoch| format!("epoch {epoch}"))),
                fact("val accuracy", format!("{:.4}", s.val.acc1)),
            ],
            "sentences": s.sentences(),
            "table": s.table(),
            "scaled": s.in_loop.scaled,
            "epochs": s.epochs,
            "curves": { "in_loop": points(&s.in_loop), "cached": points(&s.cached) },
            "trials": s.trials,
            "break_even": s.break_even_epoch,
            "phases": [s.in_loop.epochs[0].base, s.cached.extract],
            "made": [
                fact("data", format!("{}: {} train, {} val", s.about.dataset, s.images.train, s.images.val)),
                fact("base", format!("{}, weights {}, input {}×{}", s.about.backbone, s.about.weights, s.about.input[1], s.about.input[0])),
                fact("features", format!("tap {} of shape {shape}, batches of {}", s.about.tap, s.about.batch)),
                fact("head", settings),
                fact("engine", format!("{}, trainer {}, {} threads", s.about.engine, s.about.trainer, s.about.threads)),
                fact("machine", s.about.machine.clone()),
                fact("headstart", s.headstart.clone()),
            ],
        })
    }
}
