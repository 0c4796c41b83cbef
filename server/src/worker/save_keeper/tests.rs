//! Saved games on a disk of this test's own, full and not.

use super::*;
use std::process::Command;

/// Says to this program that it is the second process, in a mount namespace with a small disk, and where.
const DISK: &str = "SAVE_KEEPER_TEST_DISK";
const DISK_KIB: usize = 256;

struct Room {
    root: PathBuf,
    home: PathBuf,
    save_dir: PathBuf,
    said: mpsc::Receiver<FromWorker>,
    to_agent: mpsc::Sender<FromWorker>,
    warned: mpsc::UnboundedReceiver<&'static str>,
    warnings: mpsc::UnboundedSender<&'static str>,
}

fn room(root: &Path) -> Room {
    let (home, save_dir) = (root.join("home"), root.join("saves"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&save_dir).unwrap();
    let (to_agent, said) = mpsc::channel(8);
    let (warnings, warned) = mpsc::unbounded_channel();
    Room { root: root.to_owned(), home, save_dir, said, to_agent, warned, warnings }
}

fn paths() -> Vec<String> {
    vec!["saves".to_owned()]
}

fn keeper(room: &Room) -> Result<SaveKeeper> {
    SaveKeeper::start(&room.home, &paths(), &room.save_dir, room.warnings.clone(), room.to_agent.clone())
}

#[tokio::test]
async fn what_a_title_saved_is_told_once_and_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let mut room = room(root.path());
    let first = keeper(&room).unwrap();
    fs::create_dir(room.home.join("saves")).unwrap();
    fs::write(room.home.join("saves/slot1"), b"level 3").unwrap();
    first.finish().await;
    let Some(FromWorker::Saved { file, last: true, files: 1, .. }) = room.said.recv().await else {
        panic!("no pack")
    };
    fs::rename(&file, room.save_dir.join(RESTORE_PACK)).unwrap();
    fs::remove_dir_all(room.home.join("saves")).unwrap();

    let second = keeper(&room).unwrap();
    assert_eq!(fs::read(room.home.join("saves/slot1")).unwrap(), b"level 3");
    second.finish().await;
    assert!(room.said.try_recv().is_err(), "what did not change is not saved again");
    assert!(room.warned.try_recv().is_err(), "nothing went wrong");
}

#[test]
fn a_broken_pack_keeps_the_title_from_starting() {
    let root = tempfile::tempdir().unwrap();
    let room = room(root.path());
    fs::write(room.save_dir.join(RESTORE_PACK), b"rubbish").unwrap();
    let error = keeper(&room).err().unwrap();
    assert!(format!("{error:#}").contains("restoring the saved game"), "{error:#}");
}

/// Runs itself a second time in namespaces of its own, where a small disk can be mounted without being root.
#[test]
fn on_a_full_disk_the_last_whole_pack_stays_and_the_player_is_told() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_full_disk(Path::new(&disk));
    }
    let root = tempfile::tempdir().unwrap();
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::on_a_full_disk_the_last_whole_pack_stays_and_the_player_is_told");
    let script = format!("mount -t tmpfs -o size={DISK_KIB}k none \"$0\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", &script])
        .arg(root.path())
        .arg(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture"])
        .env(DISK, root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn on_a_full_disk(disk: &Path) {
    let mut room = room(disk);
    let mut keeper = Keeper {
        home: room.home.clone(),
        paths: paths(),
        save_dir: room.save_dir.clone(),
        limits: Limits::default(),
        last_hash: None,
        written: 0,
        failing: false,
        warnings: room.warnings.clone(),
        to_agent: room.to_agent.clone(),
    };
    fs::create_dir(room.home.join("saves")).unwrap();
    let slot = room.home.join("saves/slot1");
    // What cannot be compressed, and needs room.
    let level = |seed: u32| {
        (0..40_000_u32).map(move |i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 13) as u8)
    };
    fs::write(&slot, level(1).collect::<Vec<_>>()).unwrap();
    keeper.look(false);
    let packs = || -> Vec<String> {
        let names = fs::read_dir(disk.join("saves")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(packs(), ["000.pack"]);
    let whole = fs::read(room.save_dir.join("000.pack")).unwrap();

    fs::write(&slot, level(2).collect::<Vec<_>>()).unwrap();
    let filler = room.root.join("filler");
    let mut fill = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut fill, &[0; 4096]).is_ok() {}
    for _ in 0..2 {
        keeper.look(false);
        assert_eq!(packs(), ["000.pack"], "half a pack takes the room of a whole one");
        assert_eq!(fs::read(room.save_dir.join("000.pack")).unwrap(), whole);
    }
    assert_eq!((room.warned.try_recv().unwrap(), room.warned.try_recv().ok()), (NOT_KEPT, None), "told once");

    drop(fill);
    fs::remove_file(&filler).unwrap();
    keeper.look(false);
    assert_eq!(room.warned.try_recv().unwrap(), KEPT_AGAIN);
    let mut told = Vec::new();
    while let Ok(FromWorker::Saved { file, .. }) = room.said.try_recv() {
        told.push(file);
    }
    assert_eq!(told, [room.save_dir.join("000.pack"), room.save_dir.join("001.pack")]);
    assert_ne!(fs::read(&told[1]).unwrap(), whole);
}
