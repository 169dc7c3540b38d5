//! `headstart gc`: deleted rows and leftovers go.

use crate::store::{self, Wait, find_cache};
use serde_json::json;

use crate::cli::args::CacheArg;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes};
use crate::text::counted;

/// Runs the verb.
pub(crate) fn run(a: &CacheArg, screen: &Screen) -> anyhow::Result<Ending> {
    let folder = find_cache(&a.cache)?;
    let done = store::gc(&folder, Wait::Moment)?;
    for damage in &done.damaged {
        screen.warn(format_args!("{}: {}", folder.join(&damage.file).display(), damage.problem));
    }
    if !done.damaged.is_empty() {
        screen.note("help: run `headstart features` again as before: it makes damaged shards anew");
    }
    if screen.json {
        screen.object(&json!(done));
    } else {
        let rows = counted(done.rows, "deleted row", "deleted rows");
        let shards = format!("{} rewritten, {} removed", counted(done.rewritten, "shard", "shards"), done.removed);
        screen.result(format_args!("{}: {rows} dropped, {shards}, {} freed", folder.display(), bytes(done.bytes)));
    }
    Ok(Ending::Done)
}
