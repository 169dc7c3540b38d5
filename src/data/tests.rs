//! Folders and CSV files as people have them.

use std::fs;
use std::path::Path;

use super::*;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|file| touch(dir.path(), file, b""));
    dir
}

fn touch(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn list(path: &Path) -> Result<Dataset> {
    open(path, &ListOptions::default())?.list()
}

/// `split class uri` of each entry.
fn lines(data: &Dataset) -> Vec<String> {
    let labels = |e: &Entry| e.labels.iter().map(|&l| data.classes[l].as_str()).collect::<Vec<_>>().join("|");
    data.entries.iter().map(|e| format!("{} {} {}", e.split.map_or("-", Split::name), labels(e), e.uri)).collect()
}

fn csv(text: &str) -> (tempfile::TempDir, Result<Dataset>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("photos.csv");
    fs::write(&file, text).unwrap();
    let data = list(&file);
    (dir, data)
}

fn problem(data: Result<Dataset>) -> String {
    let error = data.unwrap_err();
    assert!(error.is_unusable_input(), "{error}");
    error.to_string()
}

#[test]
fn split_folders_hold_class_folders_that_may_nest() {
    let dir =
        folder(&["train/cat/1.jpg", "train/dog/deep/er/2.JPEG", "valid/cat/3.png", "valid/dog/4.webp", "test/cat/5.gif", "test/dog/6.tif"]);
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!(
        lines(&data),
        [
            "test cat test/cat/5.gif",
            "test dog test/dog/6.tif",
            "train cat train/cat/1.jpg",
            "train dog train/dog/deep/er/2.JPEG",
            "val cat valid/cat/3.png",
            "val dog valid/dog/4.webp"
        ]
    );
    assert_eq!(data.warnings, [""; 0]);
}

#[test]
fn train_and_test_alone_are_a_layout_too() {
    let dir = folder(&["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"]);
    let data = list(dir.path()).unwrap();
    assert!(data.entries.iter().all(|e| e.split != Some(Split::Val)) && data.warnings.is_empty());
}

#[test]
fn flat_folders_have_no_splits_and_a_class_may_be_called_test() {
    let names: Vec<String> = ["cat", "test"].iter().flat_map(|c| (0..10).map(move |i| format!("{c}/{i}.jpg"))).collect();
    let dir = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["cat", "test"]);
    assert!(!data.own_splits && data.entries.iter().all(|e| e.split.is_none()), "a rule decides later");
    assert!(data.warnings[0].starts_with("took test for a class: it holds images itself"), "{:?}", data.warnings);
    assert_eq!(list(dir.path()).unwrap(), data);
}

#[test]
fn what_is_no_image_is_counted_in_a_warning() {
    let dir =
        folder(&["a/1.jpg", "b/1.jpg", "a/notes.txt", "b/more.TXT", "Makefile", ".hidden/x.jpg", "a/.DS_Store", "a/._1.jpg", "stray.jpg"]);
    touch(dir.path(), "a/png-without-extension", b"\x89PNG\r\n\x1a\n and more");
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.iter().map(|e| e.uri.as_str()).collect::<Vec<_>>(), ["a/1.jpg", "a/png-without-extension", "b/1.jpg"]);
    assert_eq!(
        data.warnings,
        [
            "passed over 3 files that are not images: 1 without extension, 2 .txt",
            "passed over 1 image in hidden and system folders: 1 in .hidden",
            "passed over 1 hidden image file: ._1.jpg",
            "passed over 1 image that lies in no class folder: stray.jpg"
        ]
    );
}

#[test]
fn splits_that_disagree_about_classes_are_joined_with_a_warning() {
    let dir = folder(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg", "extra/a/1.jpg"]);
    fs::create_dir_all(dir.path().join("train/empty")).unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["a", "b", "c"]);
    assert_eq!(
        data.warnings,
        [
            "passed over 1 image beside the splits: 1 in extra",
            "left out 1 class folder without images: empty",
            "train has no images of 1 class: c",
            "val has no images of 1 class: b"
        ]
    );
}

#[test]
fn splits_that_are_not_there_are_noted() {
    let notes = |files: &[&str]| list(folder(files).path()).unwrap().notes;
    assert!(notes(&["train/a/1.jpg", "train/b/1.jpg"])[0].starts_with("there are neither val nor test images: a sweep holds out a fifth"));
    let train_and_test = ["train/a/1.jpg", "train/b/1.jpg", "test/a/2.jpg", "test/b/2.jpg"];
    assert_eq!(notes(&train_and_test), ["there are no val images: a sweep holds out a fifth of train to choose by"]);
    assert!(notes(&["a/1.jpg", "b/1.jpg"]).is_empty(), "a rule makes them");
    assert!(notes(&["train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg", "val/b/2.jpg"]).is_empty(), "test is a choice");
}

#[cfg(unix)]
#[test]
fn a_pipe_of_an_images_name_is_named_for_what_it_is() {
    let dir = folder(&["a/1.jpg", "b/1.jpg"]);
    let path = std::ffi::CString::new(dir.path().join("a/2.jpg").to_str().unwrap()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(std::path::Path::new(path.to_str().unwrap())).unwrap();
    assert_eq!(list(dir.path()).unwrap().warnings, ["passed over 1 pipe, socket or device: 2.jpg"]);
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_and_dangling_ones_do_no_harm_and_others_are_followed() {
    use std::os::unix::fs::symlink;
    let dir = folder(&["a/1.jpg", "b/1.jpg"]);
    let elsewhere = folder(&["2.jpg"]);
    symlink(dir.path(), dir.path().join("a/loop")).unwrap();
    symlink("nowhere.jpg", dir.path().join("a/gone.jpg")).unwrap();
    symlink(elsewhere.path(), dir.path().join("b/more")).unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.iter().map(|e| e.uri.as_str()).collect::<Vec<_>>(), ["a/1.jpg", "b/1.jpg", "b/more/2.jpg"]);
    assert_eq!(data.warnings.len(), 2);
    assert!(data.warnings.iter().any(|w| w.contains("a/loop: the link leads back to")), "{:?}", data.warnings);
    assert!(data.warnings.iter().any(|w| w.contains("a/gone.jpg: the link is dangling")), "{:?}", data.warnings);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_named_in_a_warning() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&["a/1.jpg", "b/1.jpg"]);
    fs::write(dir.path().join("a").join(OsStr::from_bytes(b"\xff.jpg")), b"").unwrap();
    let data = list(dir.path()).unwrap();
    assert_eq!(data.entries.len(), 2);
    assert!(data.warnings[0].starts_with("passed over 1 image whose path is not UTF-8: "), "{:?}", data.warnings);
}

#[test]
fn unusable_folders_name_the_way_out() {
    for (files, want) in [
        (&["a/x.txt"][..], "holds no images"),
        (&["a/1.jpg", "a/2.jpg"], "holds a single class, `a`"),
        (&["1.jpg", "2.jpg"], "holds 2 images, none of them in a class"),
        (&["train/1.jpg", "test/2.jpg"], "holds 2 images, none of them in a class"),
    ] {
        let dir = folder(files);
        let text = problem(list(dir.path()));
        assert!(text.contains(want) && text.contains("help: ") && text.contains(dir.path().to_str().unwrap()), "{text}");
    }
    let text = problem(list(Path::new("no/such/folder")));
    assert!(text.contains("no/such/folder: does not exist\n  help: "), "{text}");
}

#[test]
fn a_csv_names_images_labels_and_splits() {
    let (dir, data) =
        csv("\u{feff}Split, path ,label,width\nval,\"b, c.jpg\",dog,1\ntrain,a.jpg, cat | dog |cat,2\nVALID,/abs/d.jpg,bird,3\n");
    let data = data.unwrap();
    assert_eq!(data.classes, ["bird", "cat", "dog"]);
    assert_eq!(lines(&data), ["val bird /abs/d.jpg", "train cat|dog a.jpg", "val dog b, c.jpg"]);

    touch(dir.path(), "a.jpg", b"bytes");
    let source = open(&dir.path().join("photos.csv"), &ListOptions::default()).unwrap();
    assert_eq!(source.read("a.jpg").unwrap(), b"bytes");
    assert_eq!(source.stamp("a.jpg").unwrap().size, 5);
    assert!(source.read("b, c.jpg").unwrap_err().to_string().contains("b, c.jpg"));
    fs::create_dir(dir.path().join("folder.jpg")).unwrap();
    assert!(source.read("folder.jpg").unwrap_err().to_string().ends_with("folder.jpg: is not a file"));
}

#[test]
fn a_csv_without_splits_leaves_them_open_and_names_columns_that_are_not_used() {
    let (_dir, data) = csv("path,label,width\na.jpg,x,1\nb.jpg,y,2\n");
    let data = data.unwrap();
    assert!(!data.own_splits && data.entries.iter().all(|e| e.split.is_none()));
    assert_eq!(data.notes, ["columns that are not used: width"]);
}

#[test]
fn a_csv_of_a_spreadsheet_is_read_whatever_stands_between_its_columns() {
    for text in [
        "path;label;split\na,1.jpg;x;Training\nb.jpg;y;Hold-out\n",
        "\u{feff}Path\tLabel\tSplit\r\na,1.jpg\tx\ttrain\r\nb.jpg\ty\ttest\r\n",
    ] {
        let (_dir, data) = csv(text);
        assert_eq!(lines(&data.unwrap()), ["train x a,1.jpg", "test y b.jpg"]);
    }
}

#[test]
fn words_of_the_column_split_may_be_given_their_meaning() {
    let (dir, data) = csv("path,label,split\na.jpg,x,seen\nb.jpg,y,unseen\n");
    assert!(problem(data).contains("photos.csv:2: `seen` is not a split"));
    let listed = |splits: &str| {
        open(&dir.path().join("photos.csv"), &ListOptions { splits: Some(splits.parse().unwrap()), ..ListOptions::default() })
    };
    assert_eq!(lines(&listed("train=seen,test=unseen").unwrap().list().unwrap()), ["train x a.jpg", "test y b.jpg"]);
    assert_eq!(lines(&listed("none").unwrap().list().unwrap()), ["- x a.jpg", "- y b.jpg"]);
}

#[test]
fn paths_of_windows_are_refused_with_the_right_spelling() {
    let (_dir, data) = csv("path,label\nim\\1.png,a\nim\\2.png,b\nim/3.png,b\n");
    let text = problem(data);
    assert!(text.contains("2 paths are written with `\\`") && text.contains("`im/1.png`"), "{text}");
}

#[test]
fn values_and_names_of_single_photos_are_no_classes() {
    let table = |label: &dyn Fn(usize) -> String| {
        let rows: String = (0..300).map(|i| format!("{i}.jpg,{}\n", label(i))).collect();
        csv(&format!("path,label\n{rows}"))
    };
    for (label, says) in [
        (&(|i: usize| format!("{:.1}", i as f64 * 0.9)) as &dyn Fn(usize) -> String, "most of them numbers"),
        (&|i| (i * 7 % 271).to_string(), "most of them numbers"),
        (&|i| format!("{},5", i % 20), "most of them numbers"),
        (&|i| format!("photo {i}"), "for one image only"),
    ] {
        let label = |i: usize| if label(i).contains(',') { format!("\"{}\"", label(i)) } else { label(i) };
        let (dir, data) = table(&label);
        let text = problem(data);
        assert!(text.contains(says) && text.contains("option `labels-are-classes`"), "{text}");
        let options = ListOptions { labels_are_classes: true, ..ListOptions::default() };
        assert!(open(&dir.path().join("photos.csv"), &options).unwrap().list().is_ok());
    }
    for label in [&(|i: usize| (i % 10).to_string()) as &dyn Fn(usize) -> String, &|i| (i % 60).to_string(), &|i| format!("{}.5", i % 4)] {
        assert!(table(label).1.is_ok(), "digits, numbers of classes and a few sizes are classes");
    }
}

#[test]
fn several_labels_are_said_and_may_be_a_name() {
    let rows: String = (0..20).map(|i| format!("{i}.jpg,{}\n", ["x", "y", "x", "y"][i % 4])).collect();
    let (dir, data) = csv(&format!("path,label\n{rows}z.jpg,x|y\n"));
    let data = data.unwrap();
    assert_eq!(data.classes, ["x", "y"]);
    assert!(
        data.warnings[0].starts_with("1 of 21 images have several labels") && data.warnings[0].contains("option `single-label`"),
        "{:?}",
        data.warnings
    );
    let options = ListOptions { single_label: true, ..ListOptions::default() };
    assert_eq!(open(&dir.path().join("photos.csv"), &options).unwrap().list().unwrap().classes, ["x", "x|y", "y"]);
}

#[test]
fn classes_of_one_name_in_two_spellings_are_one_or_it_is_said() {
    let (_dir, data) = csv("path,label\n1.jpg,caf\u{e9}\n2.jpg,cafe\u{301}\n3.jpg,bar\n4.jpg,Bar\n");
    let data = data.unwrap();
    assert_eq!(data.classes, ["Bar", "bar", "caf\u{e9}"]);
    assert_eq!(data.warnings.len(), 2, "{:?}", data.warnings);
    assert!(
        data.warnings[0].contains("1 class names are spelt in two forms of Unicode")
            && data.warnings[1].contains("Bar, bar differ only in case and are kept apart")
    );

    let dir = folder(&["train/cats/1.jpg", "train/cats/2.jpg", "train/dogs/1.jpg", "val/Cats/1.jpg", "val/dogs/1.jpg"]);
    let data = list(dir.path()).unwrap();
    assert_eq!(data.classes, ["cats", "dogs"]);
    assert_eq!(data.warnings, ["the classes Cats, cats differ only in case and stand in different splits: they are one, `cats`"]);
}

#[test]
fn mistakes_in_a_csv_are_named_by_line() {
    for (text, line, want) in [
        ("", 1, "names no column `path`"),
        ("path,labels\na.jpg,x\n", 1, "names no column `label`; is it `labels`?"),
        ("path,label\na.jpg,x\n\nb.jpg\n", 4, "has 1 fields where the header has 2"),
        ("path,label\na.jpg,x\nb.jpg,\n", 3, "`b.jpg` has an empty label"),
        ("path,label\na.jpg,x|\n", 2, "`a.jpg` has an empty label"),
        ("path,label\n,x\n", 2, "names no path"),
        ("path,label\na.jpg,x\nb.jpg,y\na.jpg,y\n", 4, "`a.jpg` stands in line 2 already"),
        ("path,label,split\na.jpg,x,train\nb.jpg,y,trian\n", 3, "`trian` is not a split"),
        ("path,label,split\na.jpg,x,train\nb.jpg,y,\n", 3, "`` is not a split"),
    ] {
        let (_dir, data) = csv(text);
        let error = problem(data);
        assert!(error.contains(&format!("photos.csv:{line}: ")) && error.contains(want) && error.contains("help: "), "{text:?}: {error}");
    }
    for (text, want) in [("path,label\n", "holds no images"), ("path,label\na,x\nb,x\n", "holds a single class, `x`")] {
        let (_dir, data) = csv(text);
        let error = problem(data);
        assert!(error.contains(want), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("photos.csv");
    fs::write(&file, b"path,label\n\xff.jpg,x\n").unwrap();
    let error = problem(list(&file));
    assert!(error.contains("photos.csv:2: is not UTF-8 text"), "{error}");
}

/// `uri group` of each entry.
fn groups(data: &Dataset) -> Vec<String> {
    data.entries.iter().map(|e| format!("{} {}", e.uri, e.group.as_deref().unwrap_or("-"))).collect()
}

fn grouped(path: &Path, rule: &str) -> Result<Dataset> {
    open(path, &ListOptions { group: Some(rule.parse()?), ..ListOptions::default() })?.list()
}

#[test]
fn a_column_or_a_pattern_says_what_belongs_together() {
    let (dir, data) = csv("path,label,group,patient\na/x_1.jpg,cat,g1,p1\na/x_2.jpg,dog,,p1\n");
    assert_eq!(groups(&data.unwrap()), ["a/x_1.jpg g1", "a/x_2.jpg -"]);
    let file = dir.path().join("photos.csv");
    assert_eq!(groups(&grouped(&file, "patient").unwrap()), ["a/x_1.jpg p1", "a/x_2.jpg p1"]);
    assert_eq!(groups(&grouped(&file, "{group}_*").unwrap()), ["a/x_1.jpg x", "a/x_2.jpg x"]);
    let text = problem(grouped(&file, "patent"));
    assert!(text.contains("no column `patent`; is it `patient`?"), "{text}");

    let dir = folder(&["cat/p1/1.jpg", "cat/2.jpg", "dog/p2/1.jpg"]);
    let data = grouped(dir.path(), "*/{group}/*").unwrap();
    assert_eq!(groups(&data), ["cat/2.jpg -", "cat/p1/1.jpg p1", "dog/p2/1.jpg p2"]);
    assert_eq!(data.warnings, ["1 of 3 images match no group: each of them stands alone"]);
    assert!(problem(grouped(dir.path(), "video-{group}/*")).contains("one of them is cat/2.jpg\n  help: "));
    assert!(problem(grouped(dir.path(), "patient")).contains("is a folder and has no column `patient`"));
}

fn with_splits(dir: &Path, splits: &str) -> Result<Dataset> {
    open(dir, &ListOptions { splits: Some(splits.parse()?), ..ListOptions::default() })?.list()
}

#[test]
fn split_folders_of_many_spellings_are_splits_and_that_is_said() {
    for (train, test) in [
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("Training", "Validation"),
        ("train_data", "test_data"),
        ("trainset", "testset"),
        ("seg_train", "seg_test"),
        ("trainval", "test"),
        ("train2017", "val2017"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set/training_set", "test_set/test_set"),
    ] {
        let files: Vec<String> = [train, test].iter().flat_map(|s| ["cats", "dogs"].map(|c| format!("{s}/{c}/1.jpg"))).collect();
        let data = list(folder(&files.iter().map(String::as_str).collect::<Vec<_>>()).path()).unwrap();
        assert_eq!(data.classes, ["cats", "dogs"], "{train}");
        let count = |split| data.entries.iter().filter(|e| e.split == Some(split)).count();
        assert_eq!((count(Split::Train), count(Split::Val) + count(Split::Test)), (2, 2), "{train}");
        assert!(data.notes[0].contains(&format!("{train} is train")), "{:?}", data.notes);
        assert_eq!(data.warnings, [""; 0], "{train}");
    }
}

#[test]
fn splits_below_classes_are_splits() {
    let data = list(folder(&["cats/train/1.jpg", "cats/test/1.jpg", "dogs/train/1.jpg", "dogs/test/1.jpg"]).path()).unwrap();
    assert_eq!(
        lines(&data),
        ["test cats cats/test/1.jpg", "train cats cats/train/1.jpg", "test dogs dogs/test/1.jpg", "train dogs dogs/train/1.jpg"]
    );
    assert_eq!(data.notes[0], "splits: test in each class folder is test, train in each class folder is train");
}

#[test]
fn what_only_looks_like_splits_is_refused_until_the_user_says_what_it_is() {
    for (files, suggestion) in [
        (
            &["flowers_train/a/1.jpg", "flowers_train/b/1.jpg", "flowers_test/a/1.jpg", "flowers_test/b/1.jpg"][..],
            "option `splits=test=flowers_test,train=flowers_train`",
        ),
        (&["train/steam/1.jpg", "bus/1.jpg", "car/1.jpg"], "option `splits=train=train`"),
        (&["cats_train/1.jpg", "cats_test/1.jpg"], "option `splits=test=cats_test,train=cats_train`"),
    ] {
        let text = problem(list(folder(files).path()));
        assert!(text.contains(suggestion) && text.contains("option `splits=none`"), "{text}");
    }
    let dir = folder(&["first/a/1.jpg", "second/b/1.jpg", "2024/a/1.jpg", "2024/b/1.jpg", "other/a/1.jpg"]);
    let data = with_splits(dir.path(), "train=first,train=second,test=2024").unwrap();
    assert_eq!(lines(&data), ["test a 2024/a/1.jpg", "test b 2024/b/1.jpg", "train a first/a/1.jpg", "train b second/b/1.jpg"]);
    assert_eq!(data.warnings, ["passed over 1 image beside the splits: 1 in other"]);
    assert!(
        problem(with_splits(dir.path(), "train=frist"))
            .contains("no folder `frist` with images in it, which option `splits` names\n  help: did you mean `first`?")
    );
    let data = with_splits(folder(&["train/steam/1.jpg", "bus/1.jpg", "car/1.jpg"]).path(), "none").unwrap();
    assert_eq!((data.classes.join(" "), data.own_splits), ("bus car train".into(), false));
}

#[test]
fn a_class_called_like_a_split_among_others_is_a_class() {
    for (files, classes) in [
        (&["train/1.jpg", "bus/1.jpg", "car/1.jpg"][..], "bus car train"),
        (&["train_station/1.jpg", "test_tube/1.jpg", "dog/1.jpg"], "dog test_tube train_station"),
        (&["bullet train/a/1.jpg", "dog/a/1.jpg"], "bullet train dog"),
    ] {
        let data = list(folder(files).path()).unwrap();
        assert_eq!((data.classes.join(" ").as_str(), data.own_splits), (classes, false));
    }
}

#[test]
fn folders_of_the_same_names_in_every_class_are_named() {
    let data = list(folder(&["2023/cats/1.jpg", "2023/dogs/1.jpg", "2024/cats/1.jpg", "2024/dogs/1.jpg"]).path()).unwrap();
    assert!(
        data.warnings[0].contains("2023, 2024 holds folders of the same names: cats, dogs. Are those the classes?"),
        "{:?}",
        data.warnings
    );
    let text = problem(list(folder(&["photos/cats/1.jpg", "photos/dogs/1.jpg"]).path()));
    assert!(text.contains("single class, `photos`") && text.contains("give option `data=DIR/photos`"), "{text}");
}

#[test]
fn raw_files_thumbnails_and_bins_are_passed_over_and_counted() {
    let dir = folder(&[
        "cats/1.jpg",
        "cats/1.NEF",
        "cats/2.dng",
        "cats/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "cats/@eaDir/1.jpg/SYNOPHOTO_THUMB_S.jpg",
        "dogs/1.jpg",
        "dogs/.thumbnails/1.png",
        "__MACOSX/cats/._1.jpg",
        "#recycle/dogs/2.jpg",
        "$RECYCLE.BIN/3.jpg",
        ".Trash-1000/files/4.jpg",
        "dogs/SYNOPHOTO_THUMB_XL.jpg",
        "dogs/Thumbs.db",
    ]);
    let data = list(dir.path()).unwrap();
    assert_eq!(lines(&data), ["- cats cats/1.jpg", "- dogs dogs/1.jpg"]);
    assert_eq!(
        data.warnings,
        [
            "passed over 2 camera RAW files, which are not read: 1 .dng, 1 .nef (develop them to JPEG or TIFF with the camera's program, darktable or `magick mogrify \
             -format jpg FILE…`)",
            "passed over 7 images in hidden and system folders: 1 in #recycle, 1 in $RECYCLE.BIN, 1 in .Trash-1000, 1 in .thumbnails, 2 in @eaDir and 1 more",
            "passed over 1 hidden image file: SYNOPHOTO_THUMB_XL.jpg"
        ]
    );
}

#[test]
fn images_of_kinds_that_are_not_read_are_named_with_the_way_out() {
    let text = problem(list(folder(&["cats/1.HEIC", "cats/2.heic", "dogs/1.avif"]).path()));
    assert!(text.contains("holds no images that can be read, only 1 .avif, 2 .heic") && text.contains("help: convert them"), "{text}");
    let text = problem(list(folder(&["cats/1.NEF", "dogs/1.nef"]).path()));
    assert!(text.contains("only 2 .nef") && text.contains("help: develop them"), "{text}");
    let data = list(folder(&["cats/1.jpg", "dogs/1.jpg", "dogs/2.jxl"]).path()).unwrap();
    assert!(data.warnings[0].starts_with("passed over 1 image of a kind that is not read: 1 .jxl (convert"), "{:?}", data.warnings);
}
