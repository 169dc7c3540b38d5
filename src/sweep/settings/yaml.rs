//! A YAML document as a tree that knows its lines, so that a mistake in it can be pointed at.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::{Error, Result};

/// A value and the line on which it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1; 0 where it is not known, as for a value that comes from no file.
    pub line: usize,
    /// The value.
    pub yaml: Yaml,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// Null, true, false, a number or a text.
    Scalar(Value),
    /// `[…]`, or `- …` line by line.
    List(Vec<Node>),
    /// `key: value`, in the order of the file.
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Line of the key.
    pub line: usize,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Parses a document.
    ///
    /// # Errors
    /// A mistake in the YAML itself, with its line.
    pub fn parse(text: &str, file: &Path) -> Result<Node> {
        serde_saphyr::from_str::<Spanned<Yaml>>(text).map(Node::from).map_err(|e| Error::Config {
            path: file.into(),
            line: e.location().map(|l| l.line() as usize),
            problem: "is not the YAML of a sweep file".into(),
            hint: e.without_snippet().to_string(),
        })
    }

    /// The value as JSON.
    pub fn to_json(&self) -> Value {
        match &self.yaml {
            Yaml::Scalar(value) => value.clone(),
            Yaml::List(items) => items.iter().map(Node::to_json).collect(),
            Yaml::Map(entries) => Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect()),
        }
    }

    /// The same value without lines.
    pub fn without_lines(&self) -> Node {
        let yaml = match &self.yaml {
            Yaml::Scalar(value) => Yaml::Scalar(value.clone()),
            Yaml::List(items) => Yaml::List(items.iter().map(Node::without_lines).collect()),
            Yaml::Map(entries) => {
                Yaml::Map(entries.iter().map(|e| Entry { line: 0, key: e.key.clone(), value: e.value.without_lines() }).collect())
            }
        };
        Node { line: 0, yaml }
    }

    /// The entries of a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.yaml {
            Yaml::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.yaml {
            Yaml::List(items) => Some(items),
            _ => None,
        }
    }
}

impl From<Spanned<Yaml>> for Node {
    fn from(spanned: Spanned<Yaml>) -> Node {
        Node { line: spanned.referenced.line() as usize, yaml: spanned.value }
    }
}

/// The file of a sweep, for messages about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub PathBuf);

impl Origin {
    /// A mistake on a line of the file; on line 0, a mistake in a setting.
    pub fn mistake(&self, line: usize, problem: impl fmt::Display, hint: impl fmt::Display) -> Error {
        if line == 0 {
            return Error::setting(problem, hint);
        }
        Error::Config { path: self.0.clone(), line: Some(line), problem: problem.to_string(), hint: hint.to_string() }
    }

    /// The same mistake, found by a check that does not know its line.
    pub fn at(&self, line: usize) -> impl Fn(Error) -> Error + '_ {
        move |error| match error {
            Error::Setting { problem, hint, .. } => self.mistake(line, problem, hint),
            other => other,
        }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Yaml, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, v: bool) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> std::result::Result<Yaml, E> {
        // JSON has no infinity. As a text it is refused where a number is needed.
        Ok(Yaml::Scalar(serde_json::Number::from_f64(v).map_or_else(|| v.to_string().into(), Value::Number)))
    }

    fn visit_str<E>(self, v: &str) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(v.into()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> std::result::Result<Yaml, E> {
        Ok(Yaml::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Yaml, D::Error> {
        deserializer.deserialize_any(Tree)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Yaml, A::Error> {
        let mut items = vec![];
        while let Some(item) = seq.next_element::<Spanned<Yaml>>()? {
            items.push(item.into());
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Yaml, A::Error> {
        let mut entries = vec![];
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Spanned<Yaml>>()?;
            entries.push(Entry { line: key.referenced.line() as usize, key: key.value, value: value.into() });
        }
        Ok(Yaml::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node> {
        Node::parse(text, Path::new("sweep.yaml"))
    }

    #[test]
    fn lines_numbers_and_lists_survive() {
        let tree = parse("a: 1\nb:\n  lr: {min: 1.0e-5, max: 1e-1}\n  words:\n    - x\n    - [512, 128]\n# end\nc: no\n").unwrap();
        let entries = tree.entries().unwrap();
        assert_eq!(entries.iter().map(|e| (e.line, e.key.as_str())).collect::<Vec<_>>(), [(1, "a"), (2, "b"), (8, "c")]);
        let inner = entries[1].value.entries().unwrap();
        assert_eq!(inner[0].value.to_json(), serde_json::json!({"min": 1e-5, "max": 0.1}));
        assert_eq!(inner[1].value.items().unwrap()[1].line, 6);
        assert_eq!(inner[1].value.to_json(), serde_json::json!(["x", [512, 128]]));
    }

    #[test]
    fn a_mistake_in_the_yaml_has_its_line() {
        for (text, at) in [("a: 1\nb: [1, 2\n", 2), ("a: 1\na: 2\n", 2)] {
            match parse(text).unwrap_err() {
                Error::Config { line, .. } => assert!(line.is_some_and(|l| l >= at), "{line:?}"),
                other => panic!("{other}"),
            }
        }
    }
}
