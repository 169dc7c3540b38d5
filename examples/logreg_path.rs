//! Times logistic regression over several strengths on given features; `benches/peers/logreg.py` calls it.
//!
//!     cargo run --release --locked --example logreg_path -- FEATURES.f32 LABELS.u32 ROWS TRAIN DIM CLASSES C1,C2,…
//!
//! Features are `ROWS · DIM` little-endian f32 and labels `ROWS` u32; the first `TRAIN` rows are trained on, the others judged.

use std::time::Instant;

use headstart::internals::heads::{Fit, HeadKind, Labels, Matrix, Metrics, Params, Partition, Solver, Task};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [features, labels, rows, train, dim, classes, strengths] = args.as_slice() else {
        anyhow::bail!("usage: logreg_path FEATURES.f32 LABELS.u32 ROWS TRAIN DIM CLASSES C1,C2,…");
    };
    let (rows, train, dim, classes): (usize, usize, usize, usize) = (rows.parse()?, train.parse()?, dim.parse()?, classes.parse()?);
    let read = |path: &str| -> std::io::Result<Vec<[u8; 4]>> { Ok(std::fs::read(path)?.as_chunks::<4>().0.to_vec()) };
    let x = Matrix::new(dim, read(features)?.into_iter().map(f32::from_le_bytes).collect())?;
    let labels = Labels::One(read(labels)?.into_iter().map(u32::from_le_bytes).collect());
    let partition = Partition { train: (0..train).collect(), val: (train..rows).collect(), test: vec![] };
    let task = Task { features: &x, labels: &labels, partition: &partition };
    let start = Instant::now();
    let mut solver = Solver::default();
    let mut found = vec![];
    for c in strengths.split(',') {
        let params = Params { head: HeadKind::Logreg, c: c.parse()?, ..Params::default() };
        let spec = params.check(Fit { tap: "features", shape: &[dim], classes, many: false })?;
        let head = solver.solve(task, &spec)?;
        found.push((params.c, start.elapsed().as_secs_f64(), head));
    }
    let seconds = start.elapsed().as_secs_f64();
    let judged = found.iter().map(|(c, at, head)| {
        let metrics = Metrics::of(&head.classify(&x, &partition.val), classes, &labels, &partition.val);
        serde_json::json!({"C": c, "until": at, "acc1": metrics.acc1, "loss": metrics.loss})
    });
    println!("{}", serde_json::json!({"seconds": seconds, "strengths": judged.collect::<Vec<_>>()}));
    Ok(())
}
