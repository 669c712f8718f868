//! Reads Rust source as far as layers need it: which paths a module names, and where. rustc has accepted
//! the code already, so it is read leniently.

use std::collections::BTreeMap;

/// A module, which is a file or a block inside of one.
#[derive(Default)]
pub struct Module {
    pub file: String,
    /// What its `use` statements and its code name; of the code, what has two segments or more.
    pub names: Vec<Named>,
}

/// A path, with its first segment in full where a `use` has brought that in.
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
    /// What a `use` calls it; nothing for a path in the code.
    pub alias: String,
}

/// Reads the crate whose files `read` returns by name, below `src`: all modules by their path, such as
/// `upstream::wire`, the root by an empty one. Tests are left out.
pub fn modules(read: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, Module> {
    let mut modules = BTreeMap::new();
    let mut files = vec![("lib.rs".to_owned(), String::new())];
    while let Some((file, path)) = files.pop() {
        let source = read(&file).unwrap_or_else(|| panic!("{file} is missing"));
        let mut declared = Vec::new();
        Reader {
            tokens: tokens(&source),
            at: 0,
            file: &file,
            modules: &mut modules,
            declared: &mut declared,
        }
        .module(&path);
        files.extend(declared.into_iter().map(|child| {
            let file = format!("{}.rs", child.replace("::", "/"));
            (file, child)
        }));
    }
    modules
}

/// The path of what is called `name` in `module`.
pub fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}::{name}")
    }
}

struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// Words, `::`, and single signs; comments, texts and characters are left out.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let length = match skipped {
            0 if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            skipped => skipped,
        };
        let (text, after) = rest.split_at(length);
        if skipped == 0 {
            tokens.push(Token { line, text });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// How many bytes at the beginning of `rest` are a comment, a literal or white space.
fn skipped(rest: &str) -> usize {
    let until = |start: usize, end: &str| {
        let found = rest[start..].find(end);
        found.map_or(rest.len(), |found| start + found + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    let unprefixed = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let text = raw.trim_start_matches('#');
        let hashes = &raw[..raw.len() - text.len()];
        if text.starts_with('"') {
            return until(rest.len() - text.len() + 1, &format!("\"{hashes}"));
        }
    }
    if let Some(text) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = text.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return end.map_or(rest.len(), |end| end + 2);
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        let mut chars = quoted.char_indices();
        let character = chars.next();
        if matches!(character, Some((_, '\\'))) {
            return until(3, "'");
        }
        // Anything else that begins like this is a lifetime.
        if let Some((end, '\'')) = chars.next() {
            return end + 2;
        }
    }
    rest.len() - rest.trim_start().len()
}

fn spell_out(names: &mut [Named]) {
    for at in 0..names.len() {
        let path = &names[at].path;
        let brought = names
            .iter()
            .find(|named| named.alias == path[0] && named.path != *path);
        if let Some(named) = brought {
            names[at].path = [&named.path, &path[1..]].concat();
        }
    }
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    file: &'a str,
    modules: &'a mut BTreeMap<String, Module>,
    declared: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn sees(&self, texts: &[&str]) -> bool {
        let mut ahead = (self.at..).zip(texts);
        ahead.all(|(at, text)| self.text(at) == *text)
    }

    /// Reads up to the end of the module's block, or of the file.
    fn module(&mut self, path: &str) {
        let mut module = Module {
            file: self.file.to_owned(),
            ..Module::default()
        };
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let name = self.text(self.at + 1).to_owned();
            if self.sees(&["#", "[", "cfg", "(", "test", ")", "]"]) {
                self.skip_item();
                continue;
            } else if self.sees(&["mod", &name, ";"]) {
                self.declared.push(join(path, &name));
            } else if self.sees(&["mod", &name, "{"]) {
                self.at += 3;
                self.module(&join(path, &name));
                continue;
            } else if self.sees(&["use"]) && name != "<" {
                self.at += 1;
                self.tree(&[], &mut module.names);
            } else if self.sees(&[".", "elapsed"]) {
                // A method: its type is not known here, its name is enough.
                module.names.push(self.named(&["Instant", "elapsed"]));
            } else if self.begins_a_path() {
                let named = self.path();
                module.names.push(named);
                continue;
            }
            match self.text(self.at) {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        spell_out(&mut module.names);
        self.modules.insert(path.to_owned(), module);
    }

    /// Skips an attribute and its item, which ends at a semicolon or with its block.
    fn skip_item(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.text(self.at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            let (file, line) = (self.file, self.tokens[self.at].line);
            assert!(
                depth >= 0,
                "{file}:{line}: what #[cfg(test)] leaves out is no item"
            );
            let ends = matches!(self.text(self.at), "}" | ";");
            self.at += 1;
            if ends && depth == 0 {
                return;
            }
        }
    }

    fn named(&self, path: &[&str]) -> Named {
        Named {
            line: self.tokens[self.at].line,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            alias: String::new(),
        }
    }

    fn begins_a_path(&self) -> bool {
        let before = self
            .at
            .checked_sub(1)
            .map_or("", |before| self.text(before));
        self.text(self.at).starts_with(is_word)
            && self.text(self.at + 1) == "::"
            // The rest of a path that is read already, or who may see an item.
            && !matches!(before, "::" | "in")
    }

    fn path(&mut self) -> Named {
        let mut named = self.named(&[]);
        while self.text(self.at).starts_with(is_word) {
            named.path.push(self.text(self.at).to_owned());
            if self.text(self.at + 1) != "::" {
                self.at += 1;
                break;
            }
            self.at += 2;
        }
        named
    }

    /// Reads what follows `use`, or one branch of a group, up to the sign that ends it.
    fn tree(&mut self, prefix: &[String], into: &mut Vec<Named>) {
        let mut named = self.named(&[]);
        named.path = prefix.to_vec();
        let mut is_empty = true;
        loop {
            match self.text(self.at) {
                "{" => {
                    while !matches!(self.text(self.at), "}" | "") {
                        self.at += 1;
                        self.tree(&named.path, into);
                    }
                    self.at += 1;
                    return;
                }
                // After the last comma of a group, nothing is named.
                "," | "}" | ";" | "" => break,
                "as" => {
                    self.at += 1;
                    named.alias = self.text(self.at).to_owned();
                }
                "::" => {}
                "self" if !named.path.is_empty() => is_empty = false,
                segment => {
                    let segment = segment.to_owned();
                    named.path.push(segment);
                    is_empty = false;
                }
            }
            self.at += 1;
        }
        if named.alias.is_empty() {
            named.alias = named.path.last().cloned().unwrap_or_default();
        }
        if !is_empty {
            into.push(named);
        }
    }
}
