//! The modules of the crate, and which file names what of which other file.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::Sources;
use crate::scan::{Scan, scan};

/// Re-exports of re-exports are followed this far.
const DEPTH: usize = 16;

/// A module's path from the crate's root.
type ModulePath = Vec<String>;

/// The crate.
pub(crate) struct Tree {
    files: Vec<(ModulePath, String)>,
    edges: BTreeMap<(String, String), String>,
}

/// Modules, each with its files (several where `cfg` chooses), and what they import under which name.
#[derive(Default)]
struct Names {
    modules: HashMap<ModulePath, Vec<String>>,
    imports: HashMap<ModulePath, HashMap<String, Vec<String>>>,
}

impl Tree {
    /// Follows `mod` from `lib.rs`, and from `main.rs` if there is one.
    pub(crate) fn new(sources: &Sources) -> Result<Tree, Vec<String>> {
        let (mut names, mut scans, mut tests) = (Names::default(), Vec::new(), HashSet::new());
        // A file that `#[path]` chooses is the part of its parent that differs from platform to platform: both count as one.
        let mut whole = HashMap::new();
        let mut queue = vec![(Vec::new(), "lib.rs".to_owned())];
        if sources.contains_key("main.rs") {
            queue.push((vec!["main".to_owned()], "main.rs".to_owned()));
        }
        let mut faults = Vec::new();
        while let Some((path, file)) = queue.pop() {
            let Some(text) = sources.get(&file) else {
                faults.push(format!("src/{file} is declared and not there"));
                continue;
            };
            let scan = scan(text);
            for module in &scan.modules {
                let at: ModulePath = path.iter().chain(&module.scope).chain([&module.name]).cloned().collect();
                let child = file_of(sources, &file, &at, module.file.as_deref());
                if module.file.is_some() {
                    whole.insert(child.clone(), file.clone());
                }
                if module.test {
                    tests.insert(child);
                } else {
                    queue.push((at, child));
                }
            }
            for import in &scan.imports {
                let scope = [&path[..], &import.scope].concat();
                names.modules.entry(scope.clone()).or_default();
                if let Some(name) = &import.name {
                    names.imports.entry(scope).or_default().insert(name.clone(), import.path.clone());
                }
            }
            names.modules.entry(path.clone()).or_default().push(whole.get(&file).unwrap_or(&file).clone());
            scans.push((path, file, scan));
        }
        let reached: HashSet<&str> = scans.iter().map(|(_, file, _)| file.as_str()).collect();
        let of_a_test = |file: &str| tests.iter().any(|test| file == test || file.starts_with(&folder_of(test)));
        let orphans = sources.keys().filter(|file| !reached.contains(file.as_str()) && !of_a_test(file));
        faults.extend(orphans.map(|file| format!("src/{file} belongs to no module")));
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut edges = BTreeMap::new();
        for (path, file, scan) in &scans {
            names.edges_of(path, whole.get(file).unwrap_or(file), scan, &mut edges);
        }
        Ok(Tree { files: scans.into_iter().map(|(path, file, _)| (path, file)).collect(), edges })
    }

    /// All files but those of tests.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(_, file)| file.as_str())
    }

    /// Which file uses which other one, and by which path.
    pub(crate) fn edges(&self) -> impl Iterator<Item = ((&str, &str), &str)> {
        self.edges.iter().map(|((from, to), path)| ((from.as_str(), to.as_str()), path.as_str()))
    }
}

/// The folder of a module's children: `a/` of `a.rs` and of `a/mod.rs`.
fn folder_of(file: &str) -> String {
    match file.strip_suffix("mod.rs") {
        Some(folder) => folder.to_owned(),
        None => format!("{}/", file.trim_end_matches(".rs")),
    }
}

/// The file of a module that another file declares.
fn file_of(sources: &Sources, parent: &str, module: &[String], path: Option<&str>) -> String {
    if let Some(path) = path {
        let folder = parent.rfind('/').map_or("", |end| &parent[..=end]);
        return format!("{folder}{path}");
    }
    let below_main = if module.first().is_some_and(|first| first == "main") { &module[1..] } else { module };
    let base = below_main.join("/");
    let flat = format!("{base}.rs");
    if sources.contains_key(&flat) { flat } else { format!("{base}/mod.rs") }
}

impl Names {
    /// The files that a file uses.
    fn edges_of(&self, module: &[String], file: &str, scan: &Scan, edges: &mut BTreeMap<(String, String), String>) {
        let mut uses = |scope: &[String], path: &[String], public: bool| {
            let Some(target) = self.resolve(&[module, scope].concat(), path, DEPTH) else { return };
            // What a module re-exports of its own parts it does not use.
            if public && target.starts_with(module) {
                return;
            }
            for to in self.files_of(&target).filter(|to| *to != file) {
                edges.entry((file.to_owned(), to.to_owned())).or_insert_with(|| path.join("::"));
            }
        };
        scan.imports.iter().for_each(|import| uses(&import.scope, &import.path, import.public));
        scan.paths.iter().for_each(|(scope, path)| uses(scope, path, false));
    }

    /// The files of a module; of one that stands inline in another one's file, that file.
    fn files_of(&self, module: &[String]) -> impl Iterator<Item = &str> {
        let holding = (0..=module.len()).rev().find_map(|n| self.modules.get(&module[..n]).filter(|files| !files.is_empty()));
        holding.into_iter().flatten().map(String::as_str)
    }

    /// The module that defines what a path names, as seen from another module; none if it is of another crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let depth = depth.checked_sub(1)?;
        let supers = path.iter().take_while(|word| *word == "super").count();
        let (mut module, rest) = match path.first()?.as_str() {
            // The binary is a crate of its own.
            "crate" if from.first().is_some_and(|first| first == "main") => (vec!["main".to_owned()], &path[1..]),
            "crate" | "headstart" => (Vec::new(), &path[1..]),
            "self" => (from.to_vec(), &path[1..]),
            "super" => (from[..from.len().checked_sub(supers)?].to_vec(), &path[supers..]),
            first if self.modules.contains_key(&[from, &[first.to_owned()]].concat()) => (from.to_vec(), path),
            first => (self.follow(from, first, depth)?, &path[1..]),
        };
        for word in rest {
            let child = [&module[..], std::slice::from_ref(word)].concat();
            module = if self.modules.contains_key(&child) {
                child
            } else if let Some(target) = self.follow(&module, word, depth) {
                target
            } else {
                break;
            };
        }
        Some(module)
    }

    /// The module that defines a name which another module imports.
    fn follow(&self, module: &[String], name: &str, depth: usize) -> Option<ModulePath> {
        self.resolve(module, self.imports.get(module)?.get(name)?, depth)
    }
}
