//! Top-1 of a weights entry's own ImageNet classifier on photos whose names end in `_LABEL.jpg`:
//!
//! ```text
//! cargo run --release --locked --example imagenet_top1 -- efficientnet_lite0 FOLDER [PREPROCESS]
//! ```
use std::path::PathBuf;

use headstart::backbone::{BackboneSettings, EngineKind};
use headstart::{Backbone, Result, backbones};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (args.next(), args.next()) else {
        return Err(headstart::Error::setting("an entry and a folder are needed", "imagenet_top1 ENTRY FOLDER [PREPROCESS]"));
    };
    let backbone = Backbone::open(BackboneSettings {
        backbone: backbones::find_entry(&name)?.backbone.into(),
        weights: Some(name),
        preprocess: args.next(),
        engine: Some(EngineKind::Candle),
        ..BackboneSettings::default()
    })?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(headstart::Error::io("list", &folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| label(path).is_some())
        .collect();
    paths.sort();
    let mut right = 0;
    for (path, logits) in paths.iter().zip(backbone.features("logits", &paths)?) {
        let logits = logits?;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        right += usize::from(best == label(path));
        println!("{}: {best:?}", path.display());
    }
    println!("{right} of {} right", paths.len());
    Ok(())
}

/// The number behind the last underscore of a file's name.
fn label(path: &std::path::Path) -> Option<usize> {
    path.file_stem()?.to_str()?.rsplit_once('_')?.1.parse().ok()
}
