//! PyTorch's `.pth` files: the zip of 1.6 and later, and the format before it. No code in them is
//! run.

use std::collections::HashMap;
use std::ops::Range;

use super::archive::Archive;
use super::element::Element;
use super::file::{Place, Problem, Stored, Tensors};
use super::pickle::{Object, Pickle, Storage, Value};

/// Finds the tensors of a zip: `NAME/data.pkl` describes them, `NAME/data/KEY` holds a storage
/// each, uncompressed.
pub(super) fn index_zip(archive: &Archive<'_>, data_pkl: &str) -> Result<Tensors, Problem> {
    let root = data_pkl.strip_suffix("data.pkl").unwrap_or_default();
    if archive.contains(&format!("{root}constants.pkl")) {
        let hint = "in Python: torch.save(torch.jit.load(FILE).state_dict(), \"weights.pth\")";
        return Err(Problem::new("a TorchScript program, not a plain state dict", hint));
    }
    let byte_order = format!("{root}byteorder");
    if archive.contains(&byte_order) && archive.stored(&byte_order)?.1 != b"little" {
        return Err(big_endian());
    }
    let pickle = Pickle::load(archive.stored(data_pkl)?.1)?;
    collect(&pickle, |storage| archive.stored(&format!("{root}data/{}", storage.key)).map(|(range, _)| range))
}

/// Pickles at the start of a legacy file: magic number, protocol, the system's sizes; then the
/// state dict and the keys of its storages.
pub(super) fn index_legacy(bytes: &[u8]) -> Result<Tensors, Problem> {
    let mut at = 0;
    let mut next = || -> Result<Pickle, Problem> {
        let pickle = Pickle::load(&bytes[at..])?;
        at += pickle.length;
        Ok(pickle)
    };
    let (_magic, _protocol, system, state, keys) = (next()?, next()?, next()?, next()?, next()?);
    let little = system.dict(&system.root).is_some_and(|items| get(items, "little_endian") == Some(&Value::Bool(true)));
    if !little {
        return Err(big_endian());
    }
    let storages = legacy_storages(bytes, at, &keys, &elements(&state))?;
    collect(&state, |storage| {
        storages.get(&*storage.key).cloned().ok_or_else(|| Problem::damaged(format!("storage {} is not in it", storage.key)))
    })
}

fn big_endian() -> Problem {
    Problem::new(
        "its numbers are big-endian",
        "load it in Python on any machine and save it again on a little-endian one, such as every PC",
    )
}

/// Element type of each storage by key. The legacy list of storages gives lengths in elements only.
fn elements(state: &Pickle) -> HashMap<&str, Element> {
    let storages = state.objects.iter().filter_map(|object| match object {
        Object::Storage(storage) => Some((&*storage.key, storage.element)),
        _ => None,
    });
    storages.collect()
}

/// Byte ranges of the storages: one behind the other in the order of `keys`, each preceded by its
/// length.
fn legacy_storages(
    bytes: &[u8],
    start: usize,
    keys: &Pickle,
    elements: &HashMap<&str, Element>,
) -> Result<HashMap<String, Range<usize>>, Problem> {
    let Some(Object::List(list)) = keys.object(&keys.root) else {
        return Err(Problem::damaged("the list of storages is missing"));
    };
    let mut at = start;
    let mut storages = HashMap::new();
    for key in list {
        let Value::Text(key) = key else { return Err(Problem::damaged("a storage's key is not a text")) };
        let ends_early = || Problem::damaged(format!("it ends inside storage {key}, byte {at} of {}", bytes.len()));
        let length = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u64::from_le_bytes(*b)).ok_or_else(ends_early)?;
        let element = elements.get(&**key).ok_or_else(|| Problem::damaged(format!("storage {key} belongs to no tensor")))?;
        let size = usize::try_from(length).ok().and_then(|n| n.checked_mul(element.size())).ok_or_else(ends_early)?;
        let end = (at + 8).checked_add(size).filter(|&end| end <= bytes.len()).ok_or_else(ends_early)?;
        storages.insert(key.to_string(), at + 8..end);
        at = end;
    }
    Ok(storages)
}

/// The tensors of the state dict in a pickle, their storages placed by `locate`.
fn collect(pickle: &Pickle, locate: impl Fn(&Storage) -> Result<Range<usize>, Problem>) -> Result<Tensors, Problem> {
    let items = state_dict(pickle, &pickle.root, 0).ok_or_else(|| {
        let hint = "save a state dict: torch.save(model.state_dict(), \"weights.pth\")";
        Problem::new("it holds no dict of named tensors", hint)
    })?;
    let mut tensors = Tensors::new();
    for (key, value) in items {
        let (Value::Text(name), Some(Object::Tensor(tensor))) = (key, pickle.object(value)) else { continue };
        let storage = locate(&tensor.storage)?;
        if storage.len() / tensor.storage.element.size() < tensor.storage.length {
            let what = format!("the storage of `{name}` has {} bytes, {} elements are needed", storage.len(), tensor.storage.length);
            return Err(Problem::damaged(what));
        }
        let place = Place::Strided { element: tensor.storage.element, storage, layout: tensor.layout.clone() };
        tensors.insert(name.to_string(), Stored { shape: tensor.layout.shape.clone(), place });
    }
    Ok(tensors)
}

/// The dict that holds tensors: this one, or one under the keys that training scripts use.
fn state_dict<'a>(pickle: &'a Pickle, value: &Value, depth: usize) -> Option<&'a [(Value, Value)]> {
    const KEYS: [&str; 6] = ["state_dict", "model_state_dict", "model", "module", "net", "weights"];
    let items = pickle.dict(value)?;
    if items.iter().any(|(_, v)| matches!(pickle.object(v), Some(Object::Tensor(_)))) {
        return Some(items);
    }
    // A dict may hold itself: three levels are enough for every script seen.
    KEYS.iter().filter(|_| depth < 3).find_map(|key| state_dict(pickle, get(items, key)?, depth + 1))
}

fn get<'a>(items: &'a [(Value, Value)], key: &str) -> Option<&'a Value> {
    items.iter().rev().find(|(k, _)| matches!(k, Value::Text(text) if &**text == key)).map(|(_, value)| value)
}
