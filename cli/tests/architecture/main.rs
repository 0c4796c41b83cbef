//! The architecture as a test: `docs/architecture.md` says which crate may know which, where `unsafe`
//! may stand and which crates do no I/O, and this fails when the code says otherwise.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod code;
mod tree;

use code::{code_only, has_word};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use toml::Table;
use tree::{root, sources};

/// Where a foreign interface is met.
const UNSAFE_ROOMS: [&str; 6] = [
    "server/gpu/",
    "server/encode/",
    "server/title/app/",
    "server/title/sandbox/",
    "server/title/pads/",
    "benches/link/",
];
/// Crates that open nothing and read no clock: time and randomness come in as arguments.
const SANS_IO: [&str; 5] =
    ["protocol", "server/stream", "matchmaker/placement", "matchmaker/ledger", "matchmaker/trust"];
/// What would give a sans-I/O crate sockets, a database, a runtime, a clock or dice.
const IO_CRATES: [&str; 16] = [
    "tokio",
    "sqlx",
    "axum",
    "axum-server",
    "hyper-util",
    "webrtc",
    "rtc",
    "tokio-tungstenite",
    "futures-util",
    "async-trait",
    "rustix",
    "getrandom",
    "rand",
    "reqwest",
    "mio",
    "tempfile",
];
const IO_WORDS: [&str; 11] = [
    "SystemTime",
    "Instant::now",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "tokio",
];
/// Past this a file has two subjects.
const MOST_LINES: usize = 600;

/// Member folder → crate name and the workspace crates it depends on.
fn crates() -> BTreeMap<String, (String, BTreeSet<String>, Table)> {
    let workspace: Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|member| {
            let member = member.as_str().unwrap();
            let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
            let manifest: Table = toml::from_str(&manifest).unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            let edges = ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|section| manifest.get(section)?.as_table())
                .flat_map(|section| section.keys().cloned())
                .filter(|dependency| dependency.starts_with("nearframe") && *dependency != name)
                .collect();
            (member.to_owned(), (name, edges, manifest))
        })
        .collect()
}

/// The table "Who may know whom" of the architecture page.
fn documented_edges() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let section = page.split("## Who may know whom").nth(1).expect("the page has the section");
    let table = section.split("\n## ").next().unwrap_or_default();
    table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut names = line.split('`').skip(1).step_by(2).map(str::to_owned);
            (names.next().expect("a row names its crate"), names.collect())
        })
        .collect()
}

#[test]
fn every_edge_between_crates_is_documented_and_every_documented_edge_exists() {
    let real: BTreeMap<_, _> = crates().into_values().map(|(name, edges, _)| (name, edges)).collect();
    let documented = documented_edges();
    for (name, edges) in &real {
        let allowed = documented.get(name).unwrap_or_else(|| panic!("docs/architecture.md lacks {name}"));
        assert_eq!(edges, allowed, "{name}: what Cargo.toml has (left) is not what the page allows (right)");
    }
    assert_eq!(real.len(), documented.len(), "the page names a crate that is not there");
}

#[test]
fn server_and_matchmaker_never_import_each_other() {
    for (member, (name, edges, _)) in crates() {
        let forbidden = match member.split('/').next() {
            Some("server") => "matchmaker",
            Some("matchmaker") => "server",
            _ => continue,
        };
        let rooms = crates();
        for (other, (other_name, _, _)) in &rooms {
            let crosses = other.split('/').next() == Some(forbidden) && edges.contains(other_name);
            assert!(!crosses, "{name} imports {other_name}: they meet only through nearframe-protocol");
        }
    }
}

#[test]
fn unsafe_stands_only_where_a_foreign_interface_is_met() {
    for (path, text) in sources(&["rs"]) {
        let allowed = UNSAFE_ROOMS.iter().any(|room| path.starts_with(room));
        assert!(allowed || !has_word(&code_only(&text), "unsafe"), "{path} holds unsafe code");
    }
}

#[test]
fn crates_without_io_open_nothing_and_read_no_clock() {
    let crates = crates();
    for member in SANS_IO {
        let (name, _, manifest) = &crates[member];
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for forbidden in IO_CRATES {
            assert!(!dependencies.contains_key(forbidden), "{name} depends on {forbidden}");
        }
        let folder = format!("{member}/src/");
        for (path, text) in sources(&["rs"]).into_iter().filter(|(path, _)| path.starts_with(&folder)) {
            // Unit tests stand at the bottom; they may measure real time.
            let code = code_only(text.split("#[cfg(test)]").next().unwrap_or_default());
            for word in IO_WORDS {
                assert!(!has_word(&code, word), "{path} names {word}: pass it in as an argument");
            }
        }
    }
}

#[test]
fn no_file_has_two_subjects() {
    for (path, text) in sources(&["rs", "ts", "svelte", "wgsl", "sh", "css", "mjs", "html"]) {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines; past {MOST_LINES} it has two subjects");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two halves, so that this file passes its own test.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("todo", "!("), ("unimplemented", "!("), ("dbg", "!(")];
    for (path, text) in sources(&["rs", "ts", "svelte", "wgsl", "sh", "css", "mjs"]) {
        for (first, second) in marks {
            assert!(!has_word(&text, &format!("{first}{second}")), "{path} holds {first}{second}");
        }
    }
}

#[test]
fn there_is_one_crypto_provider() {
    // Cargo.lock also lists optional crates that nothing switches on; the tree holds what is built.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    let built: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("aws-lc-rs"));
    for other in ["ring", "openssl-sys", "native-tls"] {
        assert!(!built.contains(other), "{other} is built: rustls with aws-lc-rs is the one provider");
    }
}
