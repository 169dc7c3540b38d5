//! The layers of `src/` are those of docs/architecture.md.
//!
//! Every `use` and every path of every file is resolved to the file that defines the name, re-exports included. Tests are left out. The table of
//! docs/architecture.md names the rooms and the arrows that are allowed between them; the test fails on any other arrow, on an arrow of the table
//! that no file needs, on a room that is missing on either side, and on any circle between rooms or between files.
//!
//! `cargo test --test layers -- --nocapture` prints the rooms and their arrows.

#[path = "layers/scan.rs"]
mod scan;
#[path = "layers/table.rs"]
mod table;
#[path = "layers/tree.rs"]
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use table::Table;
use tree::Tree;

/// Names of files below `src/`, each with its text.
type Sources = BTreeMap<String, String>;

/// Arrows between rooms.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_source_has_the_layers_of_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Sources::new();
    read(&root.join("src"), "", &mut sources);
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).expect("docs/architecture.md");
    match check(&sources, &page) {
        Ok(arrows) => arrows.iter().for_each(|(room, to)| println!("{room:12} -> {}", to.iter().cloned().collect::<Vec<_>>().join(", "))),
        Err(faults) => panic!("{} faults:\n{}", faults.len(), faults.join("\n")),
    }
}

/// All Rust files of a folder and of those below.
fn read(folder: &Path, name: &str, sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let name = format!("{name}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            read(&path, &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(name, std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// The arrows between rooms, or all faults.
fn check(sources: &Sources, page: &str) -> Result<Arrows, Vec<String>> {
    let table = Table::parse(page)?;
    let tree = Tree::new(sources)?;
    let mut faults = Vec::new();
    let files: Vec<&str> = tree.files().collect();

    let rooms: BTreeMap<&str, &str> = files.iter().filter_map(|file| Some((*file, table.room_of(file)?))).collect();
    let homeless = files.iter().filter(|file| !rooms.contains_key(**file));
    faults.extend(homeless.map(|file| format!("src/{file} is in no place of the table")));
    let inhabited: BTreeSet<&str> = rooms.values().copied().collect();
    let empty = table.rooms().filter(|room| !inhabited.contains(room));
    faults.extend(empty.map(|room| format!("the table names `{room}`, which holds no file")));

    let mut arrows = Arrows::new();
    for ((from, to), path) in tree.edges() {
        let (Some(a), Some(b)) = (rooms.get(from), rooms.get(to)) else { continue };
        if a == b {
            continue;
        }
        arrows.entry((*a).to_owned()).or_default().insert((*b).to_owned());
        if !table.allows(a, b) {
            faults.push(format!("src/{from}: `{path}` is an arrow {a} → {b}, which the table does not allow"));
        }
    }
    for (room, to) in table.listed() {
        if !arrows.get(room).is_some_and(|used| used.contains(to)) {
            faults.push(format!("the table allows {room} → {to}, which no file needs"));
        }
    }

    let between_files = tree.edges().map(|((from, to), _)| (from, to));
    faults.extend(circles(between_files).into_iter().map(|circle| format!("a circle of files: {}", circle.join(", "))));
    let between_rooms = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())));
    faults.extend(circles(between_rooms).into_iter().map(|circle| format!("a circle of rooms: {}", circle.join(", "))));
    if faults.is_empty() { Ok(arrows) } else { Err(faults) }
}

/// Sets of nodes that reach each other, of two nodes or more (Kosaraju's algorithm).
fn circles<'a>(edges: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let (mut forward, mut backward) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for (from, to) in edges {
        forward.entry(from).or_default().push(to);
        backward.entry(to).or_default().push(from);
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    forward.keys().for_each(|node| visit(node, &forward, &mut seen, &mut order));
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in order.into_iter().rev() {
        let mut circle = Vec::new();
        visit(node, &backward, &mut seen, &mut circle);
        if circle.len() > 1 {
            circle.sort_unstable();
            found.push(circle);
        }
    }
    found
}

/// Appends all nodes that are reached from `node` and not `seen` yet, each behind those that it leads to.
fn visit<'a>(node: &'a str, edges: &BTreeMap<&'a str, Vec<&'a str>>, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
    if seen.insert(node) {
        edges.get(node).into_iter().flatten().for_each(|to| visit(to, edges, seen, order));
        order.push(node);
    }
}

const PAGE: &str = "
| foundation | purpose | depends on |
|---|---|---|
| `src/error.rs` | errors | – |

| place | purpose | depends on |
|---|---|---|
| `src/low/` | below | – |
| `src/high/` | above | low |
| `src/lib.rs`, `src/main.rs` | the crate | all |
";

/// A crate of two rooms with nothing wrong.
fn sound() -> Sources {
    let files = [
        ("lib.rs", "mod error;\npub mod high;\npub mod low;\npub use error::Error;"),
        ("main.rs", "fn main() { headstart::high::run() }"),
        ("error.rs", "pub struct Error;"),
        ("low/mod.rs", "mod part;\npub use part::{One, Two as Other};\n"),
        ("low/part.rs", "use crate::Error;\npub struct One(Error);\npub struct Two;\n#[cfg(test)]\nmod tests { use crate::high::run; }"),
        (
            "high/mod.rs",
            "//! Not a path: crate::high::run\nuse crate::low::{self, One};\npub fn run() { low::Other; }\n#[cfg(test)]\nmod tests;",
        ),
        ("high/tests.rs", "use crate::nothing::at_all;"),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// What is said about a crate in which some files are others.
fn faults(changes: &[(&str, &str)], page: &str) -> Vec<String> {
    let mut sources = sound();
    sources.extend(changes.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    check(&sources, page).expect_err("a fault")
}

#[test]
fn a_sound_crate_has_the_arrows_of_its_table() {
    let arrows = check(&sound(), PAGE).expect("no fault");
    let to = |room: &str| arrows[room].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(to("high"), ["low"]);
    assert_eq!(to("low"), ["error"]);
    assert_eq!(to("main"), ["high"]);
}

#[test]
fn a_forbidden_arrow_is_found_in_every_spelling() {
    for text in [
        "use crate::high::run;",
        "use super::super::high;",
        "use crate::{error::Error, high::{run as other}};",
        "fn f() { crate::high::run() }",
        "macro_rules! m { () => { $crate::high::run() } }",
        "fn f() -> Vec<crate::high::T> {}",
        "fn f<'a>(c: &'a str) { if c == '\"' { crate::high::run() } }",
        "mod inner { use super::super::super::high::run; }",
    ] {
        let found = faults(&[("low/part.rs", &format!("use crate::Error;\npub struct One;\npub struct Two;\n{text}"))], PAGE);
        assert!(found[0].contains("an arrow low → high"), "{text}: {found:?}");
    }
}

#[test]
fn comments_strings_and_tests_hold_no_arrows() {
    let text = r##"use crate::Error;
        // crate::high::run /* crate::high::run
        /* crate::high /* nested */ crate::high::run */
        pub struct One; pub struct Two;
        const A: &str = "crate::high::run \" crate::high::run";
        const B: &str = r#"crate::high::run " crate::high::run"#;
        const C: char = '"'; const D: &str = "";
        #[cfg(test)] use crate::high::{run};
        #[cfg(all(test, unix))] fn t() -> [u8; 2] { crate::high::run() }
        #[cfg(test)] mod tests { use crate::high::run; }"##;
    let mut sources = sound();
    sources.insert("low/part.rs".to_owned(), text.to_owned());
    check(&sources, PAGE).expect("no fault");
}

#[test]
fn a_name_leads_to_the_file_that_defines_it() {
    // `high` names the alias `low::Other` alone: the arrow leads to part.rs, and closes a circle of files with it.
    let found = faults(&[("low/part.rs", "use crate::Error;\nuse crate::high;\npub struct One;\npub struct Two;")], PAGE);
    assert!(found.contains(&"a circle of files: high/mod.rs, low/part.rs".to_owned()), "{found:?}");
    assert!(found.contains(&"a circle of rooms: high, low".to_owned()), "{found:?}");
}

#[test]
fn a_circle_within_a_room_is_found() {
    let found = faults(
        &[
            ("low/mod.rs", "mod other;\nmod part;\npub use part::{One, Two as Other};"),
            ("low/other.rs", "use super::One;\npub struct Three;"),
            ("low/part.rs", "use crate::Error;\nuse super::other::Three;\npub struct One;\npub struct Two;"),
        ],
        PAGE,
    );
    assert_eq!(found, ["a circle of files: low/other.rs, low/part.rs"]);
    // Files that stand for a part of their parent on one platform count as the parent.
    let parts = [
        ("low/mod.rs", "mod part;\npub use part::{One, Two as Other};"),
        (
            "low/part.rs",
            "use crate::Error;\npub struct One(Error);\npub struct Two;\n#[path = \"part_x86.rs\"]\nmod sys;\nfn f() { sys::g() }",
        ),
        ("low/part_x86.rs", "use super::One;\npub fn g() { crate::high::run() }"),
    ];
    assert!(faults(&parts, PAGE).contains(&"a circle of files: high/mod.rs, low/part.rs".to_owned()));
    assert!(!faults(&parts, PAGE).iter().any(|fault| fault.contains("part_x86.rs, ") || fault.contains(", low/part_x86.rs")));
    // A room's own file and a file of it: the room may re-export what stands there, and no more.
    let found = faults(
        &[
            ("low/mod.rs", "mod part;\npub use part::{One, Two as Other};\npub struct Own(One);\nfn f() { part::g() }"),
            ("low/part.rs", "use crate::Error;\nuse super::Own;\npub struct One;\npub struct Two;"),
        ],
        PAGE,
    );
    assert_eq!(found, ["a circle of files: low/mod.rs, low/part.rs"]);
}

#[test]
fn a_table_that_is_not_true_is_found() {
    let missing = PAGE.replace("| `src/low/` | below | – |\n", "").replace("| above | low |", "| above | – |");
    assert!(faults(&[], &missing).iter().any(|fault| fault.contains("src/low/mod.rs is in no place")));
    let empty = PAGE.replace("| `src/low/` |", "| `src/gone/` | – | – |\n| `src/low/` |");
    assert_eq!(faults(&[], &empty), ["the table names `gone`, which holds no file"]);
    let unused = PAGE.replace("| below | – |", "| below | high |");
    assert_eq!(faults(&[], &unused), ["the table allows low → high, which no file needs"]);
    let unknown = PAGE.replace("| above | low |", "| above | low, attic |");
    assert_eq!(faults(&[], &unknown), ["`high` depends on `attic`, which is not a place of the table"]);
    assert_eq!(faults(&[], "no table"), ["the page has no table of places"]);
    assert_eq!(faults(&[("low/orphan.rs", "")], PAGE), ["src/low/orphan.rs belongs to no module"]);
}
