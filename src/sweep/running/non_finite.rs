//! Features that are not finite numbers. They are searched for only where a head came out that is
//! not finite either, since the search takes a pass over the cache.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::heads::in_parts;
use crate::steps::EXTRACT_AGAIN;
use crate::store::{Cache, Status};
use crate::sweep::search::trial::{Input, Trial};
use crate::sweep::sources::source::Source;
use crate::{Error, Result};

/// A view of a tap.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Table {
    input: Input,
    view: usize,
}

/// Tables in which every feature was found to be a finite number.
#[derive(Default)]
pub(super) struct FiniteTables(Mutex<HashSet<Table>>);

impl FiniteTables {
    /// Searches all features that a trial is trained or judged on.
    ///
    /// # Errors
    /// The first one that is not a finite number: its place, and the way out.
    pub(super) fn check(&self, trial: &Trial, sources: &[Source]) -> Result<()> {
        // Held meanwhile, so that trials which diverge side by side search once. One thread reads:
        // work that others could steal would wait for it.
        let mut finite = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let views = 0..trial.spec.params().views;
        for table in trial.inputs.iter().flat_map(|&input| views.clone().map(move |view| Table { input, view })) {
            if !finite.contains(&table) {
                check(table, sources)?;
                finite.insert(table);
            }
        }
        Ok(())
    }
}

/// A value that is not a finite number, and its row in a source.
struct NonFinite {
    row: usize,
    value: f32,
}

fn check(Table { input, view }: Table, sources: &[Source]) -> Result<()> {
    let source = &sources[input.source];
    let tap = &source.taps[input.tap];
    let table = if view == 0 { &tap.features } else { &tap.views[view - 1] };
    let mut values = vec![0.0; table.dim()];
    let mut non_finite = |row: usize| {
        table.read(row, 0..values.len(), &mut values);
        values.iter().copied().find(|value| !value.is_finite()).map(|value| NonFinite { row, value })
    };
    let rows: Vec<usize> = (0..table.rows()).collect();
    in_parts(&**table, &rows)
        .flatten()
        .copied()
        .find_map(&mut non_finite)
        .map_or(Ok(()), |found| Err(refused(source, &tap.name, view, &found)))
}

fn refused(source: &Source, tap: &str, view: usize, &NonFinite { row, value }: &NonFinite) -> Error {
    let of_view = if view == 0 { String::new() } else { format!(" in view {view}") };
    let Place { row: number, shard } = place(source, tap, view, row).unwrap_or(Place { row: row as u64, shard: None });
    let problem =
        format!("tap `{tap}` has the value {value} in row {number}, {}{of_view}: no head can be trained on that", source.paths[row]);
    let hint = match shard {
        Some(file) => format!("delete {file} there and {EXTRACT_AGAIN} as before: that shard is computed anew"),
        None => "give features that are finite numbers".into(),
    };
    let place = if source.folder.is_empty() { &source.name } else { &source.folder };
    Error::cache(place, problem, hint)
}

/// The place of a row in its cache.
struct Place {
    /// Its number: a source numbers usable rows alone.
    row: u64,
    /// The file of its shard.
    shard: Option<String>,
}

fn place(source: &Source, tap: &str, view: usize, row: usize) -> Option<Place> {
    let cache = Cache::open(Path::new(&source.folder)).ok().filter(|_| source.key.is_some())?;
    let number = cache.rows().iter().filter(|r| r.status == Status::Ok).nth(row)?.row;
    let shard = cache.manifest().shards_of(tap, view as u32).find(|shard| shard.rows.contains(number));
    Some(Place { row: number, shard: shard.map(|shard| shard.file.clone()) })
}
