//! `headstart export`: features in the formats of other tools.

use headstart::Error;
use headstart::store::{Cache, Selection, export_npz, export_parquet};
use serde_json::json;

use crate::cli::Ending;
use crate::cli::args::Export;
use crate::cli::screen::{Screen, bytes, thousands};

/// Runs the verb.
pub fn run(a: &Export, screen: &Screen) -> anyhow::Result<Ending> {
    let cache = Cache::open(super::cache_folder(&a.cache.cache)?)?;
    let split = a.split.as_deref().map(str::parse).transpose()?;
    let selection = Selection { tap: a.tap.clone(), view: a.view, split };
    let (done, file) = match (&a.npz, &a.parquet) {
        (Some(file), None) => (export_npz(&cache, &selection, file)?, file),
        (None, Some(file)) => (export_parquet(&cache, &selection, file)?, file),
        _ => return Err(Error::setting("no file to export to", "give --npz FILE or --parquet FILE").into()),
    };
    if screen.json {
        screen.object(&json!({ "file": file, "tap": done.tap, "rows": done.rows, "shape": done.shape, "bytes": done.bytes }));
    } else {
        screen.note(format_args!("{} rows of tap {}, {}", thousands(done.rows as u64), done.tap, bytes(done.bytes)));
        screen.result(file.display());
    }
    Ok(Ending::Done)
}
