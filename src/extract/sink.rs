//! The end of the pipeline, on a thread of its own: encodes features, and commits a group as soon
//! as it is whole.

use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use super::flow::{Event, Finished, Stored};
use super::pass::Pass;
use crate::store::{Dtype, Group, NewShard, Unstorable, Writer};
use crate::text::visible;
use crate::{Error, Result};

/// Takes batches in order until there are no more. A group whose last batch never comes is not
/// committed. Returns the rows that were.
///
/// # Errors
/// A value that cannot be stored; the store's own.
pub(super) fn store(pass: &Pass, writer: &mut Writer, batches: &Receiver<Finished>, events: &Sender<Event>) -> Result<Stored> {
    let dtype = writer.manifest().key.store;
    let mut stored = Stored::default();
    let mut group = empty(pass);
    for batch in batches {
        let start = Instant::now();
        add(&mut group, pass, &batch, dtype)?;
        let mut count = 0;
        if batch.last {
            let whole = std::mem::replace(&mut group, empty(pass));
            let rows = whole.shards[0].rows.clone();
            count = rows.len() + whole.failed.len() + whole.gone.len() + whole.unreadable.len();
            writer.commit(whole)?;
            stored.rows.extend(rows);
        }
        let seconds = start.elapsed().as_secs_f64();
        stored.seconds += seconds;
        // The receiver is gone after the last batch, or where another phase failed.
        let _ = events.send(Event::Stored { images: count, seconds });
    }
    Ok(stored)
}

fn empty(pass: &Pass) -> Group {
    let shard = |view: &u32| {
        let view = *view;
        pass.taps.iter().map(move |tap| NewShard { tap: tap.name.clone(), view, shape: tap.shape.clone(), rows: vec![], features: vec![] })
    };
    Group { shards: pass.views.iter().flat_map(shard).collect(), ..Group::default() }
}

fn add(group: &mut Group, pass: &Pass, batch: &Finished, dtype: Dtype) -> Result<()> {
    for (shard, values) in group.shards.iter_mut().zip(batch.outputs.iter().flatten()) {
        dtype.encode(values, &mut shard.features).map_err(|e| {
            let dim = values.len() / batch.rows.len().max(1);
            unstorable(&shard.tap, &batch.rows[e.at / dim.max(1)].1, e, dtype)
        })?;
        shard.rows.extend(batch.rows.iter().map(|(row, _)| *row));
    }
    debug_assert_eq!(group.shards.len(), pass.taps.len() * pass.views.len());
    group.failed.extend(batch.failed.iter().cloned());
    group.gone.extend(&batch.gone);
    group.unreadable.extend(batch.unreadable.iter().cloned());
    group.corrected.extend(&batch.corrected);
    Ok(())
}

fn unstorable(tap: &str, path: &str, Unstorable { value, .. }: Unstorable, dtype: Dtype) -> Error {
    let problem = format!("{}: tap `{tap}` has the value {value}, which {dtype} cannot hold", visible(path));
    if value.is_finite() {
        return Error::setting(problem, "store features as f32, or with option `store=bf16`");
    }
    Error::setting(problem, "the network itself gave it: are these the weights of this backbone, and is it their preprocess?")
}
