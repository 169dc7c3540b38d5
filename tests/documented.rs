//! The pages say what there is: settings of a sweep file, kinds of heads, networks.

use std::path::Path;

use headstart::internals::heads::{HeadKind, KEYS};

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

#[test]
fn every_setting_is_on_its_page() {
    let page = page("sweep-file.md");
    // The first cells of the tables: a page that mentions a setting in passing does not explain it.
    let cells: String = page.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next()).collect();
    let missing: Vec<&str> = KEYS.iter().map(|key| key.name).filter(|name| !cells.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/sweep-file.md has no row of {missing:?}");
}

#[test]
fn every_kind_of_head_is_on_its_page() {
    let page = page("sweep-file.md");
    let row = page.lines().find(|line| line.starts_with("| `head` |")).unwrap();
    let missing: Vec<&&str> = HeadKind::CHOICES.iter().filter(|word| !row.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/sweep-file.md does not name {missing:?} as heads");
}
