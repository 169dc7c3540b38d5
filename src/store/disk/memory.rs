//! Shards that are kept in memory, for features that are not to be kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::objects::Objects;
use super::shard::Shard;
use crate::{Error, Result};

/// Objects in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Features of one tap and view from all shards put here: row numbers, ascending, and `[rows,
    /// dim]` values.
    ///
    /// # Errors
    /// An object that is not a shard.
    pub(crate) fn features(&self, tap: &str, view: u32) -> Result<(Vec<u64>, Vec<f32>)> {
        let objects = self.objects();
        let mut shards = vec![];
        for (name, bytes) in objects.iter() {
            let shard = Shard::parse(bytes.as_slice()).map_err(|problem| Error::internal(format!("{name}: {problem}")))?;
            if shard.head.tap == tap && shard.head.view == view {
                shards.push(shard);
            }
        }
        shards.sort_unstable_by_key(|s| s.rows.first().copied());
        let mut values = vec![0.0; shards.iter().map(|s| s.rows.len() * s.dim()).sum()];
        let mut left = values.as_mut_slice();
        for shard in &shards {
            for row in 0..shard.rows.len() {
                let (out, rest) = left.split_at_mut(shard.dim());
                shard.dtype.decode(shard.row_bytes(row), out);
                left = rest;
            }
        }
        Ok((shards.iter().flat_map(|s| s.rows.iter().copied()).collect(), values))
    }
}

impl Objects for Memory {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return Ok(false);
        }
        objects.insert(name.into(), bytes.into());
        Ok(true)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.objects().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.objects().remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::shard::{Head, encode};
    use crate::store::{Dtype, FORMAT};

    fn shard(rows: &[u64], values: &[f32]) -> Vec<u8> {
        let head = Head {
            format: FORMAT,
            key: "k".into(),
            tap: "gap".into(),
            view: 0,
            together: vec![("gap".into(), 0)],
            failed: vec![],
            crc32c: None,
        };
        let mut features = vec![];
        Dtype::F16.encode(values, &mut features).unwrap();
        encode(&head, rows, &[2], Dtype::F16, &features).unwrap()
    }

    #[test]
    fn shards_come_back_as_one_table_in_the_order_of_their_rows() {
        let memory = Memory::default();
        // As names are sorted the later rows come first.
        assert!(memory.put_if_absent("a", &shard(&[7, 9], &[5.0, 6.0, 7.0, 8.0])).unwrap());
        assert!(memory.put_if_absent("b", &shard(&[0, 3], &[1.0, 2.0, 3.0, 4.0])).unwrap());
        assert!(!memory.clone().put_if_absent("b", b"other").unwrap(), "clones share what is there");
        assert_eq!(memory.features("gap", 0).unwrap(), (vec![0, 3, 7, 9], (1..9).map(|v| v as f32).collect()));
        assert_eq!(memory.features("map", 0).unwrap(), (vec![], vec![]));
        assert_eq!(memory.list("").unwrap(), ["a", "b"]);
        memory.remove("a").unwrap();
        memory.put_if_absent("c", b"no shard").unwrap();
        assert!(memory.features("gap", 0).is_err());
    }
}
