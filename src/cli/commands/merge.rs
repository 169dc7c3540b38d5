//! `headstart merge`: the parts of an extraction become one cache.

use crate::store::{self, Cache, Wait, find_cache};
use serde_json::json;

use crate::cli::args::Merge;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, thousands};
use crate::extraction::{Event, events_of_split};
use crate::text::{counted, visible};

/// Runs the verb. Exit code 1 where images are missing, unless that was expected: what was merged
/// stays.
pub(crate) fn run(a: &Merge, screen: &Screen) -> anyhow::Result<Ending> {
    let parts = a.parts.iter().map(|p| find_cache(p)).collect::<crate::Result<Vec<_>>>()?;
    let done = store::merge(&a.into, &parts, Wait::Moment)?;
    if done.relabelled > 0 {
        let images = counted(done.relabelled, "image has", "images have");
        screen.warn(format_args!("{images} another path, split or label in one of the parts: those of the first cache count"));
    }
    done.warnings.iter().for_each(|text| screen.warn(text));
    if let Some((rule, split)) = &done.split {
        let cache = Cache::open(&a.into)?;
        events_of_split(split, *rule, false, &cache.manifest().classes).iter().for_each(|event| screen.event(event));
    }
    if done.copies_stay {
        screen.event(&Event::CopiesStay);
    }
    if done.deduped > 0 {
        screen.note(format_args!("{} left out of train", counted(done.deduped, "duplicate", "duplicates")));
    }
    if done.open > 0 {
        let open = counted(done.open, "image has", "images have");
        screen.note(format_args!("{open} no split yet: `headstart merge` splits them once the parts are there that have read all images"));
    }
    for lack in &done.missing {
        let (missing, all) = (thousands(lack.images as u64), counted(done.images, "image", "images"));
        let of = if lack.tap.is_empty() { String::new() } else { format!("tap {} view {}: ", lack.tap, lack.view) };
        screen.warn(format_args!("{of}features of {missing} of {all} are missing, {} the first", visible(&lack.first)));
    }
    let is_whole = done.missing.is_empty();
    if !is_whole {
        screen.note("help: merge the parts that have them, or run `headstart features` over all of the data: it computes what is missing");
    }
    if screen.json {
        screen.object(&json!(done));
    } else {
        screen.result(format_args!(
            "{}: {} added ({}), {} there before",
            a.into.display(),
            counted(done.shards, "shard", "shards"),
            bytes(done.bytes),
            done.present
        ));
    }
    Ok(if is_whole || a.partial { Ending::Done } else { Ending::Incomplete })
}
