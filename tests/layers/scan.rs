//! What a source file declares and names: modules, imports, paths. Comments, strings and items under `#[cfg(test)]` are left out.

/// A piece of source text that matters here.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    /// `::`
    Path,
    Mark(char),
}

/// What stands in a file.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Modules in files of their own: inline modules around them, the name, the file by `#[path]`, whether it is a test.
    pub modules: Vec<Module>,
    /// Names that are imported, and those of `pub use`.
    pub imports: Vec<Import>,
    /// Paths elsewhere, with the inline modules around them.
    pub paths: Vec<(Vec<String>, Vec<String>)>,
}

/// `mod name;`
#[derive(Debug)]
pub(crate) struct Module {
    pub scope: Vec<String>,
    pub name: String,
    pub file: Option<String>,
    pub test: bool,
}

/// One leaf of a `use`.
#[derive(Debug)]
pub(crate) struct Import {
    pub scope: Vec<String>,
    pub path: Vec<String>,
    /// The name that it has here: none for `*` and `_`.
    pub name: Option<String>,
    pub public: bool,
}

/// Reads a file.
pub(crate) fn scan(text: &str) -> Scan {
    let mut found = Scan::default();
    items(&tokens(text), &[], &mut found);
    found
}

/// Words, strings, `::` and single characters; no comments, numbers, characters or lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let is = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let word_end = |from: usize| (from..).find(|&at| !chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_')).expect("an end");
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if is(at, "//") {
            at = (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len());
        } else if is(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                let step = if is(at, "/*") {
                    1
                } else if is(at, "*/") {
                    -1
                } else {
                    0
                };
                depth += step;
                at += if step == 0 { 1 } else { 2 };
                if depth == 0 {
                    break;
                }
            }
        } else if c == '"' {
            let begin = at + 1;
            at = begin;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            found.push(Token::Text(chars[begin..at.min(chars.len())].iter().collect()));
            at += 1;
        } else if c == '\'' {
            // A character ends with a quote; a lifetime does not.
            at = if is(at + 1, "\\") {
                (at + 3..chars.len()).find(|&i| chars[i] == '\'').map_or(chars.len(), |end| end + 1)
            } else if is(at + 2, "'") {
                at + 3
            } else {
                word_end(at + 1)
            };
        } else if c.is_alphabetic() || c == '_' {
            let end = word_end(at);
            let word: String = chars[at..end].iter().collect();
            let hashes = (end..).take_while(|&i| is(i, "#")).count();
            if matches!(&*word, "r" | "br" | "cr") && is(end + hashes, "\"") {
                let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at = (end + hashes + 1..chars.len()).find(|&i| is(i, &close)).map_or(chars.len(), |i| i + close.len());
            } else if matches!(&*word, "b" | "c") && (is(end, "\"") || is(end, "'")) {
                at = end;
            } else if word == "r" && hashes == 1 {
                at = end + 1;
            } else {
                found.push(Token::Word(word));
                at = end;
            }
        } else if c.is_numeric() {
            at = word_end(at);
        } else if is(at, "::") {
            found.push(Token::Path);
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(Token::Mark(c));
            }
            at += 1;
        }
    }
    found
}

fn word(token: Option<&Token>) -> Option<&str> {
    if let Some(Token::Word(word)) = token { Some(word) } else { None }
}

fn is(token: Option<&Token>, mark: char) -> bool {
    token == Some(&Token::Mark(mark))
}

/// Behind the group that opens at `at`.
fn behind(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Behind the item that begins at `at`: its `;`, or its group in braces.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at] {
            Token::Mark(';') => return at + 1,
            Token::Mark('{') => return behind(tokens, at),
            Token::Mark('}') => return at,
            Token::Mark('(' | '[') => at = behind(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Whether an attribute leaves its item out of everything but tests: `cfg(test)`, `cfg(all(test, …))`.
fn is_test(attribute: &[Token]) -> bool {
    let of = |name: &str, tokens: &[Token]| word(tokens.first()) == Some(name) && is(tokens.get(1), '(');
    of("cfg", attribute)
        && (word(attribute.get(2)) == Some("test") || (of("all", &attribute[2..]) && attribute.contains(&Token::Word("test".to_owned()))))
}

/// Goes through items and bodies alike.
fn items(tokens: &[Token], scope: &[String], found: &mut Scan) {
    let (mut at, mut test, mut file) = (0, false, None);
    while at < tokens.len() {
        if is(tokens.get(at), '#') && is(tokens.get(at + 1), '[') {
            let end = behind(tokens, at + 1);
            let attribute = &tokens[at + 2..end - 1];
            test |= is_test(attribute);
            if let [Token::Word(path), Token::Mark('='), Token::Text(name)] = attribute {
                file = (path == "path").then(|| name.clone());
            }
            at = end;
            continue;
        }
        let begin = if word(tokens.get(at)) == Some("pub") { at + 1 } else { at };
        let public = begin > at;
        let begin = if public && is(tokens.get(begin), '(') { behind(tokens, begin) } else { begin };
        let name = word(tokens.get(begin + 1));
        match (word(tokens.get(begin)), name) {
            (Some("mod"), Some(name)) if is(tokens.get(begin + 2), ';') => {
                found.modules.push(Module { scope: scope.to_vec(), name: name.to_owned(), file: file.take(), test });
                at = begin + 3;
            }
            _ if test => at = behind_item(tokens, at),
            (Some("mod"), Some(name)) if is(tokens.get(begin + 2), '{') => {
                let end = behind(tokens, begin + 2);
                items(&tokens[begin + 3..end - 1], &[scope, &[name.to_owned()]].concat(), found);
                at = end;
            }
            (Some("use"), _) => {
                let end = (begin..tokens.len()).find(|&i| is(tokens.get(i), ';')).unwrap_or(tokens.len());
                imports(&tokens[begin + 1..end], &[], &mut |path, name| {
                    found.imports.push(Import { scope: scope.to_vec(), path, name, public });
                });
                at = end + 1;
            }
            // What follows a group or another crate's root: `>::new`, `::std`.
            _ if tokens[at] == Token::Path => at += 2,
            (Some(_), None) if begin == at && tokens.get(at + 1) == Some(&Token::Path) => {
                let mut path = vec![word(tokens.get(at)).unwrap_or_default().to_owned()];
                at += 1;
                while let (Some(Token::Path), Some(next)) = (tokens.get(at), word(tokens.get(at + 1))) {
                    path.push(next.to_owned());
                    at += 2;
                }
                found.paths.push((scope.to_vec(), path));
            }
            _ => at = begin.max(at + 1),
        }
        (test, file) = (false, None);
    }
}

/// The leaves of a `use`, each with its whole path.
fn imports(tree: &[Token], prefix: &[String], leaf: &mut impl FnMut(Vec<String>, Option<String>)) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match &tree[at] {
            Token::Word(as_) if as_ == "as" => {
                let name = word(tree.get(at + 1)).filter(|name| *name != "_");
                return leaf(path, name.map(str::to_owned));
            }
            Token::Word(self_) if self_ == "self" && !path.is_empty() => {}
            Token::Word(word) => path.push(word.clone()),
            Token::Mark('*') => return leaf(path, None),
            Token::Mark('{') => {
                let mut begin = at + 1;
                while begin < tree.len() {
                    let mut end = begin;
                    while end < tree.len() && !matches!(tree[end], Token::Mark(',' | '}')) {
                        end = if is(tree.get(end), '{') { behind(tree, end) } else { end + 1 };
                    }
                    if end > begin {
                        imports(&tree[begin..end], &path, leaf);
                    }
                    begin = end + 1;
                }
                return;
            }
            _ => {}
        }
        at += 1;
    }
    let name = path.last().cloned();
    leaf(path, name);
}
