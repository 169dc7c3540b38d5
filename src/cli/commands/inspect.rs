//! `headstart inspect`: what a cache holds.

use crate::store::{self, find_cache};
use serde_json::json;

use crate::cli::args::CacheArg;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, table, thousands};
use crate::text::{counted, visible};

/// Classes listed on the screen; `--json` lists all.
const SHOWN: usize = 20;

/// Runs the verb.
pub(crate) fn run(a: &CacheArg, screen: &Screen) -> anyhow::Result<Ending> {
    let about = store::inspect(&find_cache(&a.cache)?)?;
    if screen.json {
        screen.object(&json!(about));
        return Ok(Ending::Done);
    }
    let (key, rows) = (&about.key, &about.rows);
    let n = |count: usize| thousands(count as u64);
    screen.result(format_args!(
        "{}: {} of {} ({} failed, {} deleted)",
        about.dataset,
        counted(rows.ok, "image", "images"),
        counted(about.classes.len(), "class", "classes"),
        rows.failed,
        rows.deleted
    ));
    screen.result(format_args!("backbone    {} on {} ({}), computed in {}", key.backbone, key.engine, key.device, key.compute));
    screen.result(format_args!("weights     {} (sha256 {})", about.weights, key.weights.get(..12).unwrap_or(&key.weights)));
    screen.result(format_args!("preprocess  {}", key.input_in_words()));
    screen.result(format_args!("views       {}, seed {}\n", key.augment, key.seed));
    let taps = about.taps.iter().map(|t| {
        let shape: Vec<String> = t.shape.iter().map(usize::to_string).collect();
        let views: Vec<String> = t.views.values().map(|rows| n(*rows)).collect();
        [t.tap.clone(), shape.join(" × "), t.dtype.name().into(), views.join(" + "), n(t.shards), bytes(t.bytes)]
    });
    screen.result(table(["tap", "shape", "type", "rows by view", "shards", "size"].map(String::from), 1, taps));
    let classes = about.classes.iter().take(SHOWN).map(|c| [c.class.clone(), n(c.train), n(c.val), n(c.test)]);
    screen.result(format_args!("\n{}", table(["class", "train", "val", "test"].map(String::from), 1, classes)));
    if about.classes.len() > SHOWN {
        screen.result(format_args!("and {} more", counted(about.classes.len() - SHOWN, "class", "classes")));
    }
    let open: usize = about.classes.iter().map(|c| c.open).sum();
    if open > 0 {
        screen.warn(format_args!(
            "one part of an extraction: {} no split before `headstart merge` joins all parts",
            counted(open, "image has", "images have")
        ));
    }
    about.failed.iter().for_each(|f| screen.warn(format_args!("failed {}: {}", visible(&f.path), visible(&f.reason))));
    about.damaged.iter().for_each(|file| screen.warn(format_args!("damaged: {}", visible(file))));
    Ok(Ending::Done)
}
