//! What a sweep file means for a small source in memory, and what a sweep of it leaves.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::data::Split;
use crate::heads::{Matrix, trainer};
use crate::rng::Philox;
use crate::{Error, Result};

/// Rows of two classes that a head can nearly tell apart; every fourth row each is for val and for
/// test.
fn source() -> Source {
    source_of((0..80).map(|row| vec![row % 2]).collect(), |row| match row % 8 / 2 {
        2 => Split::Val,
        3 => Split::Test,
        _ => Split::Train,
    })
}

fn source_of(labels: Vec<Vec<u32>>, split: impl Fn(usize) -> Split) -> Source {
    let philox = Philox::new(5, 0);
    let value = |row: usize, i: usize| {
        let own = f32::from(u8::from(labels[row].contains(&(i as u32))));
        philox.uniform([row as u32, i as u32, 0, 0]).iter().sum::<f32>() - 2.0 + own
    };
    let rows = labels.len();
    let features = Arc::new(Matrix::new(4, (0..rows).flat_map(|r| (0..4).map(move |i| value(r, i))).collect()).unwrap());
    let taps = vec![TapFeatures { name: "gap".into(), shape: vec![4], features, views: vec![] }];
    let classes = ["ant", "bee"].map(String::from).to_vec();
    let paths = (0..rows).map(|row| format!("{row}.png")).collect();
    Source::new(taps, classes, paths, labels.clone(), &(0..rows).map(split).collect::<Vec<_>>()).unwrap()
}

/// The trials of a sweep file over a source, and the notes on them.
fn plan(text: &str, source: Source) -> Result<(Vec<Trial>, Vec<String>)> {
    let config = SweepConfig::parse(text, Path::new("s.yaml"))?;
    let sources = [source];
    let mut search = Search::new(&config, &sources, "fused")?;
    let notes = std::mem::take(&mut search.notes);
    Ok((search.next(&[])?, notes))
}

fn refusal(text: &str, source: Source) -> String {
    plan(text, source).err().map(|e: Error| e.to_string()).unwrap_or_default()
}

/// What a sweep of a source finds, and the folder that it leaves.
fn sweep(text: &str, source: Source) -> (SweepOutcome, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = SweepConfig::parse(text, Path::new("s.yaml")).unwrap();
    let job = SweepJob { sources: vec![source], config, out: folder.path().into(), trainer: trainer(&candle_core::Device::Cpu) };
    (run(job, &()).unwrap(), folder)
}

fn read(folder: &tempfile::TempDir, file: &str) -> String {
    std::fs::read_to_string(folder.path().join(file)).unwrap()
}

#[test]
fn one_setting_that_does_not_go_with_another_leaves_the_rest_of_the_grid() {
    let sgd = "parameters:\n  optimizer: {value: sgd}\n  momentum: {values: [0.0, 0.9]}\n  nesterov: {values: [true, false]}\n";
    let (trials, notes) = plan(sgd, source()).unwrap();
    // Without momentum nothing is left of `nesterov`: one trial, not two.
    assert_eq!(trials.iter().map(|t| t.settings.get("nesterov").is_some()).collect::<Vec<_>>(), [false, true, true]);
    assert!(notes.is_empty(), "{notes:?}");
    let (trials, notes) = plan("parameters:\n  epochs: {values: [3, 10]}\n  warmup: {values: [0, 5]}\n", source()).unwrap();
    assert_eq!((trials.len(), notes.as_slice()), (3, &["left out: `warmup` takes as many epochs as there are".to_owned()][..]));
    let (trials, _) = plan("parameters:\n  head: {values: [linear, dense]}\n  init: {values: [torch, zero]}\n", source()).unwrap();
    assert_eq!(trials.len(), 3);
}

#[test]
fn a_conflict_points_at_the_setting_that_is_to_blame() {
    let cases = [
        (
            "parameters:\n  lr: {value: 0.1}\n  optimizer: {value: sgd}\n  nesterov: {value: true}\n",
            "s.yaml:4: `nesterov` needs a momentum",
        ),
        ("parameters:\n  head: {value: linear}\n  epochs: {value: 3}\n  warmup:\n    values: [\n      3]\n", "s.yaml:6: `warmup` takes"),
        ("parameters:\n  head: {value: linear}\n  views: {values: [1, 4]}\n", "s.yaml:3: `views: 4` where the cache has 1"),
        ("parameters:\n  lr: {value: 0.1}\n  seed: {value: 5000000000}\n", "s.yaml:3: `seed: 5000000000`"),
        ("parameters:\n  lr: {value: 0.1}\nseed: 5000000000\n", "s.yaml:3: `seed: 5000000000`"),
    ];
    for (text, problem) in cases {
        let message = refusal(text, source());
        assert!(message.contains(problem) && message.contains("help:"), "{text}: {message}");
        assert!(!text.contains("seed") || message.contains("from 0 to 4294967295"), "{message}");
    }
    let many = source_of((0..20).map(|row| vec![0, 1][..row % 3].to_vec()).collect(), |_| Split::Train);
    let message = refusal("parameters:\n  head: {values: [linear, ridge]}\n  loss: {value: softmax}\n", many);
    assert!(message.contains("s.yaml:3: `loss: softmax` needs one class a row"), "{message}");
}

#[test]
fn only_a_parameter_of_few_values_is_reported_by() {
    let random = "method: random\nparameters:\n  head: {values: [linear, dense]}\n  lr: {min: 0.001, max: 0.1}\n";
    let message = refusal(&format!("{random}report_best_by: lr\n"), source());
    assert!(message.contains("s.yaml:5: `report_best_by: lr`: each trial draws") && message.contains("use one of: head"), "{message}");
    let message = refusal("parameters: {lr: {value: 0.1}}\nreport_best_by: dropout\n", source());
    assert!(message.contains("s.yaml:2: `report_best_by: dropout`: this sweep has no values") && message.contains("several"), "{message}");
    assert!(plan("parameters: {lr: {value: 0.1}}\nreport_best_by: cache\n", source()).is_ok(), "one cache is a cache");
    assert!(plan(&format!("{random}report_best_by: head\n"), source()).is_ok());
}

const HEADS: &str = "parameters:\n  head: {values: [linear, ridge]}\n  lr: {value: 0.02}\n  batch_size: {value: 8}\n  epochs: {value: 2}\n";

#[test]
fn test_is_judged_by_every_repeat_of_the_chosen_setting() {
    for more in ["", "refit: true\n", "folds: 3\n"] {
        let text = HEADS.replace("[linear, ridge]", "[linear]");
        let (outcome, folder) = sweep(&format!("{text}{more}repeats: 3\nseed: 4\n"), source());
        // Each repeat by itself is a sweep with its seed.
        let alone = |seed| sweep(&format!("{text}{more}seed: {seed}\n"), source()).0.test.unwrap().loss;
        let losses = [4, 5, 6].map(alone);
        let mean = losses.iter().sum::<f64>() / 3.0;
        let std = (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let said = |name: &str| outcome.test_of_repeats[name].as_f64().unwrap();
        assert!(std > 1e-6 && (said("test.loss") - mean).abs() < 1e-8 && (said("test.loss.std") - std).abs() < 1e-8, "{more}: {outcome:?}");
        assert!((outcome.test.unwrap().loss - losses[0]).abs() < 1e-12);
        assert!(read(&folder, "best/model.json").contains("test.acc1.std"));
        // From the log alone, without the heads that a run keeps: the same numbers.
        let config = SweepConfig::parse(&format!("{text}{more}repeats: 3\nseed: 4\n"), Path::new("s.yaml")).unwrap();
        let job = SweepJob { sources: vec![source()], config, out: folder.path().into(), trainer: trainer(&candle_core::Device::Cpu) };
        assert_eq!(run(job, &()).unwrap().test_of_repeats, outcome.test_of_repeats);
    }
}

#[test]
fn several_seeds_are_repeats_and_no_settings_to_choose_from() {
    let (seeds, _) = sweep(&HEADS.replace("  lr:", "  seed: {values: [4, 5, 6]}\n  lr:"), source());
    let linear = seeds.leaderboard.iter().find(|r| r.settings["head"] == "linear").unwrap();
    assert_eq!((seeds.leaderboard.len(), linear.history.len()), (2, 3 * 2));
    assert!(linear.metric("val.loss.std").unwrap() > 0.0);
    assert!(seeds.notes.iter().any(|n| n.contains("3 seeds")), "{:?}", seeds.notes);
    let cases = [
        ("  seed: {values: [1, 42]}\n", "s.yaml:3: the seeds of a list are repeats", "`repeats: 2`"),
        ("  seed: {min: 0, max: 9}\nmethod: random\n", "s.yaml:3: `seed` is drawn", "`repeats: 5`"),
        ("  seed: {values: [1, 2]}\nrepeats: 2\n", "s.yaml:3: `seed` lists several", "use one of them"),
    ];
    for (seeds, problem, hint) in cases {
        let message = refusal(&format!("parameters:\n  lr: {{value: 0.1}}\n{seeds}"), source());
        assert!(message.contains(problem) && message.contains(hint), "{message}");
    }
}

#[test]
fn a_head_that_no_seed_changes_is_fitted_once_where_its_rows_stay() {
    let runs = |more: &str, source| {
        let (outcome, _) = sweep(&format!("{HEADS}{more}repeats: 3\n"), source);
        let ridge = outcome.leaderboard.iter().find(|r| r.settings["head"] == "ridge").unwrap().clone();
        (ridge.history.len(), ridge.metric("val.loss.std").is_some_and(|std| std > 0.0))
    };
    assert_eq!(runs("", source()), (1, false));
    assert_eq!(runs("folds: 2\n", source()), (6, true));
    let without_val = source_of((0..80).map(|row| vec![row % 2]).collect(), |row| if row < 60 { Split::Train } else { Split::Test });
    assert_eq!(runs("", without_val), (3, true));
}

/// Header and cells of a CSV file.
fn table(folder: &tempfile::TempDir, file: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let text = read(folder, file);
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    (cells(text.lines().next().unwrap()), text.lines().skip(1).map(cells).collect())
}

#[test]
fn predictions_have_the_probability_of_every_class() {
    let (outcome, folder) = sweep(&format!("{HEADS}folds: 3\n"), source());
    let (header, rows) = table(&folder, "predictions.csv");
    assert_eq!(header[5..], ["probability", "probability_of_class", "p.ant", "p.bee"]);
    let number = |cell: &String| cell.parse::<f64>().unwrap();
    for row in &rows {
        let [ant, bee] = [number(&row[7]), number(&row[8])];
        assert!((ant + bee - 1.0).abs() < 2e-6 && ant.max(bee) == number(&row[5]), "{row:?}");
        assert_eq!(row[3], if ant > bee { "ant" } else { "bee" });
    }
    // Any metric can be made of it again: here the calibrated loss on test, as model.json has it.
    let test: Vec<_> = rows.iter().filter(|row| row[1] == "test").collect();
    let loss = test.iter().map(|row| -number(&row[if row[2] == "ant" { 7 } else { 8 }]).ln()).sum::<f64>() / test.len() as f64;
    let model: serde_json::Value = serde_json::from_str(&read(&folder, "best/model.json")).unwrap();
    assert!((loss - model["metrics"]["test.loss_scaled"].as_f64().unwrap()).abs() < 1e-4, "{loss} {outcome:?}");
}

#[test]
fn rows_of_several_classes_are_answered_with_several_and_have_no_confusion() {
    let labels = (0..80).map(|row| [vec![0], vec![1], vec![0, 1], vec![]][row % 4].clone()).collect();
    let many = source_of(labels, |row| if row < 60 { Split::Train } else { Split::Test });
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("earlier/1")).unwrap();
    std::fs::write(folder.path().join("confusion.csv"), "class,ant,bee\n").unwrap();
    let config = SweepConfig::parse("parameters:\n  lr: {value: 0.1}\n  epochs: {value: 20}\n", Path::new("s.yaml")).unwrap();
    let job = SweepJob { sources: vec![many], config, out: folder.path().into(), trainer: trainer(&candle_core::Device::Cpu) };
    run(job, &()).unwrap();
    let (_, rows) = table(&folder, "predictions.csv");
    for row in &rows {
        let said = ["ant", "bee"].into_iter().zip(&row[7..]).filter(|(_, p)| p.parse::<f64>().unwrap() >= 0.5);
        assert_eq!(row[3], said.map(|(class, _)| class).collect::<Vec<_>>().join("|"));
    }
    assert!(rows.iter().any(|row| row[3] == "ant|bee") && rows.iter().any(|row| row[3].is_empty()), "{rows:?}");
    assert!(!folder.path().join("confusion.csv").exists(), "an earlier sweep's would be taken for this one's");
    assert!(folder.path().join("per_class.csv").exists());
    #[cfg(feature = "report")]
    let report = crate::report::Report::read(folder.path(), None).unwrap();
    #[cfg(feature = "report")]
    assert!(report.confusion.is_none() && report.per_class.is_some());
}

#[test]
fn what_the_data_leave_little_of_is_said_and_stays_in_the_report() {
    let text = "parameters:\n  shots: {values: [2, 30]}\n  batch_size: {value: 512}\n  epochs: {value: 3}\nfolds: 4\nearly_terminate: {min_iter: 3}\n";
    // Three rows of `bee`, the rest `ant`; then none.
    let few = |bees: usize| {
        source_of((0..80).map(|row| vec![u32::from(row < bees)]).collect(), |row| if row < 60 { Split::Train } else { Split::Test })
    };
    let (outcome, folder) = sweep(text, few(3));
    let said =
        |outcome: &SweepOutcome, note: &str| assert!(outcome.notes.iter().any(|n| n.starts_with(note)), "{note}: {:?}", outcome.notes);
    said(&outcome, "`folds: 4`: class `bee` has 3 rows");
    said(&outcome, "`shots: 30`: class `bee` has 3 rows, and gives all");
    said(&outcome, "`batch_size: 512` is more than the 45 training rows");
    said(&outcome, "`early_terminate` ends no trial: its `min_iter: 3` is not below `epochs: 3`");
    assert!(folder.path().join(NOTES_FILE).is_file());
    #[cfg(feature = "report")]
    let report = crate::report::Report::read(folder.path(), None).unwrap();
    #[cfg(feature = "report")]
    assert!(outcome.notes.iter().all(|note| report.notes.contains(note)));
    let (outcome, _) = sweep("parameters: {lr: {value: 0.1}, epochs: {value: 1}, batch_size: {value: 8}}\n", few(0));
    said(&outcome, "no row to train on: bee (1 of 2 classes)");
    said(&outcome, "no val split: a fifth of train, class by class, serves for choosing (12 of 60 rows, 48 train)");
    let (quiet, folder) = sweep("parameters: {lr: {value: 0.1}, epochs: {value: 1}, batch_size: {value: 8}}\n", source());
    // Twenty rows of val are few to calibrate by; there is nothing else to say.
    let said = "20 rows of val, 2 of them mistakes, are too few to calibrate by: probabilities stay the head's own";
    assert!(quiet.notes == [said] && read(&folder, NOTES_FILE) == format!("{said}\n"), "{:?}", quiet.notes);
}

/// Pure noise, each image of it there three times.
fn noise_in_copies() -> Source {
    let rows = 120;
    let philox = Philox::new(9, 0);
    let value = |row: usize| philox.uniform([(row / 3) as u32, 0, 0, 0]);
    let features = Arc::new(Matrix::new(4, (0..rows).flat_map(value).collect()).unwrap());
    let taps = vec![TapFeatures { name: "gap".into(), shape: vec![4], features, views: vec![] }];
    let paths = (0..rows).map(|row| format!("{row}.png")).collect();
    let labels = (0..rows as u32).map(|row| vec![u32::from(row >= 60)]).collect();
    let mut source = Source::new(taps, ["ant", "bee"].map(String::from).to_vec(), paths, labels, &vec![Split::Train; rows]).unwrap();
    source.copies.join(rows, (0..rows).map(|row| (row, row / 3)));
    source.groups = source.copies.clone();
    source
}

#[test]
fn copies_are_not_learnt_on_one_side_and_found_again_on_the_other() {
    let knn = "parameters: {head: {value: knn}, k: {value: 1}}\n";
    for more in ["", "folds: 5\n", "repeats: 3\n"] {
        let (outcome, folder) = sweep(&format!("{knn}{more}"), noise_in_copies());
        let acc1 = outcome.leaderboard[0].metric("val.acc1").unwrap();
        assert!((0.2..0.8).contains(&acc1), "{more}: noise is told apart {acc1}");
        let said = "120 of 120 rows are identical copies: those of an image (40 images) stay on one side";
        assert!(outcome.notes.iter().any(|n| n == said) && read(&folder, NOTES_FILE).contains(said), "{:?}", outcome.notes);
        // Not known to be copies, they are found again.
        let mut unknown = noise_in_copies();
        (unknown.copies, unknown.groups) = Default::default();
        assert!(sweep(&format!("{knn}{more}"), unknown).0.leaderboard[0].metric("val.acc1").unwrap() > 0.9);
    }
}

#[test]
fn copies_that_the_datas_own_splits_part_are_counted_and_groups_too() {
    let mut source = source();
    // Rows 0 and 1 are for training, 4 for val, 6 for test.
    source.copies.join(80, [(0, 'a'), (1, 'b'), (4, 'a'), (6, 'b')]);
    source.groups = source.copies.clone();
    source.groups.join(80, [(2, 'p'), (3, 'p'), (5, 'p'), (8, 'q'), (9, 'q')]);
    let lr = "parameters: {lr: {value: 0.1}, epochs: {value: 1}, batch_size: {value: 8}}\n";
    let said = |outcome: &SweepOutcome, word: &str| outcome.notes.iter().any(|n| n.contains(word));
    let (outcome, _) = sweep(lr, source.clone());
    assert!(said(&outcome, "2 rows to train on are identical to rows of val or test"), "{:?}", outcome.notes);
    assert!(said(&outcome, "2 rows to train on share a group with rows of val or test") && !said(&outcome, "on one side"));
    let (outcome, _) = sweep(&format!("{lr}folds: 3\n"), source);
    assert!(said(&outcome, "1 row to train on is identical to rows of test"), "{:?}", outcome.notes);
    assert!(said(&outcome, "7 of 60 rows stand in 3 groups, each of which stays on one side"), "{:?}", outcome.notes);
}

#[test]
fn a_metric_that_no_trial_has_elects_none() {
    let auc = "metric: auc\nreport_best_by: cache\nparameters: {lr: {value: 0.1}, epochs: {value: 1}, batch_size: {value: 8}}\n";
    // All of val is of one class.
    let one_sided =
        || source_of((0..80).map(|row| vec![row % 2]).collect(), |row| if row % 2 == 0 && row < 40 { Split::Val } else { Split::Train });
    let folder = tempfile::tempdir().unwrap();
    let job = |sources| {
        let config = SweepConfig::parse(auc, Path::new("s.yaml")).unwrap();
        SweepJob { sources, config, out: folder.path().into(), trainer: trainer(&candle_core::Device::Cpu) }
    };
    let refused = run(job(vec![one_sided()]), &()).unwrap_err();
    let message = refused.to_string();
    assert!(message.contains("no trial has `val.auc`") && message.contains("acc1, acc5, loss") && !message.contains("auc,"), "{message}");
    assert!(refused.is_unusable_input() && !folder.path().join("best").exists());
    let mut other = source();
    other.name = "other".into();
    let outcome = run(job(vec![one_sided(), other]), &()).unwrap();
    assert!(outcome.notes.iter().any(|n| n == "1 of 2 trials have no `val.auc` and come last"), "{:?}", outcome.notes);
    assert!(outcome.leaderboard[0].metric("val.auc").is_some() && outcome.leaderboard[1].metric("val.auc").is_none());
    assert!(outcome.notes.iter().any(|n| n == "`cache: features` has no best trial: none of its trials has `val.auc`"));
    assert_eq!(outcome.best_by.iter().map(|best| &best.value).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn a_file_a_cache_or_a_folder_of_other_things_holds_no_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = (folder.path().join("notes"), folder.path().join("cache"));
    std::fs::write(&file, "mine").unwrap();
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("manifest.json"), "{\"format\": 1}").unwrap();
    for (out, problem) in [
        (file.clone(), "is a file"),
        (file.join("sweep"), "is a file"),
        (cache.clone(), "is the folder of a cache"),
        (cache.join("new/sweep"), "lies in the folder of a cache"),
        (folder.path().into(), "is not empty and does not hold a sweep"),
    ] {
        let config = SweepConfig::parse(HEADS, Path::new("s.yaml")).unwrap();
        let job = SweepJob { sources: vec![source()], config, out, trainer: trainer(&candle_core::Device::Cpu) };
        let error = run(job, &()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(problem) && message.contains("help:") && message.contains("option `out`"), "{message}");
        assert!(error.is_unusable_input());
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "nothing is written into the cache");

    // A sweep file and notes of the user are no other things, unless the sweep would overwrite them.
    let out = folder.path().join("experiment");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("sweep.yaml"), HEADS).unwrap();
    let config = SweepConfig::parse(HEADS, Path::new("s.yaml")).unwrap();
    let job = |config| SweepJob { sources: vec![source()], config, out: out.clone(), trainer: trainer(&candle_core::Device::Cpu) };
    std::fs::write(out.join("config.yaml"), "mine").unwrap();
    assert!(run(job(config.clone()), &()).unwrap_err().to_string().contains("is not empty"));
    std::fs::remove_file(out.join("config.yaml")).unwrap();
    run(job(config), &()).unwrap();
    assert_eq!(std::fs::read_to_string(out.join("sweep.yaml")).unwrap(), HEADS);
}

#[test]
fn one_of_a_thing_is_said_in_the_singular() {
    let taps = source().taps;
    let paths = (0..80).map(|row| format!("{row}.png")).collect();
    let one = Source::new(taps, vec!["ant".into()], paths, vec![vec![0]; 80], &[Split::Train; 80]).err().unwrap().to_string();
    assert!(one.contains("there is 1 class\n"), "{one}");
}

/// Runs a sweep file in a folder.
fn sweep_in(folder: &Path, text: &str) -> SweepOutcome {
    let config = SweepConfig::parse(text, Path::new("s.yaml")).unwrap();
    run(SweepJob { sources: vec![source()], config, out: folder.into(), trainer: trainer(&candle_core::Device::Cpu) }, &()).unwrap()
}

#[test]
fn a_sweep_into_the_folder_of_another_one_moves_that_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let [first, second] = ["0.1", "0.01"].map(|lr| format!("parameters: {{lr: {{values: [{lr}, 0.05]}}, epochs: {{value: 2}}}}\n"));
    let all = ["best/model.json", "best/head.safetensors", "results.csv", "trials.jsonl", "predictions.csv", "config.yaml"];
    sweep_in(folder.path(), &first);
    std::fs::write(folder.path().join("best_by_lr.csv"), "lr\n").unwrap();
    std::fs::write(folder.path().join("mine.txt"), "not the sweep's").unwrap();
    let before = all.map(file);
    // The same one goes on, also with more time.
    let again = sweep_in(folder.path(), &format!("{first}time_cap: 1h\n"));
    assert!(again.reused == 2 && !folder.path().join("earlier").exists());
    let said = |outcome: &SweepOutcome, number: usize| {
        let to = folder.path().join("earlier").join(number.to_string());
        outcome.notes.iter().any(|n| n.contains(&format!("before is kept in {}", to.display())))
    };
    let outcome = sweep_in(folder.path(), &second);
    assert!(said(&outcome, 1) && outcome.reused == 1, "a trial of both need not be trained again: {:?}", outcome.notes);
    for (name, before) in all.iter().zip(&before) {
        let kept = file(&format!("earlier/1/{name}"));
        assert!(*name == "config.yaml" || kept == *before, "{name}");
        assert_ne!(file(name), kept, "{name}");
    }
    assert!(folder.path().join("earlier/1/best_by_lr.csv").exists() && folder.path().join("mine.txt").exists());
    #[cfg(feature = "report")]
    crate::report::write(&folder.path().join("earlier/1"), None).unwrap();
    // Back to the first: nothing is trained, and the second is kept.
    let third = sweep_in(folder.path(), &first);
    assert!(said(&third, 2) && third.reused == 2 && !folder.path().join("earlier/3").exists());
    assert_eq!(file("best/head.safetensors"), before[1]);
}

#[test]
fn a_move_that_was_interrupted_goes_on_and_folders_of_before_are_known_by_their_trials() {
    let text = "parameters: {lr: {value: 0.1}, epochs: {value: 1}}\n";
    let other = text.replace("0.1", "0.2");
    let folder = tempfile::tempdir().unwrap();
    sweep_in(folder.path(), text);
    std::fs::create_dir_all(folder.path().join("earlier/1")).unwrap();
    std::fs::rename(folder.path().join("best"), folder.path().join("earlier/1/best")).unwrap();
    sweep_in(folder.path(), &other);
    assert!(folder.path().join("earlier/1/results.csv").exists() && !folder.path().join("earlier/2").exists());
    // Before, the first line did not say which sweep it is.
    let config = folder.path().join("config.yaml");
    let unsaid = || {
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    };
    unsaid();
    assert_eq!(sweep_in(folder.path(), &other).reused, 1);
    assert!(!folder.path().join("earlier/2").exists());
    unsaid();
    sweep_in(folder.path(), text);
    assert!(folder.path().join("earlier/2/best/head.safetensors").exists());
}

#[test]
fn a_damaged_log_costs_its_trials_a_training_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = "parameters: {lr: {values: [0.1, 0.05, 0.02]}, epochs: {value: 2}}\n";
    sweep_in(folder.path(), text);
    let (log, results) = (folder.path().join("trials.jsonl"), std::fs::read(folder.path().join("results.csv")).unwrap());
    let mut bytes = std::fs::read(&log).unwrap();
    // In the first epoch of the second trial.
    let at = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(2).unwrap().0 + 60;
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let outcome = sweep_in(folder.path(), text);
    let said = |n: &String| n.contains("trials.jsonl:4 is damaged: its trial is trained again");
    assert!(outcome.reused == 2 && outcome.notes.iter().any(said), "{outcome:?}");
    assert_eq!(std::fs::read(folder.path().join("results.csv")).unwrap(), results);
}

#[test]
fn a_val_that_is_too_perfect_to_calibrate_by_is_said() {
    let labels: Vec<Vec<u32>> = (0..80).map(|row| vec![row % 2]).collect();
    let mut easy = source_of(labels, |row| if row % 4 < 2 { Split::Train } else { Split::Val });
    easy.taps[0].features = Arc::new(Matrix::new(1, (0..80).map(|row| if row % 2 == 0 { -1.0 } else { 1.0 }).collect()).unwrap());
    easy.taps[0].shape = vec![1];
    let (outcome, folder) = sweep("parameters: {head: {value: logreg}, C: {value: 100.0}}\n", easy);
    let said = "no mistake among the 40 rows of val: nothing tells how sure wrong answers are, and probabilities stay the head's own";
    assert!(outcome.notes.iter().any(|n| n == said) && read(&folder, NOTES_FILE).contains(said), "{:?}", outcome.notes);
    assert!(read(&folder, "best/model.json").contains("\"temperature\": 1.0"));
}
