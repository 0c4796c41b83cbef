//! Archives that nobody honest makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flate2::Compression;
use flate2::write::GzEncoder;
use nearframe_saves::{Limits, SaveError, pack, unpack};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::Path;
use tar::{Builder, EntryType, Header};
use tempfile::tempdir;

fn saves() -> Vec<String> {
    vec!["saves".to_owned()]
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

/// An entry with exactly this path, which no library would write.
fn entry(archive: &mut Builder<Vec<u8>>, kind: EntryType, path: &[u8], link: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o777);
    header.set_cksum();
    archive.append(&header, content).unwrap();
}

fn archive(entries: &[(EntryType, &[u8], &str, &[u8])]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (kind, path, link, content) in entries {
        entry(&mut archive, *kind, path, link, content);
    }
    gzip(&archive.into_inner().unwrap())
}

/// Unpacks in a home beside which something stands that must not change.
fn attempt(bytes: &[u8], limits: &Limits) -> Result<(), SaveError> {
    let around = tempdir().unwrap();
    let home = around.path().join("home");
    fs::create_dir_all(home.join("saves")).unwrap();
    fs::write(home.join("saves/slot"), "before").unwrap();
    fs::write(around.path().join("secret"), "host").unwrap();
    let result = unpack(bytes, &home, &saves(), limits, None).map(drop);
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(around.path()), ["home", "secret"]);
    assert_eq!(fs::read(around.path().join("secret")).unwrap(), b"host");
    assert!(names(&home).iter().all(|name| name == "saves"), "{:?}", names(&home));
    if result.is_err() {
        assert_eq!(fs::read(home.join("saves/slot")).unwrap(), b"before", "a refused pack changes nothing");
    }
    result
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;

#[test]
fn an_archive_that_reaches_out_is_refused_whole() {
    let folder = (FOLDER, &b"saves"[..], "", &b""[..]);
    let hostile: [(&str, Vec<u8>); 17] = [
        ("parent", archive(&[folder, (FILE, b"saves/../secret", "", b"x")])),
        ("absolute", archive(&[(FILE, b"/etc/passwd", "", b"x")])),
        ("undeclared", archive(&[(FILE, b".bashrc", "", b"x")])),
        ("prefix of a name", archive(&[(FILE, b"saves2", "", b"x")])),
        ("dot", archive(&[folder, (FILE, b"saves/./x", "", b"x")])),
        ("empty name", archive(&[folder, (FILE, b"saves//x", "", b"x")])),
        ("symbolic link", archive(&[folder, (EntryType::Symlink, b"saves/l", "../../secret", b"")])),
        ("hard link", archive(&[folder, (EntryType::Link, b"saves/l", "../secret", b"")])),
        ("device", archive(&[folder, (EntryType::Char, b"saves/d", "", b"")])),
        ("pipe", archive(&[folder, (EntryType::Fifo, b"saves/p", "", b"")])),
        ("folder with content", archive(&[(FOLDER, b"saves", "", b"xyz")])),
        (
            "link for a folder",
            archive(&[(EntryType::Symlink, b"saves", "..", b""), (FILE, b"saves/secret", "", b"x")]),
        ),
        ("twice", archive(&[folder, (FILE, b"saves/a", "", b"1"), (FILE, b"saves/a", "", b"2")])),
        ("file as folder", archive(&[(FILE, b"saves", "", b"1"), (FILE, b"saves/a", "", b"2")])),
        ("no folder", archive(&[(FILE, b"saves/a/b", "", b"2")])),
        ("trailing bytes", [archive(&[folder]), b"more".to_vec()].concat()),
        ("no archive", b"not gzip at all".to_vec()),
    ];
    for (what, bytes) in hostile {
        let error = attempt(&bytes, &Limits::default()).expect_err(what);
        assert!(matches!(error, SaveError::Refused { .. } | SaveError::Damaged(_)), "{what}: {error}");
    }
}

#[test]
fn a_name_that_an_extended_header_gives_is_checked_like_any_other() {
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let len = (body.len()..).find(|len| len.to_string().len() + body.len() == *len).unwrap();
        format!("{len}{body}")
    };
    let renamed = record("path", "saves/../../secret");
    let stretched = record("size", "99999999");
    let long = [b"saves/../../".as_slice(), &[b'x'; 200], b"\0"].concat();
    let folder = (FOLDER, &b"saves"[..], "", &b""[..]);
    for (kind, data) in [
        (EntryType::XHeader, renamed.as_bytes()),
        (EntryType::XHeader, stretched.as_bytes()),
        (EntryType::XGlobalHeader, renamed.as_bytes()),
        (EntryType::GNULongName, &long),
        (EntryType::GNULongLink, &long),
    ] {
        let bytes = archive(&[folder, (kind, b"x", "", data), (FILE, b"saves/x", "", b"x")]);
        let outcome = attempt(&bytes, &Limits::default());
        // A long link target is no target of a regular file; nothing is done with it.
        assert!(outcome.is_err() || kind == EntryType::GNULongLink, "{kind:?}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let limits = Limits { total_bytes: 1 << 20, entries: 16, ..Limits::default() };
    let large = vec![0; 16 << 20];
    let bomb = archive(&[(FILE, b"saves", "", &large)]);
    assert!(bomb.len() < 1 << 20, "it is small while it is packed: {}", bomb.len());
    assert!(matches!(attempt(&bomb, &limits), Err(SaveError::TooLarge { .. })));
    let just_over = archive(&[(FILE, b"saves", "", &large[..(1 << 20) + 1])]);
    assert!(matches!(attempt(&just_over, &limits), Err(SaveError::TooLarge { .. })));
    let just_right = archive(&[(FILE, b"saves", "", &large[..1 << 20])]);
    attempt_file(&just_right, &limits);
    let names: Vec<_> = (0..17).map(|n| format!("saves/{n}")).collect();
    let mut many = vec![(FOLDER, &b"saves"[..], "", &b""[..])];
    many.extend(names.iter().map(|name| (FILE, name.as_bytes(), "", &b""[..])));
    assert!(matches!(attempt(&archive(&many), &limits), Err(SaveError::TooMany { most: 16 })));
}

/// A pack whose declared path is a single file, which replaces the folder that stood there.
fn attempt_file(bytes: &[u8], limits: &Limits) {
    let home = tempdir().unwrap();
    unpack(bytes, home.path(), &saves(), limits, None).unwrap();
    assert_eq!(fs::metadata(home.path().join("saves")).unwrap().len(), 1 << 20);
}

fn honest() -> Vec<u8> {
    let home = tempdir().unwrap();
    fs::create_dir_all(home.path().join("saves/deep")).unwrap();
    fs::write(home.path().join("saves/slot"), [7; 700]).unwrap();
    fs::write(home.path().join("saves/deep/slot"), "level 3").unwrap();
    pack(home.path(), &saves(), &Limits::default()).unwrap().unwrap().bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_archive_changes_nothing_outside(at in 0..3000usize, to in any::<u8>(), cut in 0..4000usize) {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&honest()[..]), &mut plain).unwrap();
        let at = at % plain.len();
        plain[at] = to;
        plain.truncate(cut.max(600));
        let _ = attempt(&gzip(&plain), &Limits::default());
    }

    #[test]
    fn a_pack_with_a_flipped_bit_never_restores_something_else(at in 0..10_000usize, bit in 0..8u8) {
        let honest = honest();
        let mut bytes = honest.clone();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        // Bits of the gzip header, and those that fill its last byte, mean nothing to the content.
        let home = tempdir().unwrap();
        if unpack(&bytes, home.path(), &saves(), &Limits::default(), None).is_ok() {
            let again = pack(home.path(), &saves(), &Limits::default()).unwrap().unwrap();
            prop_assert_eq!(again.bytes, honest);
        }
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(attempt(&gzip(&bytes), &Limits::default()).is_err() || bytes.iter().all(|b| *b == 0));
        prop_assert!(attempt(&bytes, &Limits::default()).is_err());
    }
}
