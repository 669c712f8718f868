//! The rooms use each other as the lists in `lib.rs` say: arrows run down the layers and never back, and
//! what is called pure is.
//!
//! `# Layers` has a bullet per layer, users above what they use; a bullet links the rooms of its layer,
//! which do not use each other. The bullets of `# Pure rooms` name those, linked or not, as a private room
//! cannot be linked from there. A part of a room, such as `upstream::wire`, can be listed as well; else it
//! goes with the whole.
//!
//! One room alone knows the HTTP client, and the one that keeps tokens knows no clock that can be set.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{Module, Named, join};

mod source;
mod tests;

/// Of tokio, a pure room may name no more than this.
const INSTANT: [&str; 3] = ["tokio", "time", "Instant"];
/// What no pure room names.
const IMPURE: &[&[&str]] = &[
    &["tracing"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
    &["std", "process"],
    &["std", "thread"],
];
/// Reads tokio's clock, which tests can pause, so that other pure rooms need not.
const CLOCK: &str = "deadline";
/// Counts the life of tokens, which nobody's setting of a clock may change.
const MONOTONIC: &str = "upstream::tokens";
/// The HTTP client, and the one room that knows it.
const HTTP_CLIENT: &str = "reqwest";
const ITS_ROOM: &str = "upstream::transport";

#[test]
fn rooms_use_each_other_down_the_layers_and_never_back() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let faults = faults(&|file| fs::read_to_string(src.join(file)).ok());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// A crate's modules, and what the root's documentation says of them.
struct House {
    modules: BTreeMap<String, Module>,
    layers: Vec<Vec<String>>,
    pure: Vec<String>,
}

/// One module names another, or something in it.
struct Arrow<'a> {
    file: &'a str,
    line: usize,
    from: &'a str,
    to: String,
    named: String,
}

/// What breaks a rule: file, line, and how.
type Faults = BTreeSet<(String, usize, String)>;

/// Whatever breaks a rule, as `src/FILE:LINE: how`.
fn faults(read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let root = read("lib.rs").unwrap_or_default();
    let house = House {
        modules: source::modules(read),
        layers: bullets(&root, "# Layers", Some('[')),
        pure: bullets(&root, "# Pure rooms", None).concat(),
    };
    let mut faults = Faults::new();
    house.check_lists(&mut faults);
    house.check_arrows(&mut faults);
    house.check_paths(&mut faults);
    let told = |(file, line, how)| format!("src/{file}:{line}: {how}");
    faults.into_iter().map(told).collect()
}

/// The rooms that each bullet below a heading of the documentation names: by a link, or in any `code`.
fn bullets(source: &str, heading: &str, by: Option<char>) -> Vec<Vec<String>> {
    let docs = source.lines().filter_map(|line| line.strip_prefix("//!"));
    let section = docs
        .skip_while(|line| line.trim() != heading)
        .skip(1)
        .take_while(|line| !line.trim_start().starts_with("# "));
    let mut bullets = Vec::new();
    for line in section {
        if line.trim_start().starts_with("- ") {
            bullets.push(Vec::new());
        }
        if let Some(bullet) = bullets.last_mut() {
            let parts: Vec<_> = line.split('`').collect();
            let code = parts.chunks_exact(2);
            let names = code.filter(|part| by.is_none_or(|by| part[0].ends_with(by)));
            bullet.extend(names.map(|part| part[1].trim_start_matches("mod@").to_owned()));
        }
    }
    bullets
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

fn is_within(module: &str, outer: &str) -> bool {
    let rest = module.strip_prefix(outer);
    outer.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What two modules are in the innermost folder that holds both.
fn siblings(one: &str, other: &str) -> (String, String) {
    let (one, other): (Vec<_>, Vec<_>) = (one.split("::").collect(), other.split("::").collect());
    let common = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let part = |segments: &[&str]| segments[..=common].join("::");
    (part(&one), part(&other))
}

impl Arrow<'_> {
    fn fault(&self, how: &str) -> (String, usize, String) {
        let how = format!("{} -> {} {how}", self.from, self.named);
        (self.file.to_owned(), self.line, how)
    }
}

impl House {
    fn check_lists(&self, faults: &mut Faults) {
        let mut fault = |file: &str, how| faults.insert((file.to_owned(), 1, how));
        for room in self.layers.iter().flatten().chain(&self.pure) {
            if !self.modules.contains_key(room) {
                fault("lib.rs", format!("{room} is listed and is no room"));
            }
        }
        for (path, module) in &self.modules {
            let is_room = !path.is_empty() && parent(path).is_empty();
            if is_room && !self.layers.iter().flatten().any(|room| room == path) {
                fault(&module.file, format!("{path} is in no layer"));
            }
        }
        if self.pure.is_empty() {
            fault("lib.rs", "no room is called pure".to_owned());
        }
    }

    fn check_arrows(&self, faults: &mut Faults) {
        let (mut inside, mut edges) = (Vec::new(), BTreeSet::new());
        for arrow in self.arrows() {
            let (from, to) = (arrow.from, arrow.to.as_str());
            if is_within(to, from) {
                // A whole is made of its parts.
                continue;
            }
            if is_within(from, to) {
                faults.insert(arrow.fault("runs back to what it is a part of"));
                continue;
            }
            let (user, used) = (self.layer(from), self.layer(to));
            if used < user {
                faults.insert(arrow.fault("runs back up the layers"));
            } else if used == user && self.room(from) != self.room(to) {
                faults.insert(arrow.fault("stays within a layer"));
            }
            let edge = siblings(from, to);
            if !parent(&edge.0).is_empty() {
                edges.insert(edge.clone());
                inside.push((arrow, edge));
            }
        }
        for (arrow, (one, other)) in inside {
            if leads(&edges, &other, &one) {
                faults.insert(arrow.fault(&format!("is part of a cycle in {}", parent(&one))));
            }
        }
    }

    /// The innermost listed room that holds a module, with its layer's place in the list.
    fn room(&self, module: &str) -> Option<(usize, &String)> {
        let layers = self.layers.iter().enumerate();
        layers
            .flat_map(|(layer, rooms)| rooms.iter().map(move |room| (layer, room)))
            .filter(|(_, room)| is_within(module, room))
            .max_by_key(|(_, room)| room.len())
    }

    fn layer(&self, module: &str) -> Option<usize> {
        self.room(module).map(|(layer, _)| layer)
    }

    /// Each with the first line of its module that names it.
    fn arrows(&self) -> Vec<Arrow<'_>> {
        let mut arrows = Vec::new();
        for (from, module) in &self.modules {
            let mut seen = BTreeSet::new();
            for Named { line, path, .. } in &module.names {
                if let Some((to, named)) = self.home(from, path)
                    && to != *from
                    && seen.insert(named.clone())
                {
                    arrows.push(Arrow {
                        file: &module.file,
                        line: *line,
                        from,
                        to,
                        named,
                    });
                }
            }
        }
        arrows
    }

    /// What `path` means in `from`: its module, and its path there; `None` for another crate.
    fn home(&self, from: &str, path: &[String]) -> Option<(String, String)> {
        let is_module = |path: &str| self.modules.contains_key(path);
        let (mut module, mut rest) = match path[0].as_str() {
            "crate" => ("", &path[1..]),
            "self" => (from, &path[1..]),
            "super" => (parent(from), &path[1..]),
            part if is_module(&join(from, part)) => (from, path),
            _ => return None,
        };
        while let [next, after @ ..] = rest {
            module = match self.modules.get_key_value(&join(module, next)) {
                Some((part, _)) => part,
                None if next == "super" => parent(module),
                None => break,
            };
            rest = after;
        }
        let Some(item) = rest.first() else {
            return Some((module.to_owned(), module.to_owned()));
        };
        // What a part finds with its whole may be another part's.
        let names = &self.modules[module].names;
        let passed_on = names.iter().find(|named| named.alias == *item);
        match passed_on {
            Some(named) if is_within(from, module) && named.path != path => {
                self.home(module, &named.path)
            }
            _ => Some((module.to_owned(), join(module, item))),
        }
    }

    fn check_paths(&self, faults: &mut Faults) {
        for (room, module) in &self.modules {
            let pure = self.pure.iter().find(|pure| is_within(room, pure));
            for Named { line, path, .. } in &module.names {
                let mut fault = |how: &str| {
                    let how = format!("{room} names {}, {how}", path.join("::"));
                    faults.insert((module.file.clone(), *line, how));
                };
                if path[0] == HTTP_CLIENT && !is_within(room, ITS_ROOM) {
                    fault("which one room knows alone");
                }
                if is_within(room, MONOTONIC) && path.iter().any(|part| part == "SystemTime") {
                    fault("a clock that can be set");
                }
                if pure.is_some_and(|pure| !is_pure(pure, path)) {
                    fault("but is to be pure");
                }
            }
        }
    }
}

fn is_pure(room: &str, named: &[String]) -> bool {
    let named: Vec<_> = named.iter().map(String::as_str).collect();
    let reads_a_clock = matches!(named[..], [.., "Instant" | "SystemTime", "now" | "elapsed"]);
    (named[0] != "tokio" || named.starts_with(&INSTANT))
        && !IMPURE.iter().any(|impure| named.starts_with(impure))
        && (!reads_a_clock || room == CLOCK)
}

/// Whether arrows lead from one part of a folder to another.
fn leads(edges: &BTreeSet<(String, String)>, from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut at = 0;
    while let Some(here) = reached.get(at).copied() {
        let next = edges.iter().filter(|(one, _)| one == here);
        let new: Vec<_> = next
            .map(|(_, other)| other.as_str())
            .filter(|other| !reached.contains(other))
            .collect();
        reached.extend(new);
        at += 1;
    }
    reached.contains(&to)
}
