//! `headstart merge`: the parts of an extraction become one cache.

use headstart::store::{self, Wait};
use serde_json::json;

use crate::cli::Ending;
use crate::cli::args::Merge;
use crate::cli::screen::{Screen, bytes};

/// Runs the verb.
pub fn run(a: &Merge, screen: &Screen) -> anyhow::Result<Ending> {
    let parts = a.parts.iter().map(|p| super::cache_folder(p)).collect::<headstart::Result<Vec<_>>>()?;
    let done = store::merge(&a.into, &parts, Wait::Moment)?;
    if screen.json {
        screen.object(&json!(done));
    } else {
        screen.result(format_args!(
            "{}: {} shards added ({}), {} were there",
            a.into.display(),
            done.shards,
            bytes(done.bytes),
            done.present
        ));
    }
    Ok(Ending::Done)
}
