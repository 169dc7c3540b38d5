use std::fs;

use super::*;
use crate::data::Orientation;
use crate::sweep::RUN_FILE;

const CONFIG: &str = "method: grid\nmetric: {name: val.acc1, goal: maximize}\nparameters:\n  lr: {values: [0.1, 0.01]}\nseed: 3\n";

/// A sweep directory of two trials, its best head and three answers, one of them wrong.
fn sweep() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let epoch = |trial: usize, epoch: usize, acc: f64| {
        format!(
            r#"{{"record":"epoch","trial":{trial},"id":"{trial}","epoch":{epoch},"lr":0.1,"train.loss":0.5,"seconds":0.1,"val.acc1":{acc},"val.loss":0.4}}"#
        )
    };
    let last = |trial: usize, lr: f64, acc: f64| {
        format!(
            r#"{{"record":"final","trial":{trial},"id":"{trial}","settings":{{"head":"linear","lr":{lr}}},"status":"done","epochs":2,"seconds":0.2,"val.acc1":{acc},"val.loss":0.4}}"#
        )
    };
    let lines = [
        epoch(0, 1, 0.5),
        epoch(0, 2, 0.6),
        last(0, 0.1, 0.6),
        epoch(1, 1, 0.7),
        epoch(1, 2, 0.8),
        last(1, 0.01, 0.9),
        "{\"record\":\"ep".into(),
    ];
    put("trials.jsonl", &lines.join("\n"));
    put("config.yaml", CONFIG);
    put(
        "predictions.csv",
        "path,split,class,predicted,correct,probability,probability_of_class\na/1.png,val,<b>ant</b>,bee,0,0.9,0.1\na/2.png,val,bee,bee,1,0.8,0.8\na/3.png,test,bee,bee,1,0.7,0.7\n",
    );
    put("confusion.csv", "class,<b>ant</b>,bee\n<b>ant</b>,0,1\nbee,0,2\n");
    put("classes.csv", "class,rows,recall\n<b>ant</b>,1,0\nbee,2,1\n");
    folder
}

#[test]
fn the_page_shows_the_sweep_and_loads_nothing() {
    let folder = sweep();
    let report = Report::read(folder.path(), None).unwrap();
    assert_eq!(report.trials.iter().map(|t| t.trial).collect::<Vec<_>>(), [1, 0]);
    assert_eq!((report.keys.as_slice(), report.fixed[0].value.as_str()), (&["lr".to_owned()][..], "linear"));
    assert_eq!((report.wrong, report.judged_on.as_str()), ([1, 3], "test"));
    assert_eq!(report.confusion.as_ref().unwrap().counts, [[0, 1], [0, 2]]);
    let written = write(folder.path(), None).unwrap();
    let html = fs::read_to_string(&written.file).unwrap();
    assert_eq!(html.len() as u64, written.bytes);
    assert!(html.contains(r"\u003cb>ant\u003c/b>") && !html.contains("<b>ant"), "names are escaped in the page's data");
    for loaded in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(loaded), "{loaded}");
    }
    assert!(html.contains("Permission to use, copy, modify"), "the libraries' licences travel with them");
}

#[test]
fn the_head_of_the_page_says_when_by_which_command_and_on_what() {
    let folder = sweep();
    let source = |folder: &tempfile::TempDir| Report::read(folder.path(), None).unwrap().source;
    assert_eq!(source(&folder).iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["date"], "without a best head, what the log tells");
    let best = folder.path().join("best");
    fs::create_dir(&best).unwrap();
    let crate::heads::HeadFiles { model, weights } = crate::heads::tests_of_model::predictor(Default::default(), &[6]).to_bytes().unwrap();
    fs::write(best.join("model.json"), model).unwrap();
    fs::write(best.join("head.safetensors"), &weights).unwrap();
    fs::write(folder.path().join(RUN_FILE), r#"{"command":"headstart sweep 'a b' lr=0.1","unix_time":1772323200,"headstart":"0.1.0"}"#)
        .unwrap();
    let facts = source(&folder);
    assert_eq!(facts[0].value, "2026-03-01 00:00 UTC");
    assert!(facts[1].name == "data" && facts[1].value.ends_with("(2 on val, 1 on test)"), "{facts:?}");
    let html = fs::read_to_string(write(folder.path(), None).unwrap().file).unwrap();
    assert!(html.contains("headstart sweep &#x27;a b&#x27; lr=0.1"), "the command is on the page, escaped");
    fs::write(folder.path().join(RUN_FILE), "{}").unwrap();
    assert!(write(folder.path(), None).unwrap_err().to_string().contains("run.json"));
}

#[test]
fn settings_are_ranked_where_there_are_trials_enough() {
    let folder = sweep();
    assert_eq!(Report::read(folder.path(), None).unwrap().importance, None, "two trials say nothing");
    let page = |folder: &tempfile::TempDir| fs::read_to_string(write(folder.path(), None).unwrap().file).unwrap();
    assert!(!page(&folder).contains("id=\"importance\""), "no chart without data");
    let lines = |i: usize| {
        let (lr, dropout) = (0.1 / (1 + i % 5) as f64, (i * 7 % 3) as f64 / 4.0);
        let metrics = format!(r#""seconds":0.2,"val.acc1":{},"val.loss":0.4"#, 0.9 - lr);
        format!(
            r#"{{"record":"epoch","trial":{i},"id":"{i}","epoch":1,"lr":{lr},"train.loss":0.5,{metrics}}}
{{"record":"final","trial":{i},"id":"{i}","settings":{{"head":"linear","lr":{lr},"dropout":{dropout}}},"status":"done","epochs":1,{metrics}}}"#
        )
    };
    fs::write(folder.path().join("trials.jsonl"), (0..30).map(lines).collect::<Vec<_>>().join("\n")).unwrap();
    let found = Report::read(folder.path(), None).unwrap().importance.unwrap();
    assert!(found.settings[0].name == "lr" && found.settings[0].share > 0.95, "{found:?}");
    let page = page(&folder);
    assert!(page.contains("id=\"importance\"") && page.contains("Permutation importance in a random forest"));
}

#[test]
fn photos_of_mistakes_are_shown_where_they_are_and_missed_where_not() {
    let (folder, data) = (sweep(), tempfile::tempdir().unwrap());
    let photo = |report: &Report| report.answers[0].photo.clone();
    let without = Report::read(folder.path(), None).unwrap();
    assert_eq!(photo(&without), None);
    assert!(without.notes.iter().any(|n| n.contains("option `data`")), "{:?}", without.notes);
    fs::create_dir(data.path().join("a")).unwrap();
    image::RgbImage::from_fn(40, 30, |x, _| image::Rgb([x as u8 * 5, 90, 20])).save(data.path().join("a/1.png")).unwrap();
    let with = Report::read(folder.path(), Some(data.path())).unwrap();
    assert!(photo(&with).unwrap().starts_with("data:image/jpeg;base64,"));
}

#[test]
fn thumbnails_are_turned_as_the_model_saw_the_photos() {
    let goldens = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/decode"));
    let source = crate::data::open(goldens, &crate::data::ListOptions::default()).unwrap();
    let shown = |name: &str, orientation| photos::thumbnail(&*source, name, orientation).unwrap();
    let stored = shown("odd-turned-long.jpg", Orientation::AsStored);
    assert_ne!(shown("odd-turned-long.jpg", Orientation::Exif), stored);
    assert_eq!(shown("odd-upright-both.jpg", Orientation::Exif), stored, "the same pixels, not turned");
}

#[test]
fn an_unfinished_sweep_shows_what_there_is_and_a_foreign_folder_is_refused() {
    let folder = sweep();
    for name in ["predictions.csv", "confusion.csv", "classes.csv"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let html = fs::read_to_string(write(folder.path(), None).unwrap().file).unwrap();
    assert!(html.contains("id=\"leaderboard\""));
    for section in ["confusion", "classes", "photos", "calibration", "extraction"] {
        assert!(!html.contains(&format!("<section id=\"{section}\"")), "{section}: there is no data for it");
    }
    fs::write(folder.path().join("predictions.csv"), "path,split\nx").unwrap();
    let error = write(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("predictions.csv") && error.contains("damaged"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(write(empty.path(), None).unwrap_err().to_string().contains("is not a sweep"));
}

#[test]
fn tensorboard_shows_the_trials_that_there_are() {
    let folder = sweep();
    let runs = || {
        let mut names: Vec<_> = fs::read_dir(folder.path().join(TENSORBOARD_FOLDER)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(write_tensorboard(folder.path()).unwrap(), 2);
    assert_eq!(runs(), ["trial-0000", "trial-0001"]);
    let log = fs::read_to_string(folder.path().join("trials.jsonl")).unwrap();
    fs::write(folder.path().join("trials.jsonl"), log.lines().take(3).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(write_tensorboard(folder.path()).unwrap(), 1);
    assert_eq!(runs(), ["trial-0000"]);
}

#[test]
fn what_is_damaged_or_missing_in_a_log_is_said_on_the_page() {
    let folder = sweep();
    let notes = |folder: &tempfile::TempDir| Report::read(folder.path(), None).unwrap().notes;
    assert!(notes(&folder).iter().any(|n| n.contains("trials.jsonl:7 is cut short: its trial is left out")), "{:?}", notes(&folder));
    let log = fs::read_to_string(folder.path().join("trials.jsonl")).unwrap();
    fs::write(folder.path().join("trials.jsonl"), log.replace("\"epoch\":2,", "\"epoch\":3,")).unwrap();
    let report = Report::read(folder.path(), None).unwrap();
    assert!(report.trials.is_empty() && notes(&folder).len() > 1);
}

#[test]
fn a_head_that_is_not_the_one_described_and_a_metric_that_nobody_has_are_noted() {
    let folder = sweep();
    fs::write(folder.path().join("config.yaml"), CONFIG.replace("val.acc1", "val.auc")).unwrap();
    let best = folder.path().join("best");
    fs::create_dir(&best).unwrap();
    let crate::heads::HeadFiles { model, mut weights } =
        crate::heads::tests_of_model::predictor(Default::default(), &[6]).to_bytes().unwrap();
    fs::write(best.join("model.json"), model).unwrap();
    fs::write(best.join("head.safetensors"), &weights).unwrap();
    let said = |word: &str| Report::read(folder.path(), None).unwrap().notes.iter().any(|n| n.contains(word));
    assert!(said("no trial has `val.auc`") && !said("SHA-256"));
    *weights.last_mut().unwrap() ^= 1;
    fs::write(best.join("head.safetensors"), &weights).unwrap();
    assert!(said("head.safetensors: is damaged"));
    let damage = Report::read(folder.path(), None).unwrap().damage;
    assert!(damage.iter().any(|n| n.contains("head.safetensors")) && damage.iter().all(|n| !n.contains('\n')), "{damage:?}");
}

#[test]
fn no_damage_to_a_sweep_directory_makes_a_report_panic() {
    use crate::model::tests::mutated;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let folder = sweep();
    let best = folder.path().join("best");
    fs::create_dir(&best).unwrap();
    let crate::heads::HeadFiles { model, weights } = crate::heads::tests_of_model::predictor(Default::default(), &[6]).to_bytes().unwrap();
    fs::write(best.join("model.json"), &model).unwrap();
    fs::write(best.join("head.safetensors"), &weights).unwrap();
    // What a report comes to with a file of other content; then the file is put back.
    let with = |name: &str, what: &str, text: String| {
        let file = folder.path().join(name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, text).unwrap();
        let done = catch_unwind(AssertUnwindSafe(|| Report::read(folder.path(), None).and_then(|report| page::render(&report))));
        let done = done.unwrap_or_else(|_| panic!("{name}, {what}: panicked"));
        if let Err(e) = done {
            assert!(e.to_string().contains(name), "{name}, {what}: {e}");
        }
        fs::write(&file, whole).unwrap();
    };
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let log = read("trials.jsonl");
    for (number, line) in log.lines().enumerate().take(3) {
        let Ok(record) = serde_json::from_str(line) else { continue };
        for (what, changed) in mutated(&record) {
            let lines = log.lines().enumerate().map(|(i, line)| if i == number { changed.to_string() } else { line.to_owned() });
            with("trials.jsonl", &what, lines.collect::<Vec<_>>().join("\n"));
        }
    }
    let mut described: serde_json::Value = serde_json::from_slice(&model).unwrap();
    // Its own digest would hide every other check.
    described.as_object_mut().unwrap().remove("model_sha256").unwrap();
    for (what, changed) in mutated(&described).into_iter().step_by(3) {
        with("best/model.json", &what, changed.to_string());
    }
    for name in ["predictions.csv", "confusion.csv", "classes.csv", "config.yaml"] {
        let text = read(name);
        let words: Vec<&str> = text.split_inclusive([',', '\n', ' ', '[', '{']).collect();
        for at in 0..words.len() {
            for other in ["", "x", "-1", "1e999", "99999999999999999999", "NaN", "\"", "\u{0}", "\n", "[[[[["] {
                let changed = words
                    .iter()
                    .enumerate()
                    .map(|(i, word)| if i == at { format!("{other}{}", &word[word.len() - 1..]) } else { (*word).to_owned() });
                with(name, other, changed.collect());
            }
        }
        with(name, "empty", String::new());
    }
}
