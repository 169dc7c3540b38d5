//! `headstart backbones`: the zoo, and one of its networks in detail.

use crate::Result;
use crate::backbones::{self, BackboneInfo, BuildOptions};
use serde_json::{Value, json};

use crate::cli::args::Backbones;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, table, thousands};

/// Runs the verb.
pub(crate) fn run(a: &Backbones, screen: &Screen) -> anyhow::Result<Ending> {
    match &a.name {
        Some(name) => one(backbones::find(name)?, a.size, screen)?,
        None => all(screen)?,
    }
    Ok(Ending::Done)
}

/// Parameters in all, and operations an image at the network's own size.
fn cost(info: &BackboneInfo) -> Result<(u64, u64)> {
    let graph = info.graph(&BuildOptions::default());
    let parameters = graph.parameters().iter().map(|p| p.shape.iter().product::<usize>() as u64).sum();
    Ok((parameters, graph.flops([3, info.size, info.size])?))
}

fn all(screen: &Screen) -> Result<()> {
    let mut rows = vec![];
    let mut objects = vec![];
    for info in backbones::all() {
        let (parameters, flops) = cost(info)?;
        let entries: Vec<&str> = backbones::entries(info).map(|e| e.name).collect();
        let shown = if entries.is_empty() { "file or random".to_string() } else { entries.join(", ") };
        let (millions, gflop) = (format!("{:.1} M", parameters as f64 / 1e6), format!("{:.2}", flops as f64 / 1e9));
        rows.push([info.name.to_string(), info.family.to_string(), shown, info.size.to_string(), millions, gflop]);
        objects.push(json!({
            "backbone": info.name, "family": info.family, "size": info.size, "parameters": parameters, "flops": flops, "entries": entries,
        }));
    }
    if screen.json {
        screen.object(&Value::Array(objects));
    } else {
        let header = ["backbone", "family", "weights entries", "input", "parameters", "GFLOP"].map(str::to_string);
        screen.result(table(header, 3, rows));
    }
    Ok(())
}

fn one(info: &BackboneInfo, size: Option<usize>, screen: &Screen) -> Result<()> {
    let size = size.unwrap_or(info.size);
    let graph = info.graph(&BuildOptions::default());
    // Deep taps may not fit a small input where shallow ones do: each is judged by itself.
    let taps: Vec<(&String, Option<Vec<usize>>)> = graph.taps().iter().map(|(tap, _)| (tap, shape(&graph, tap, size))).collect();
    if taps.iter().all(|(_, shape)| shape.is_none()) {
        // Nothing fits: the network itself says why.
        graph.shapes([3, size, size])?;
    }
    let (parameters, _) = cost(info)?;
    let flops = graph.flops([3, size, size]).ok();
    let entries: Vec<Value> = backbones::entries(info)
        .map(|e| json!({ "entry": e.name, "licence": e.licence(), "preprocess": e.preprocess.to_string(), "acc1": e.acc1, "source": e.source_name() }))
        .collect();
    if screen.json {
        let taps: Vec<Value> = taps.iter().map(|(tap, shape)| json!({ "tap": tap, "shape": shape })).collect();
        screen.object(&json!({
            "backbone": info.name, "family": info.family, "size": size, "parameters": parameters, "flops": flops, "taps": taps, "entries": entries,
        }));
        return Ok(());
    }
    let gflop = flops.map_or("does not fit this size".to_string(), |f| format!("{:.2} GFLOP an image", f as f64 / 1e9));
    screen.result(format_args!("{} ({}): {} parameters, {gflop} at {size}×{size}", info.name, info.family, thousands(parameters)));
    let mut rows = vec![];
    for (tap, shape) in taps {
        let sides = shape.as_ref().map(|s| s.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "));
        let values = shape.as_ref().map_or("–".to_string(), |s| thousands(s.iter().product::<usize>() as u64));
        rows.push([tap.clone(), sides.unwrap_or_else(|| "does not fit".into()), values]);
    }
    screen.result(table(["tap", "shape", "values"].map(str::to_string), 1, rows));
    for e in backbones::entries(info) {
        let acc1 = e.acc1.map_or(String::new(), |a| format!(", ImageNet top-1 {:.1}% as published", 100.0 * a));
        screen.result(format_args!("weights {}: {}, licence {}{acc1}", e.name, e.source_name(), e.licence()));
        screen.result(format_args!("  preprocess {}", e.preprocess));
    }
    Ok(())
}

fn shape(graph: &crate::graph::Graph, tap: &str, size: usize) -> Option<Vec<usize>> {
    let pruned = graph.prune(&[tap.to_string()]).ok()?;
    let at = pruned.find_tap(tap).ok()?;
    pruned.shapes([3, size, size]).ok().map(|s| s[at].clone())
}
