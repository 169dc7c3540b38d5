//! The table of docs/architecture.md: places, and the arrows that are allowed between them.

use std::collections::{BTreeMap, BTreeSet};

/// Rooms by name: a place below `src/` without its ending.
pub(crate) struct Table {
    rooms: BTreeMap<String, Row>,
}

struct Row {
    /// Whether all rooms that are not foundations themselves may use it.
    foundation: bool,
    /// Whether it may use all others.
    all: bool,
    depends_on: BTreeSet<String>,
}

impl Table {
    /// Reads all tables of a page whose last column is "depends on" and whose first is "foundation" or "place".
    pub(crate) fn parse(page: &str) -> Result<Table, Vec<String>> {
        let mut rooms = BTreeMap::new();
        let mut foundation = None;
        for line in page.lines() {
            let cells: Vec<&str> = line.trim().split('|').map(str::trim).collect();
            match cells[..] {
                ["", kind @ ("foundation" | "place"), .., "depends on", ""] => foundation = Some(kind == "foundation"),
                ["", places, .., depends_on, ""] if !places.starts_with("---") => {
                    let Some(foundation) = foundation else { continue };
                    let words = || depends_on.split(',').map(|word| word.trim().trim_matches('`').to_owned()).filter(|word| word != "–");
                    for place in places.split(',') {
                        let name = place.trim().trim_matches('`').trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches('/');
                        rooms.insert(
                            name.to_owned(),
                            Row { foundation, all: depends_on == "all", depends_on: words().filter(|word| word != "all").collect() },
                        );
                    }
                }
                ["", ..] => {}
                _ => foundation = None,
            }
        }
        if rooms.is_empty() {
            return Err(vec!["the page has no table of places".to_owned()]);
        }
        let unknown = rooms
            .iter()
            .flat_map(|(room, row): (&String, &Row)| row.depends_on.iter().map(move |on| (room, on)))
            .filter(|(_, on)| !rooms.contains_key(*on));
        let faults: Vec<String> =
            unknown.map(|(room, on)| format!("`{room}` depends on `{on}`, which is not a place of the table")).collect();
        if faults.is_empty() { Ok(Table { rooms }) } else { Err(faults) }
    }

    /// The names of all rooms.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.keys().map(String::as_str)
    }

    /// The innermost room that a file is in.
    pub(crate) fn room_of(&self, file: &str) -> Option<&str> {
        let path = file.trim_end_matches(".rs");
        let holds = |room: &&str| path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.rooms().filter(holds).max_by_key(|room| room.len())
    }

    /// Whether files of one room may use files of another one.
    pub(crate) fn allows(&self, from: &str, to: &str) -> bool {
        let row = &self.rooms[from];
        row.all || row.depends_on.contains(to) || (self.rooms[to].foundation && !row.foundation)
    }

    /// The arrows that stand in the table by name.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rooms.iter().flat_map(|(room, row)| row.depends_on.iter().map(move |on| (room.as_str(), on.as_str())))
    }
}
