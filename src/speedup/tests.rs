//! What a comparison says of its figures: what is scaled is marked wherever it is told.

use super::*;
use crate::extract::Seconds;
use crate::heads::Metrics;

fn speedup(run: usize) -> Speedup {
    let base = |wall| Seconds { read: 0.5, decode: 2.0, infer: 9.0, write: 0.1, wall };
    let epoch = |base, head| Epoch { base, head, acc1: 0.9, loss: 0.3 };
    let in_loop = InLoopArm {
        epochs: [10.0, 12.0, 11.0, 11.0][..run].iter().map(|&wall| epoch(Some(base(wall)), 1.0)).collect(),
        agreement: Agreement { epochs: run, images: 1000, identical: run < 4, largest_difference: 1.25e-7, same_class: 999 },
    };
    let val = Metrics { acc1: 0.9375, acc5: 1.0, loss: 0.25, mean_per_class_recall: 0.9, macro_f1: 0.9, ece: 0.01, auc: None };
    let cached = CachedArm { failed: 0, extract: base(12.0), open: 0.05, epochs: vec![epoch(None, 0.5); 4], val };
    let about = About {
        dataset: "photos".into(),
        cache: "out/cache".into(),
        backbone: "vgg16".into(),
        weights: "random".into(),
        engine: "native (avx2)".into(),
        trainer: "fused-avx2".into(),
        input: [150, 150],
        tap: "flat".into(),
        shape: vec![8192],
        batch: 20,
        threads: 2,
        machine: "linux x86_64".into(),
    };
    let record = Record { id: "1".into(), title: "t".into(), start: Some(1.0), cached: Some(cached), in_loop: Some(in_loop) };
    Speedup::of(&record, about, Images { train: 2000, val: 1000, failed: 0 }, serde_json::Map::new()).unwrap()
}

#[test]
fn two_epochs_are_scaled_and_everything_says_so() {
    let found = speedup(2);
    assert_eq!((found.epochs, found.in_loop.scaled, found.cached.scaled), (4, true, false));
    // 1 + (11 + 13) · 4/2 against 1 + 12 + 0.05 + 4 · 0.5
    assert_eq!((found.in_loop.seconds_measured, found.in_loop.seconds), (25.0, 49.0));
    assert!((found.cached.seconds - 15.05).abs() < 1e-9 && (found.speedup - 49.0 / 15.05).abs() < 1e-9);
    assert_eq!(found.break_even_epoch, Some(2));
    assert_eq!(found.table().last().unwrap()[1..], ["49 s (scaled from 2)", "15 s"]);
    let told = found.sentences();
    assert!(told[0].contains("2 of 4 epochs") && told[0].contains("scaled"), "{told:?}");
    assert!(told[2].contains("after 2 epochs: identical"), "{told:?}");
    let folder = tempfile::tempdir().unwrap();
    found.write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let csv = read(TABLE_FILE);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(
        rows[..6],
        [
            "way,epoch,seconds,measured",
            "in_loop,1,12.000000,1",
            "in_loop,2,25.000000,1",
            "in_loop,3,37.000000,0",
            "in_loop,4,49.000000,0",
            "cached,1,13.550000,1",
        ]
    );
    let again: Speedup = serde_json::from_str(&read(RESULT_FILE)).unwrap();
    assert_eq!((again.about, again.in_loop.epochs, again.in_loop.scaled), (found.about, found.in_loop.epochs, true));
}

#[test]
#[cfg(feature = "report")]
fn the_page_says_that_epochs_are_scaled_and_loads_nothing() {
    let (found, folder) = (speedup(2), tempfile::tempdir().unwrap());
    super::page::write(&found, folder.path()).unwrap();
    let html = std::fs::read_to_string(folder.path().join(super::PAGE_FILE)).unwrap();
    assert!(html.contains("Scaled: ") && html.contains("49 s (scaled)"));
    for loaded in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(loaded), "{loaded}");
    }
}

#[test]
fn a_full_run_is_called_scaled_nowhere() {
    let found = speedup(4);
    assert!(!found.in_loop.scaled && found.in_loop.seconds == found.in_loop.seconds_measured);
    let told = found.sentences().join("\n") + &found.table().concat().concat();
    assert!(!told.contains("scaled"), "{told}");
    assert!(told.contains("the same class for 999, largest difference 1.2e-7") || told.contains("1.3e-7"), "{told}");
}
