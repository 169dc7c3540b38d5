//! Features that are no finite numbers. They are looked for only where a head came out that is none either, since that takes a pass over the cache.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::heads::in_parts;
use crate::store::{Cache, Status};
use crate::sweep::search::plan::Trial;
use crate::sweep::sources::source::Source;
use crate::{Error, Result};

/// Source, tap and view.
type Table = (usize, usize, usize);

/// Tables in which every feature was found to be a finite number.
#[derive(Default)]
pub(crate) struct Sound(Mutex<HashSet<Table>>);

impl Sound {
    /// Looks through all features that a trial is trained or judged on.
    ///
    /// # Errors
    /// The first one that is no finite number: where it is, and the way out.
    pub(crate) fn check(&self, trial: &Trial, sources: &[Source]) -> Result<()> {
        // Held meanwhile, so that trials which diverge side by side look once. One thread reads: work that others could steal would wait for it.
        let mut sound = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let views = 0..trial.spec.params().views;
        for table in trial.inputs.iter().flat_map(|&(s, t)| views.clone().map(move |view| (s, t, view))) {
            if !sound.contains(&table) {
                check(table, sources)?;
                sound.insert(table);
            }
        }
        Ok(())
    }
}

fn check((s, t, view): Table, sources: &[Source]) -> Result<()> {
    let source = &sources[s];
    let tap = &source.taps[t];
    let table = if view == 0 { &tap.features } else { &tap.views[view - 1] };
    let mut values = vec![0.0; table.dim()];
    let mut unusable = |row: usize| {
        table.read(row, 0..values.len(), &mut values);
        values.iter().copied().find(|value| !value.is_finite()).map(|value| (row, value))
    };
    let rows: Vec<usize> = (0..table.rows()).collect();
    in_parts(&**table, &rows)
        .flatten()
        .copied()
        .find_map(&mut unusable)
        .map_or(Ok(()), |(row, value)| Err(mistake(source, &tap.name, view, (row, value))))
}

/// What is wrong with a value of a source's row, and the way out.
fn mistake(source: &Source, tap: &str, view: usize, (row, value): (usize, f32)) -> Error {
    let of_view = if view == 0 { String::new() } else { format!(" in view {view}") };
    let (number, shard) = in_cache(source, tap, view, row).unwrap_or((row as u64, None));
    let problem =
        format!("tap `{tap}` has the value {value} in row {number}, {}{of_view}: no head can be trained on that", source.paths[row]);
    let hint = match shard {
        Some(file) => format!("delete {file} there and run `headstart features` again as before: it computes that shard anew"),
        None => "give features that are finite numbers".into(),
    };
    let place = if source.folder.is_empty() { &source.name } else { &source.folder };
    Error::cache(place, problem, hint)
}

/// The number that a row has in its cache, and its shard's file. A source numbers the usable ones alone.
fn in_cache(source: &Source, tap: &str, view: usize, row: usize) -> Option<(u64, Option<String>)> {
    let cache = Cache::open(Path::new(&source.folder)).ok().filter(|_| source.key.is_some())?;
    let number = cache.rows().iter().filter(|r| r.status == Status::Ok).nth(row)?.row;
    let shard = cache.manifest().shards_of(tap, view as u32).find(|shard| shard.rows.contains(number));
    Some((number, shard.map(|shard| shard.file.clone())))
}
