//! Top-1 of a weights entry's own ImageNet classifier on photos whose names end in `_LABEL.jpg`:
//!
//! ```text
//! cargo run --release --locked --example imagenet_top1 -- efficientnet_lite0 FOLDER [PREPROCESS]
//! ```
use std::path::PathBuf;

use headstart::Result;
use headstart::backbones;
use headstart::data::{Orientation, decode};
use headstart::engine::{Batch, CandleEngine, DeviceChoice, Engine, device};
use headstart::preprocess::PreprocessSpec;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (args.next(), args.next()) else {
        return Err(headstart::Error::setting("an entry and a folder are needed", "imagenet_top1 ENTRY FOLDER [PREPROCESS]"));
    };
    let entry = backbones::find_entry(&name)?;
    let info = backbones::find(entry.backbone)?;
    let weights = backbones::open_weights(info, Some(&name), &|_| {})?;
    let graph = info.graph(&weights.options);
    let spec = PreprocessSpec::parse(&args.next().unwrap_or_default(), &weights.preprocess)?;

    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(headstart::Error::io("list", &folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| label(path).is_some())
        .collect();
    paths.sort();
    let (mut right, mut engine) = (0, None);
    for path in &paths {
        let bytes = std::fs::read(path).map_err(headstart::Error::io("read", path))?;
        let image = decode(&bytes, &path.to_string_lossy(), Orientation::AsStored)?;
        let mut rgb = vec![];
        spec.apply(&image, &mut rgb);
        let size @ [height, width] = spec.output_size([image.height, image.width]);
        let engine = match &engine {
            Some(engine) => engine,
            None => engine.insert(CandleEngine::new(
                &graph,
                &*weights.source,
                &["logits".into()],
                [3, height, width],
                &device(&DeviceChoice::Auto)?,
                candle_core::DType::F32,
            )?),
        };
        let logits = engine.run(Batch::Pixels { images: 1, size, rgb: &rgb, normalise: &spec.normalise() })?.remove(0);
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
