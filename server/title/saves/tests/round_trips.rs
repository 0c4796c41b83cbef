//! What is packed comes back, and the same content is always the same pack.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_saves::{Limits, Owner, SaveError, pack, unpack};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use tempfile::tempdir;

/// Path → content; `None` for a folder.
type Tree = BTreeMap<String, Option<Vec<u8>>>;

fn paths(all: &[&str]) -> Vec<String> {
    all.iter().map(|&path| path.to_owned()).collect()
}

fn write(home: &Path, tree: &Tree) {
    for (path, content) in tree {
        let path = home.join(path);
        match content {
            None => fs::create_dir_all(path).unwrap(),
            Some(content) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
    }
}

fn read(home: &Path) -> Tree {
    fn walk(folder: &Path, prefix: &str, tree: &mut Tree) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                tree.insert(path.clone(), None);
                walk(&entry.path(), &format!("{path}/"), tree);
            } else {
                tree.insert(path, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
    let mut tree = Tree::new();
    walk(home, "", &mut tree);
    tree
}

fn tree(entries: &[(&str, Option<&str>)]) -> Tree {
    entries
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.map(|c| c.as_bytes().to_vec())))
        .collect()
}

/// Trees below `saves`: names of a few letters, some of them long, some with odd characters.
fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        6 => "[a-c]{1,2}",
        1 => "[ -.0-~é\n]{1,12}".prop_filter("no special name", |name| name != "." && name != ".."),
        1 => "x{101,120}",
    ];
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let content = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..2000));
    prop::collection::vec((path, content), 0..24).prop_map(|entries| {
        let mut tree = Tree::from([("saves".to_owned(), None)]);
        for (path, content) in entries {
            let path = format!("saves/{path}");
            let above =
                |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
            let in_a_file = above(&path).iter().any(|folder| matches!(tree.get(folder), Some(Some(_))));
            if !in_a_file && !tree.contains_key(&path) {
                tree.extend(above(&path).into_iter().map(|folder| (folder, None)));
                tree.insert(path, content);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_comes_back_and_packs_to_the_same_bytes(tree in any_tree()) {
        let (home, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let (limits, saves) = (Limits::default(), paths(&["saves"]));
        write(home.path(), &tree);
        let packed = pack(home.path(), &saves, &limits).unwrap().unwrap();
        prop_assert_eq!(packed.hash, *blake3::hash(&packed.bytes).as_bytes());
        let files = tree.values().flatten();
        prop_assert_eq!(packed.files as usize, files.clone().count());
        prop_assert_eq!(packed.total_bytes as usize, files.map(Vec::len).sum::<usize>());
        prop_assert_eq!(packed.left_out, 0);
        let unpacked = unpack(&packed.bytes, elsewhere.path(), &saves, &limits, None).unwrap();
        prop_assert_eq!((unpacked.files, unpacked.total_bytes), (packed.files, packed.total_bytes));
        prop_assert_eq!(read(elsewhere.path()), tree);
        prop_assert_eq!(pack(elsewhere.path(), &saves, &limits).unwrap().unwrap(), packed);
    }
}

#[test]
fn only_declared_paths_are_packed_and_only_they_are_replaced() {
    let home = tempdir().unwrap();
    let before = tree(&[
        (".config/game.ini", Some("volume=1")),
        (".local/share/game/slot1", Some("level 2")),
        (".cache/junk", Some("junk")),
    ]);
    write(home.path(), &before);
    let declared = paths(&[".local/share/game", ".config/game.ini", "never/made"]);
    let packed = pack(home.path(), &declared, &Limits::default()).unwrap().unwrap();
    assert_eq!(packed.files, 2);

    let other = tempdir().unwrap();
    let there = tree(&[
        (".local/share/game/slot9", Some("newer, but not in the pack")),
        (".local/share/other/file", Some("stays")),
        ("never/made/by", Some("the pack")),
    ]);
    write(other.path(), &there);
    unpack(&packed.bytes, other.path(), &declared, &Limits::default(), None).unwrap();
    let expected = tree(&[
        (".config", None),
        (".config/game.ini", Some("volume=1")),
        (".local", None),
        (".local/share", None),
        (".local/share/game", None),
        (".local/share/game/slot1", Some("level 2")),
        (".local/share/other", None),
        (".local/share/other/file", Some("stays")),
        ("never", None),
    ]);
    assert_eq!(read(other.path()), expected, "nothing of the draft is left either");
}

#[test]
fn nothing_saved_is_no_pack_and_an_emptied_folder_is_one() {
    let home = tempdir().unwrap();
    let saves = paths(&["saves"]);
    assert_eq!(pack(home.path(), &saves, &Limits::default()).unwrap(), None);
    assert_eq!(pack(home.path(), &[], &Limits::default()).unwrap(), None);
    fs::create_dir(home.path().join("saves")).unwrap();
    let emptied = pack(home.path(), &saves, &Limits::default()).unwrap().unwrap();
    assert_eq!(emptied.files, 0);
    fs::write(home.path().join("saves/slot"), "deleted by the player later").unwrap();
    unpack(&emptied.bytes, home.path(), &saves, &Limits::default(), None).unwrap();
    assert_eq!(read(home.path()), tree(&[("saves", None)]));
}

#[test]
fn the_pack_depends_on_content_alone() {
    let packs: Vec<_> = [["a", "b"], ["b", "a"]]
        .iter()
        .map(|order| {
            let home = tempdir().unwrap();
            for name in order {
                write(home.path(), &tree(&[(&format!("saves/{name}"), Some(name))]));
            }
            let file = home.path().join("saves/a");
            fs::set_permissions(
                &file,
                fs::Permissions::from_mode(if order[0] == "a" { 0o644 } else { 0o600 }),
            )
            .unwrap();
            pack(home.path(), &paths(&["saves"]), &Limits::default()).unwrap().unwrap()
        })
        .collect();
    assert_eq!(packs[0], packs[1]);
}

#[test]
fn links_pipes_sockets_and_files_with_two_names_are_left_out() {
    let (home, host) = (tempdir().unwrap(), tempdir().unwrap());
    let saves = home.path().join("saves");
    write(home.path(), &tree(&[("saves/real", Some("1")), ("saves/one", Some("2"))]));
    fs::write(host.path().join("secret"), "host").unwrap();
    symlink(host.path().join("secret"), saves.join("to-file")).unwrap();
    symlink(host.path(), saves.join("to-folder")).unwrap();
    fs::hard_link(saves.join("one"), saves.join("two")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, saves.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let _listening = std::os::unix::net::UnixListener::bind(saves.join("socket")).unwrap();
    symlink(host.path(), home.path().join("linked")).unwrap();
    let declared = paths(&["saves", "linked", "linked/secret"]);
    let packed = pack(home.path(), &declared, &Limits::default()).unwrap().unwrap();
    assert_eq!((packed.files, packed.left_out), (1, 7));
    let other = tempdir().unwrap();
    unpack(&packed.bytes, other.path(), &declared, &Limits::default(), None).unwrap();
    assert_eq!(read(other.path()), tree(&[("saves", None), ("saves/real", Some("1"))]));

    let through_link = pack(home.path(), &paths(&["linked/secret"]), &Limits::default()).unwrap();
    assert_eq!(through_link, None, "a folder above the saves may be a link as well");
}

#[test]
fn a_link_that_stands_in_the_way_of_a_restore_is_never_followed() {
    let (home, host) = (tempdir().unwrap(), tempdir().unwrap());
    write(home.path(), &tree(&[("a/saves/slot", Some("1")), ("b", Some("2"))]));
    let declared = paths(&["a/saves", "b"]);
    let packed = pack(home.path(), &declared, &Limits::default()).unwrap().unwrap();

    let other = tempdir().unwrap();
    symlink(host.path(), other.path().join("b")).unwrap();
    symlink(host.path(), other.path().join(".nearframe-restore")).unwrap();
    fs::write(host.path().join("kept"), "host").unwrap();
    let blocked = unpack(&packed.bytes, other.path(), &declared, &Limits::default(), None);
    assert!(blocked.is_err() || !other.path().join(".nearframe-restore").exists());
    let _ = fs::remove_file(other.path().join(".nearframe-restore"));
    unpack(&packed.bytes, other.path(), &declared, &Limits::default(), None).unwrap();
    assert_eq!(fs::read(other.path().join("b")).unwrap(), b"2");
    assert!(!other.path().join("b").is_symlink());

    fs::remove_dir_all(other.path().join("a")).unwrap();
    symlink(host.path(), other.path().join("a")).unwrap();
    let error = unpack(&packed.bytes, other.path(), &declared, &Limits::default(), None).unwrap_err();
    assert!(matches!(error, SaveError::Io { .. }), "{error}");
    assert_eq!(read(host.path()), tree(&[("kept", Some("host"))]));
}

#[test]
fn a_draft_that_a_crash_left_is_replaced() {
    let home = tempdir().unwrap();
    write(home.path(), &tree(&[("saves/slot", Some("1"))]));
    let declared = paths(&["saves"]);
    let packed = pack(home.path(), &declared, &Limits::default()).unwrap().unwrap();
    write(home.path(), &tree(&[(".nearframe-restore/new-0/slot", Some("half"))]));
    unpack(&packed.bytes, home.path(), &declared, &Limits::default(), None).unwrap();
    assert_eq!(read(home.path()), tree(&[("saves", None), ("saves/slot", Some("1"))]));
}

#[test]
fn restored_files_are_private_and_belong_to_the_owner_that_was_named() {
    let (home, other) = (tempdir().unwrap(), tempdir().unwrap());
    write(home.path(), &tree(&[("deep/saves/slot", Some("1"))]));
    let declared = paths(&["deep/saves"]);
    let packed = pack(home.path(), &declared, &Limits::default()).unwrap().unwrap();
    let me = fs::metadata(other.path()).unwrap();
    // Only root may give files away; everybody may give them to themselves.
    let uid = if me.uid() == 0 { 12_345 } else { me.uid() };
    let owner = Owner { uid, gid: if me.uid() == 0 { 54_321 } else { me.gid() } };
    unpack(&packed.bytes, other.path(), &declared, &Limits::default(), Some(owner)).unwrap();
    for (path, mode) in [("deep", 0o700), ("deep/saves", 0o700), ("deep/saves/slot", 0o600)] {
        let found = fs::metadata(other.path().join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (owner.uid, owner.gid), "{path}");
        assert_eq!(found.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn too_many_and_too_large_saves_are_refused_and_too_deep_ones_left_out() {
    let home = tempdir().unwrap();
    write(home.path(), &tree(&[("saves/a", Some("12345")), ("saves/b", Some("12345"))]));
    let declared = paths(&["saves"]);
    let with = |limits| pack(home.path(), &declared, &limits);
    assert!(with(Limits { entries: 3, ..Limits::default() }).is_ok());
    assert!(matches!(with(Limits { entries: 2, ..Limits::default() }), Err(SaveError::TooMany { most: 2 })));
    let bytes = |total_bytes| with(Limits { total_bytes, ..Limits::default() });
    assert!(matches!(bytes(9), Err(SaveError::TooLarge { most_bytes: 9 })));
    assert!(matches!(bytes(20), Err(SaveError::TooLarge { .. })), "the pack itself is larger than that");
    assert_eq!(bytes(1000).unwrap().unwrap().files, 2);
    let shallow = with(Limits { depth: 1, ..Limits::default() }).unwrap().unwrap();
    assert_eq!((shallow.files, shallow.left_out), (0, 2));
    let short = with(Limits { path_bytes: 6, ..Limits::default() }).unwrap().unwrap();
    assert_eq!((short.files, short.left_out), (0, 2));
}

#[test]
fn a_title_that_swaps_files_for_links_meanwhile_never_gets_the_host_packed() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (home, host) = (tempdir().unwrap(), tempdir().unwrap());
    write(host.path(), &tree(&[("x", Some("host")), ("folder/x", Some("host"))]));
    write(home.path(), &tree(&[("saves/d/x", Some("mine")), ("saves/x", Some("mine"))]));
    let saves = home.path().join("saves");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (name, target) in [("d", "folder"), ("x", "x")] {
                symlink(host.path().join(target), saves.join(format!("{name}-link"))).unwrap();
            }
            while !done.load(Ordering::Relaxed) {
                for name in ["d", "x"] {
                    let (own, link, aside) =
                        (saves.join(name), saves.join(format!("{name}-link")), saves.join("aside"));
                    fs::rename(&own, &aside).unwrap();
                    fs::rename(&link, &own).unwrap();
                    fs::rename(&own, &link).unwrap();
                    fs::rename(&aside, &own).unwrap();
                }
            }
        });
        // Nothing may panic before the other thread is told to stop.
        let packs: Vec<_> =
            (0..300).map(|_| pack(home.path(), &paths(&["saves"]), &Limits::default())).collect();
        done.store(true, Ordering::Relaxed);
        for packed in packs {
            let other = tempdir().unwrap();
            let packed = packed.unwrap().unwrap();
            unpack(&packed.bytes, other.path(), &paths(&["saves"]), &Limits::default(), None).unwrap();
            let contents: Vec<_> = read(other.path()).into_values().flatten().collect();
            assert!(contents.iter().all(|content| content == b"mine"), "{contents:?}");
        }
    });
}
