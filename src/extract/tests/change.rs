//! What is added, renamed, relabelled or damaged between runs: only what is missing is computed.

use std::fs;

use super::fixture::{World, counts, names, tap};
use crate::extract::{Basis, Part, estimate, recheck};
use crate::store::{Cache, Dtype, Status};

#[test]
fn features_are_those_of_the_engine_in_every_type() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let world = World { dtype, ..World::new(11) };
        assert_eq!(counts(&world.run()), [11, 0, 0, 0]);
        let cache = Cache::open(&world.cache).unwrap();
        let table = cache.table("map", 0, None).unwrap();
        assert_eq!(table.rows, (0..11).collect::<Vec<u64>>());
        assert_eq!(cache.features("map", 0).unwrap().shape(), [3, 2, 2]);
        let reference = World { cache: world.folder.path().join("f32"), ..World::new(11) };
        reference.run();
        let want = Cache::open(&reference.cache).unwrap().table("map", 0, None).unwrap();
        let tolerance = [0.0, 1e-3, 1e-2][[Dtype::F32, Dtype::F16, Dtype::BF16].iter().position(|d| *d == dtype).unwrap()];
        for (got, want) in table.features.iter().zip(&want.features) {
            assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{dtype}: {got} {want}");
        }
        assert!(table.features.iter().any(|v| *v != table.features[[0, 0]]));
    }
}

#[test]
fn nothing_to_do_builds_no_engine_and_touches_nothing() {
    let world = World::new(9);
    world.run();
    let before = world.files();
    assert_eq!(world.engines_built(), Vec::<Vec<String>>::new());
    assert_eq!(counts(&world.run()), [0, 9, 0, 0]);
    assert_eq!(world.files(), before);
}

#[test]
fn added_images_taps_and_views_are_computed_alone() {
    let mut world = World { taps: vec![tap("gap")], ..World::new(10) };
    world.run();
    let first = world.files();
    world.image("train/cats/zzz.png", 900);
    world.image("train/cats/000-more.png", 901);
    assert_eq!(counts(&world.run()), [2, 10, 0, 0]);
    let rows = Cache::open(&world.cache).unwrap().rows().to_vec();
    assert_eq!(rows[10].path, "train/cats/000-more.png", "new images append in order");
    assert!(first.iter().filter(|(n, _)| n.starts_with("features")).all(|f| world.files().contains(f)), "old shards stay as they are");

    world.taps.push(tap("map"));
    assert_eq!(world.engines_built(), [["map"]]);
    world.views = 3;
    assert_eq!(counts(&world.run()), [12, 0, 0, 0]);
    assert_eq!(counts(&world.run()), [0, 12, 0, 0]);
    let cache = Cache::open(&world.cache).unwrap();
    let plain = cache.table("gap", 0, None).unwrap();
    let turned = cache.table("gap", 2, None).unwrap();
    assert_eq!((plain.features.dim(), turned.features.dim()), ((12, 12), (12, 12)));
    assert_ne!(plain.features, turned.features);
}

#[test]
fn a_new_tap_with_new_images_computes_each_image_once_for_what_it_lacks() {
    let mut world = World { taps: vec![tap("gap")], ..World::new(6) };
    world.run();
    world.image("train/cats/zzz.png", 900);
    world.taps.push(tap("map"));
    assert_eq!(world.engines_built(), [vec!["map".to_string()], vec!["gap".into(), "map".into()]]);
    assert_eq!(counts(&world.run()), [0, 7, 0, 0]);
}

#[test]
fn renaming_relabelling_and_another_split_cost_nothing() {
    let world = World::new(8);
    world.run();
    let before = world.files();
    fs::rename(world.path("train/cats/000.png"), world.path("train/dogs/moved.png")).unwrap();
    fs::create_dir_all(world.path("val/dogs")).unwrap();
    fs::rename(world.path("train/dogs/001.png"), world.path("val/dogs/001.png")).unwrap();
    let outcome = world.run();
    assert_eq!(counts(&outcome), [0, 8, 0, 0]);
    let changes = &outcome.changes;
    assert_eq!((changes.renamed, changes.relabelled, changes.resplit, changes.regrouped), (2, 1, 1, 0));
    let changed: Vec<String> = before.into_iter().zip(world.files()).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
    assert_eq!(changed, ["manifest.json", "rows.csv"]);
    assert_eq!(Cache::open(&world.cache).unwrap().rows()[0].path, "train/dogs/moved.png");
}

#[test]
fn a_replaced_image_is_a_new_row_and_a_vanished_one_comes_back() {
    let world = World::new(6);
    world.run();
    world.image("train/cats/002.png", 777);
    fs::rename(world.path("train/dogs/005.png"), world.folder.path().join("away.png")).unwrap();
    let outcome = world.run();
    assert_eq!(counts(&outcome), [1, 4, 0, 0]);
    assert_eq!(outcome.changes.deleted, 2);
    let cache = Cache::open(&world.cache).unwrap();
    assert_eq!(cache.features("gap", 0).unwrap().row_ids(), [0, 2, 3, 4, 6]);
    fs::rename(world.folder.path().join("away.png"), world.path("train/dogs/005.png")).unwrap();
    assert_eq!(counts(&world.run()), [0, 6, 0, 0]);
}

#[test]
fn broken_images_are_skipped_named_and_tried_again_only_when_changed() {
    let world = World::new(10);
    fs::write(world.path("train/cats/004.png"), &fs::read(world.path("train/cats/004.png")).unwrap()[..60]).unwrap();
    let big = image::RgbImage::new(9, 6);
    big.save(world.path("train/cats/008.png")).unwrap();
    let outcome = world.run();
    assert_eq!(counts(&outcome), [8, 0, 0, 2]);
    assert!(outcome.failed[1].reason.contains("9×6") && outcome.failed[1].path.ends_with("008.png"), "{:?}", outcome.failed);
    let cache = Cache::open(&world.cache).unwrap();
    let listed: Vec<(u64, &str)> = cache.manifest().failed.iter().map(|f| (f.row, f.path.as_str())).collect();
    assert_eq!(listed, [(2, "train/cats/004.png"), (4, "train/cats/008.png")]);
    assert_eq!(cache.rows()[2].status, Status::Failed);

    assert_eq!(world.engines_built().len(), 0);
    world.image("train/cats/004.png", 4);
    assert_eq!(counts(&world.run()), [1, 8, 0, 1]);
}

#[test]
fn a_damaged_shard_is_made_again_as_it_was() {
    let world = World::new(20);
    world.run();
    let before = world.files();
    let victim = "features/map/v0-00008.safetensors";
    let good = fs::read(world.cache.join(victim)).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 0x10;
    for bad in [&good[..100], &flipped] {
        fs::write(world.cache.join(victim), bad).unwrap();
        let outcome = world.run();
        assert_eq!(counts(&outcome), [8, 12, 0, 0]);
        assert!(outcome.warnings[0].contains("v0-00008.safetensors"), "{:?}", outcome.warnings);
        assert_eq!(names(&world.files()), names(&before));
        let same: Vec<bool> = before.iter().zip(world.files()).map(|(a, b)| a.1 == b.1).collect();
        // The manifest and the shard come out differently only in that shard's note of what was
        // computed with it.
        assert_eq!(same.iter().filter(|s| !**s).count(), 2, "{:?}", names(&before));
        let table = Cache::open(&world.cache).unwrap().table("map", 0, None).unwrap();
        assert_eq!(table.rows.len(), 20);
    }
    fs::remove_file(world.cache.join(victim)).unwrap();
    assert_eq!(counts(&world.run()), [8, 12, 0, 0]);
}

#[test]
fn a_part_of_the_data_leaves_the_rest_alone() {
    let mut world = World::new(10);
    world.run();
    world.partial = true;
    let source = crate::data::open(&world.data(), &crate::data::ListOptions::default()).unwrap();
    let mut dataset = source.list().unwrap();
    dataset.entries.truncate(4);
    let engine = |_: &[String], _: usize| unreachable!("nothing to compute");
    let outcome =
        world.with_source(source.as_ref(), &dataset, &engine, |job| crate::extract::run(job, &mut crate::extract::Silent)).unwrap();
    assert_eq!(counts(&outcome), [0, 4, 0, 0]);
    assert_eq!(Cache::open(&world.cache).unwrap().features("gap", 0).unwrap().len(), 10);
}

#[test]
fn parts_share_the_shards() {
    let mut world = World::new(20);
    world.part = Some(Part { index: 1, of: 2 });
    assert_eq!(counts(&world.run()), [8, 0, 12, 0]);
    assert_eq!(counts(&world.run()), [0, 8, 12, 0], "left to others both times");
    world.part = Some(Part { index: 0, of: 2 });
    assert_eq!(counts(&world.run()), [12, 8, 0, 0]);
    world.part = None;
    assert_eq!(counts(&world.run()), [0, 20, 0, 0]);
}

#[test]
fn a_part_without_rows_says_so_and_one_that_is_done_does_not() {
    let mut world = World::new(20);
    let warnings = |world: &World| world.run().warnings;
    for (index, is_empty) in [(0, false), (0, false), (2, false), (3, true)] {
        world.part = Some(Part { index, of: 4 });
        let said = warnings(&world);
        assert_eq!(
            said.iter().any(|w| w.starts_with("this part is empty") && w.contains("these images make 3 groups")),
            is_empty,
            "{said:?}"
        );
    }
}

#[test]
fn an_estimate_counts_what_a_run_then_does() {
    let world = World { views: 2, ..World::new(20) };
    let before = world.with_job(estimate).unwrap();
    assert_eq!((before.compute, before.reuse, before.failed, before.shards), (20, 0, 0, 12));
    assert_eq!((before.bytes, before.basis), (20 * 2 * 2 * 12 * 4, Basis::Operations));
    assert!(!world.cache.exists(), "an estimate writes nothing");
    world.run();
    world.image("train/cats/zzz.png", 900);
    let after = world.with_job(estimate).unwrap();
    assert_eq!((after.compute, after.reuse, after.basis), (1, 20, Basis::EarlierRun));
    assert!(after.seconds > 0.0);
}

#[test]
fn rechecking_finds_features_that_are_not_those_of_the_image() {
    let world = World { views: 2, batch: 1, ..World::new(9) };
    world.run();
    let found = world.with_job(|job| recheck(job, 4)).unwrap();
    assert_eq!((found.compared.len(), found.unreadable.len()), (4 * 2 * 2, 0));
    assert!(found.compared.iter().all(|c| c.error == 0.0), "{:?}", found.compared);
    assert_eq!(found.differing(Dtype::F32).count(), 0);

    // Features of another network, say.
    let stranger = World { dtype: Dtype::F32, ..World::new(0) };
    let engine = |_: &[String], _: usize| {
        let taps = vec!["other".to_string(), "longer".into()];
        Ok(Box::new(super::fixture::Fake { taps, pause: stranger.pause }) as Box<dyn crate::engine::Engine>)
    };
    let found = world.with_engine(&engine, |job| recheck(job, 100)).unwrap();
    assert_eq!(found.compared.len(), 9 * 2 * 2);
    assert_eq!(found.differing(Dtype::F32).count(), 9 * 2 * 2);
}
