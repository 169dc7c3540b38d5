//! What the targets share. Readers take paths, so each input becomes a file; `TMPDIR=/dev/shm` keeps it in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Once};

use headstart::store::Manifest;
use headstart::weights::{self, TensorSource};

/// `manifest.json` of a small sound cache.
pub const MANIFEST: &[u8] = include_bytes!("../seeds/manifest/photos.json");
/// Its `rows.csv`.
pub const ROWS: &[u8] = include_bytes!("../seeds/rows/photos.csv");
/// Its one shard.
pub const SHARD: &[u8] = include_bytes!("../seeds/safetensors/shard.safetensors");

static SCRATCH: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

/// A file of this process with these bytes.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    stay_on_one_thread();
    let path = SCRATCH.path().join(name);
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

/// Other threads would cost more than they do on inputs so small.
fn stay_on_one_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().expect("the first pool"));
}

/// Opens a weights file and reads every tensor.
pub fn read_weights(name: &str, bytes: &[u8]) {
    if let Ok(source) = weights::open(file(name, bytes)) {
        read_tensors(source.as_ref());
    }
}

fn read_tensors(source: &dyn TensorSource) {
    for entry in source.entries() {
        if let Ok(tensor) = source.read(&entry.name) {
            assert_eq!(tensor.data.len(), tensor.shape.iter().product::<usize>());
        }
    }
}

/// A cache in `name` made of these three files; `manifest` is left out where it is `None`.
pub fn cache(name: &str, manifest: Option<&[u8]>, rows: &[u8], shard: &[u8]) -> PathBuf {
    let seed = seed_manifest();
    file(&format!("{name}/{}", seed.shards[0].file), shard);
    let folder = file(&format!("{name}/rows.csv"), rows);
    let folder = folder.parent().expect("a file lies in a folder").to_path_buf();
    match manifest {
        Some(bytes) => drop(file(&format!("{name}/manifest.json"), bytes)),
        None => fs::remove_file(folder.join("manifest.json")).unwrap_or_default(),
    }
    folder
}

/// The seed's manifest.
pub fn seed_manifest() -> Manifest {
    static SEED: LazyLock<Manifest> = LazyLock::new(|| serde_json::from_slice(MANIFEST).expect("the seed is sound"));
    SEED.clone()
}

/// Everything that only reads a cache.
pub fn read_cache(folder: &Path) {
    let _ = headstart::store::inspect(folder);
    let Ok(cache) = headstart::store::Cache::open(folder) else { return };
    for tap in cache.manifest().taps.keys() {
        for view in cache.manifest().views(tap) {
            let _ = cache.table(tap, view, None);
        }
    }
    let _ = headstart::store::verify(folder);
}
