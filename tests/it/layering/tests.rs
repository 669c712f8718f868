//! The rules notice what they forbid, in small houses.

use super::*;

const LIB: &str = "\
//! # Layers
//!
//! Users above what they use, as [`nobody`] said.
//!
//! - [`top`]: `update` and others
//! - [`left`] and,
//!   beside it, [`mod@right`]
//! - [`upstream`]
//! - [`base`], [`deadline`]
//! - [`upstream::lowest`]
//!
//! # Pure rooms
//!
//! - [`base`], `deadline`
//!
//! # Else
//!
//! - [`nothing`]

mod top; mod left; pub mod right; pub(crate) mod upstream; mod base; mod deadline;
";

/// The faults of a house with these sources in place of its own, which are free of faults.
fn faults_with(sources: &[(&str, &str)]) -> Vec<String> {
    let house = [
        ("lib.rs", LIB),
        ("top.rs", "use crate::{base, left::Left, upstream};"),
        ("left.rs", "pub struct Left;"),
        ("right.rs", ""),
        ("upstream.rs", "mod lowest; mod transport; mod wire;"),
        ("upstream/lowest.rs", ""),
        ("upstream/transport.rs", "use reqwest::Client;"),
        ("upstream/wire.rs", ""),
        ("base.rs", ""),
        (
            "deadline.rs",
            "fn now() -> tokio::time::Instant { tokio::time::Instant::now() }",
        ),
    ];
    let sources: BTreeMap<_, _> = house.iter().chain(sources).copied().collect();
    faults(&|file| sources.get(file).map(|source| (*source).to_owned()))
}

#[test]
fn an_arrow_up_the_layers_or_beside_is_found_however_it_is_written() {
    for (file, source, expected) in [
        (
            "base.rs",
            "use crate::top::Top;",
            "1: base -> top::Top runs back up the layers",
        ),
        (
            "base.rs",
            "pub use super::top;",
            "1: base -> top runs back up the layers",
        ),
        (
            "base.rs",
            "use crate::top::*;",
            "1: base -> top::* runs back up the layers",
        ),
        (
            "base.rs",
            "use crate::top as t;",
            "1: base -> top runs back up the layers",
        ),
        (
            "base.rs",
            "use crate::{\n    deadline::{self, Deadline},\n    top::{\n        Bottom as B,\n    },\n};",
            "4: base -> top::Bottom runs back up the layers",
        ),
        (
            "base.rs",
            "/// [`Top`](crate::left)\nfn f() {\n    let _ = crate::top::f::<u8>(\"\\\"\");\n}",
            "3: base -> top::f runs back up the layers",
        ),
        (
            "base.rs",
            "mod inner {\n    use super::super::top;\n}",
            "2: base::inner -> top runs back up the layers",
        ),
        (
            "right.rs",
            "use crate::left;",
            "1: right -> left stays within a layer",
        ),
        (
            "left.rs",
            "fn f(_: crate::right::R) {}",
            "1: left -> right::R stays within a layer",
        ),
        (
            "upstream/lowest.rs",
            "use super::wire::{self};",
            "1: upstream::lowest -> upstream::wire runs back up the layers",
        ),
        (
            "base.rs",
            "use crate::upstream;\nfn f() {\n    upstream::wire::f()\n}",
            "3: base -> upstream::wire::f runs back up the layers",
        ),
    ] {
        let faults = faults_with(&[(file, source)]);
        let expected = format!("src/{file}:{expected}");
        assert!(faults.contains(&expected), "{source}\n{faults:#?}");
    }
}

#[test]
fn what_runs_down_and_what_is_not_code_is_no_fault() {
    for (file, source) in [
        ("lib.rs", LIB),
        ("left.rs", "use crate::upstream::{lowest, wire::Wire};"),
        ("base.rs", "use crate::upstream::lowest;"),
        (
            "base.rs",
            "// use crate::top;\n/* use crate::top; */\n//! [`crate::top`]",
        ),
        (
            "base.rs",
            "const A: &str = \"use crate::top;\"; const B: &str = r#\"\" crate::top::x\"#;",
        ),
        (
            "base.rs",
            "const A: [char; 2] = ['\"', '\\'']; fn f<'a>(_: &'a str) {} // ' \" crate::top::x",
        ),
        ("base.rs", "#[cfg(test)]\nmod tests;"),
        (
            "base.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::top::{self, Top};\n    fn f() { g(); }\n}",
        ),
        (
            "base.rs",
            "#[cfg(test)]\n#[allow(unused)]\nuse crate::top::{self, Top};",
        ),
        (
            "base.rs",
            "impl X {\n    #[cfg(test)]\n    fn f(_: [u8; 3]) { crate::top::f() }\n}",
        ),
        ("base.rs", "fn f() -> impl Sized + use<'static> {}"),
        (
            "base.rs",
            "use std::net::Ipv4Addr; use std::time::SystemTime; use tokio::time::Instant;",
        ),
    ] {
        let faults = faults_with(&[(file, source)]);
        assert!(faults.is_empty(), "{source}\n{faults:#?}");
    }
    // But what stands after them is.
    for source in [
        "/* */ use crate::top;",
        "const A: &str = \"\\\\\"; use crate::top;",
        "const A: &[u8] = br\"\\\"; use crate::top;",
        "const A: char = '\\\\'; use crate::top;",
        "#[cfg(test)] mod tests { fn f() {} } use crate::top;",
        "#[cfg(test)] const A: [u8; 1] = [0]; use crate::top;",
    ] {
        assert_eq!(
            faults_with(&[("base.rs", source)]),
            ["src/base.rs:1: base -> top runs back up the layers"],
            "{source}"
        );
    }
}

#[test]
fn a_list_that_leaves_a_room_out_or_names_none_is_found() {
    for (from, to, expected) in [
        (
            "mod base;",
            "mod base; mod top2;",
            "top2.rs:1: top2 is in no layer",
        ),
        (
            "[`left`] and",
            "[`lift`] and",
            "lib.rs:1: lift is listed and is no room",
        ),
        (
            "[`left`] and",
            "`left` and",
            "left.rs:1: left is in no layer",
        ),
        (
            ", `deadline`",
            ", `dead`",
            "lib.rs:1: dead is listed and is no room",
        ),
        ("# Layers", "# Rooms", "top.rs:1: top is in no layer"),
        ("# Pure rooms", "# Pure", "lib.rs:1: no room is called pure"),
    ] {
        assert_ne!(LIB, LIB.replace(from, to));
        let faults = faults_with(&[("lib.rs", &LIB.replace(from, to)), ("top2.rs", "")]);
        assert!(faults.contains(&format!("src/{expected}")), "{faults:#?}");
    }
}

#[test]
fn a_part_that_uses_what_its_whole_defines_is_found() {
    let wholes = "mod lowest; mod transport; mod wire; pub use wire::Wire; use crate::base::Base; pub struct Up;";
    for (source, expected) in [
        (
            "use super::Up;",
            &["1: upstream::transport -> upstream::Up runs back to what it is a part of"][..],
        ),
        (
            "use crate::upstream;\nfn f() -> upstream::Up {}",
            &[
                "1: upstream::transport -> upstream runs back to what it is a part of",
                "2: upstream::transport -> upstream::Up runs back to what it is a part of",
            ],
        ),
        (
            "use super::*;",
            &["1: upstream::transport -> upstream::* runs back to what it is a part of"],
        ),
        (
            "use crate::Up;",
            &["1: upstream::transport -> Up runs back to what it is a part of"],
        ),
        // What the whole merely passes on is its part's, or another room's.
        ("use super::{Wire, Base};", &[]),
    ] {
        let faults = faults_with(&[("upstream.rs", wholes), ("upstream/transport.rs", source)]);
        let expected = expected
            .iter()
            .map(|line| format!("src/upstream/transport.rs:{line}"));
        assert_eq!(faults, expected.collect::<Vec<_>>(), "{source}");
    }
}

#[test]
fn a_cycle_inside_of_a_room_is_found_with_each_of_its_arrows() {
    let parts = [
        (
            "upstream.rs",
            "mod a; mod b; mod c; mod transport; mod lowest; mod wire; pub use a::A;",
        ),
        ("upstream/a.rs", "mod deep;"),
        ("upstream/b.rs", "use super::c::C;"),
        ("upstream/c.rs", "fn f() {\n    super::A::new()\n}"),
        (
            "upstream/a/deep.rs",
            "use crate::upstream::wire;\nuse crate::upstream::b::B;",
        ),
    ];
    assert_eq!(
        faults_with(&parts),
        [
            "src/upstream/a/deep.rs:2: upstream::a::deep -> upstream::b::B is part of a cycle in upstream",
            "src/upstream/b.rs:1: upstream::b -> upstream::c::C is part of a cycle in upstream",
            "src/upstream/c.rs:2: upstream::c -> upstream::a::A is part of a cycle in upstream",
        ]
    );
    let without_the_last = faults_with(
        &parts[..4]
            .iter()
            .copied()
            .chain([("upstream/a/deep.rs", "")])
            .collect::<Vec<_>>(),
    );
    assert!(without_the_last.is_empty(), "{without_the_last:#?}");
}

#[test]
fn a_pure_room_that_is_not_is_found() {
    for (source, expected) in [
        (
            "use std::{fmt, fs};",
            "1: base names std::fs, but is to be pure",
        ),
        (
            "use std::io::Read as _;",
            "1: base names std::io::Read, but is to be pure",
        ),
        (
            "fn f() { std::process::exit(1) }",
            "1: base names std::process::exit, but is to be pure",
        ),
        (
            "use std::net::{IpAddr, TcpStream};",
            "1: base names std::net::TcpStream, but is to be pure",
        ),
        (
            "use tokio::net;",
            "1: base names tokio::net, but is to be pure",
        ),
        (
            "use tokio::time::{Instant, sleep};",
            "1: base names tokio::time::sleep, but is to be pure",
        ),
        (
            "fn f() { tracing::info!(\"x\"); }",
            "1: base names tracing::info, but is to be pure",
        ),
        (
            "use tokio::time::Instant as Clock;\nfn f() { Clock::now(); }",
            "2: base names tokio::time::Instant::now, but is to be pure",
        ),
        (
            "use std::time;\nfn f() { time::SystemTime::now(); }",
            "2: base names std::time::SystemTime::now, but is to be pure",
        ),
        (
            "fn f(at: T) { at.elapsed(); }",
            "1: base names Instant::elapsed, but is to be pure",
        ),
    ] {
        let expected = format!("src/base.rs:{expected}");
        assert_eq!(faults_with(&[("base.rs", source)]), [expected], "{source}");
    }
    let part = [
        ("base.rs", "mod part;"),
        ("base/part.rs", "use std::fs::read;"),
    ];
    assert_eq!(
        faults_with(&part),
        ["src/base/part.rs:1: base::part names std::fs::read, but is to be pure"]
    );
    // A clock is all that the deadline may read.
    assert_eq!(
        faults_with(&[("deadline.rs", "use std::fs;")]),
        ["src/deadline.rs:1: deadline names std::fs, but is to be pure"]
    );
}

#[test]
fn the_http_client_is_known_to_one_room_alone() {
    for source in ["use reqwest::Client;", "fn f(_: reqwest::Error) {}"] {
        let faults = faults_with(&[("upstream/wire.rs", source)]);
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].starts_with("src/upstream/wire.rs:1: upstream::wire names reqwest::"));
        let inside = [
            ("upstream/transport.rs", "mod clients;"),
            ("upstream/transport/clients.rs", source),
        ];
        assert_eq!(faults_with(&inside), [""; 0]);
    }
}

#[test]
fn a_wall_clock_where_tokens_are_kept_is_found() {
    for source in [
        "use std::time::SystemTime;",
        "fn f() { std::time::SystemTime::now(); }",
    ] {
        let tokens = [
            (
                "upstream.rs",
                "mod lowest; mod tokens; mod transport; mod wire;",
            ),
            ("upstream/tokens.rs", "mod kept;"),
            ("upstream/tokens/kept.rs", source),
        ];
        let faults = faults_with(&tokens);
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].contains("a clock that can be set"), "{faults:?}");
    }
}
