//! `headstart gc`: deleted rows and leftovers go.

use crate::store::{self, Wait, find_cache};
use serde_json::json;

use crate::cli::args::CacheArg;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes};

/// Runs the verb.
pub(crate) fn run(a: &CacheArg, screen: &Screen) -> anyhow::Result<Ending> {
    let folder = find_cache(&a.cache)?;
    let done = store::gc(&folder, Wait::Moment)?;
    if screen.json {
        screen.object(&json!(done));
    } else {
        let shards = format!("{} shards rewritten, {} removed", done.rewritten, done.removed);
        screen.result(format_args!("{}: {} deleted rows dropped, {shards}, {} freed", folder.display(), done.rows, bytes(done.bytes)));
    }
    Ok(Ending::Done)
}
