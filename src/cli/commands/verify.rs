//! `headstart verify`: every shard against its digest, and some images computed again.

use serde_json::json;

use crate::cli::args::Verify;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, name, thousands};
use crate::extraction::{Rechecked, recheck};
use crate::store::{self, Cache, Status, find_cache};
use crate::text::{counted, visible, visible_path};

/// How many photos of a kind are named on the screen; `--json` names all.
const NAMED: usize = 10;

/// Runs the verb. Exit code 1 where anything is damaged, differs or could not be compared.
pub(crate) fn run(a: &Verify, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let folder = find_cache(&a.cache.cache)?;
    let verified = store::verify(&folder)?;
    for damage in &verified.damaged {
        screen.warn(format_args!("{}: {}", visible_path(&folder.join(&damage.file)), damage.problem));
    }
    if !verified.damaged.is_empty() {
        screen.note("help: run `headstart features` again as before: it makes damaged shards anew");
    }
    let whole = verified.damaged.is_empty();
    let holds_any = verified.shards > 0;
    let again = match a.sample {
        Some(sample) if whole && holds_any => {
            let data = a.data.clone().map_or_else(|| store::origin_of(&folder), Ok)?;
            Some(recheck(&folder, &data, sample.get(), super::device(device, screen)?, &screen.fetching())?)
        }
        _ => None,
    };
    let cache = Cache::open(&folder)?;
    let differing: Vec<_> = again.iter().flat_map(|r| r.differing(cache.manifest().key.store)).collect();
    for d in &differing {
        screen.warn(format_args!("{} ({} view {}): computed again it differs by {:.1e}", visible(&d.path), d.tap, d.view, d.error));
    }
    let images = cache.rows().iter().filter(|row| row.status == Status::Ok).count();
    again.iter().for_each(|again| match again.compared.is_empty() && again.missing.len() == images {
        true => tell_elsewhere(screen),
        false => tell_left_out(again, screen),
    });
    let is_same = differing.is_empty();
    if screen.json {
        screen.object(&json!({ "cache": name(&folder), "verified": verified, "rechecked": again, "differing": differing.len() }));
    } else {
        let sound = verified.shards - verified.damaged.len();
        screen.result(match holds_any {
            true => {
                let of = counted(verified.shards, "shard is sound", "shards are sound");
                format!("{}: {sound} of {of} ({})", visible_path(&folder), bytes(verified.bytes))
            }
            false => format!("{}: holds no features yet", visible_path(&folder)),
        });
        if let Some(again) = &again {
            let largest = again.compared.iter().map(|c| c.error).fold(0.0, f64::max);
            let compared = again.compared.len();
            screen.result(format_args!(
                "{compared} features computed again, {} differ; largest relative difference {largest:.1e}",
                differing.len()
            ));
        }
    }
    let compared = again.is_none_or(|r| r.left_out() == 0);
    Ok(if whole && compared && is_same { Ending::Done } else { Ending::Incomplete })
}

/// The data are those of something else.
fn tell_elsewhere(screen: &Screen) {
    screen.warn("the data holds none of the cache's photos: nothing was compared");
    screen.note("help: name the folder or CSV file that the features were made from with --data");
}

/// Photos that were not compared, the first few of each kind by name.
fn tell_left_out(again: &Rechecked, screen: &Screen) {
    for (path, reason) in again.unreadable.iter().take(NAMED) {
        screen.warn(format_args!("{}: cannot be read again: {}", visible(path), visible(reason)));
    }
    for path in again.changed.iter().take(NAMED) {
        screen.warn(format_args!("{}: has changed: its features are those of another photo", visible(path)));
    }
    for path in again.missing.iter().take(NAMED) {
        screen.warn(format_args!("{}: is not in the data any more", visible(path)));
    }
    let kinds = [(again.unreadable.len(), "unreadable"), (again.changed.len(), "changed"), (again.missing.len(), "gone")];
    if again.left_out() > 0 {
        let counts: Vec<String> =
            kinds.iter().filter(|(n, _)| *n > 0).map(|(n, kind)| format!("{} {kind}", thousands(*n as u64))).collect();
        let photos = counted(again.left_out(), "photo of the cache was", "photos of the cache were");
        screen.warn(format_args!("{photos} not compared: {}", counts.join(", ")));
        screen.note("help: `headstart features` brings the cache up to what is there now");
    }
    if again.unknown > 0 {
        let photos = counted(again.unknown, "photo of the data has", "photos of the data have");
        screen.note(format_args!("{photos} no features yet"));
    }
}
