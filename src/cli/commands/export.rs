//! `headstart export`: a trained model to take away, or features in the formats of other tools.

use std::path::Path;

use crate::Error;
use crate::model::{TrainedModel, write_bundle, write_onnx};
use crate::store::{Cache, Selection, export_npz, find_cache};
use serde_json::json;

use crate::cli::args::Export;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, name, thousands};

/// Runs the verb. On stdout: the file that was written.
pub(crate) fn run(a: &Export, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    match (&a.model, &a.cache) {
        (Some(model), _) => export_model(a, model, device, screen),
        (None, Some(cache)) => features(a, cache, screen),
        (None, None) => Err(Error::setting("nothing to export", "name a cache, or a sweep with --model").into()),
    }
}

fn export_model(a: &Export, model: &Path, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let model = TrainedModel::open(model, device.parse()?, &screen.fetching())?;
    let (file, size, tensors) = match (&a.bundle, &a.onnx) {
        (Some(file), None) => {
            let done = write_bundle(&model, file)?;
            (file, done.bytes, done.tensors)
        }
        (None, Some(file)) => {
            let done = write_onnx(&model, file)?;
            (file, done.bytes, done.tensors)
        }
        _ => return Err(Error::setting("no file to export to", "give --bundle FILE or --onnx FILE").into()),
    };
    let bases = model.backbone_names();
    if screen.json {
        let classes = model.classes();
        screen.object(&json!({ "file": name(file), "bytes": size, "tensors": tensors, "backbones": bases, "classes": classes }));
    } else {
        screen.note(format_args!("{} and its head, {}", bases.join(" + "), bytes(size)));
        screen.path(file);
    }
    Ok(Ending::Done)
}

fn features(a: &Export, cache: &Path, screen: &Screen) -> anyhow::Result<Ending> {
    let cache = Cache::open(find_cache(cache)?)?;
    let split = a.split.as_deref().map(str::parse).transpose()?;
    if split.is_none()
        && let Err(open) = cache.settled()
    {
        screen.warn(open);
    }
    let selection = Selection { tap: a.tap.clone(), view: a.view, split };
    let (done, file) = match (&a.npz, &a.parquet) {
        (Some(file), None) => (export_npz(&cache, &selection, file)?, file),
        (None, Some(file)) => (parquet(&cache, &selection, file)?, file),
        _ => return Err(Error::setting("no file to export to", "give --npz FILE or --parquet FILE").into()),
    };
    if screen.json {
        screen.object(&json!({ "file": name(file), "tap": done.tap, "rows": done.rows, "shape": done.shape, "bytes": done.bytes }));
    } else {
        screen.note(format_args!("{} rows of tap {}, {}", thousands(done.rows as u64), done.tap, bytes(done.bytes)));
        screen.path(file);
    }
    Ok(Ending::Done)
}

#[cfg(feature = "parquet")]
use crate::store::export_parquet as parquet;

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Cache, _: &Selection, _: &Path) -> crate::Result<crate::store::Exported> {
    Err(Error::setting("this headstart was built without the feature `parquet`", "build it with that, or use option `npz`"))
}
