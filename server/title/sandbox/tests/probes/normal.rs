//! What games do, which must work inside.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use nearframe_sandbox::{Access, Bind, Exit, Sandbox};

use crate::Test;
use crate::stage::{Stage, ended, is_root};

pub(crate) const TESTS: &[Test] = &[
    ("what_games_do_works_inside", works),
    ("a_title_sees_a_small_world_of_its_own", small_world),
    ("exit_codes_and_crashes_are_told_apart", exits),
    ("a_title_that_cannot_start_says_why", cannot_start),
    ("saves_are_the_agents_to_read", saves),
    ("every_program_of_a_title_loads_what_is_preloaded", preloaded),
    ("what_a_manifest_preloads_is_not_loaded_before_the_doors_are_locked", preloaded_by_manifest),
    ("variables_and_paths_that_could_pass_for_options_are_refused", refused_words),
    ("a_title_with_a_gpu_sees_render_nodes_only", gpu),
];
/// Where sessions have theirs.
const SOCKETS: [&str; 3] = ["/run/user/1000/wayland-0", "/run/user/1000/pulse/native", "/tmp/.X11-unix/X0"];
const SAYS: &str = "over the session's own socket";

fn works() {
    let stage = Stage::new();
    let socket = stage.path("session/own");
    let listener = UnixListener::bind(&socket).unwrap();
    let answering = std::thread::spawn(move || {
        [(); SOCKETS.len()].map(|()| {
            let mut said = String::new();
            listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
            said
        })
    });
    let mut launch = stage.title(&["act", "normal"]);
    launch.env.push(("GAME_OPTION".into(), "with = and spaces".into()));
    for inside in SOCKETS {
        launch.binds.push(Bind { host: socket.clone(), inside: inside.into(), access: Access::ReadOnly });
    }
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0), "{}", sandbox.output_tail());
    assert_eq!(answering.join().unwrap(), SOCKETS.map(|_| SAYS));
    assert!(sandbox.output_tail().contains("everything works"));
}

/// Inside: every step panics with its reason when it does not work.
pub(crate) fn inside() {
    files();
    memory();
    // Threads, names of threads, pipes, signals.
    let threads: Vec<_> = (0..32).map(|index| std::thread::spawn(move || index)).collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<i32>(), (0..32).sum());
    std::thread::Builder::new().name("render".into()).spawn(std::thread::yield_now).unwrap().join().unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"through").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    // Programs of the system, with a shell between.
    let echo = Command::new("/bin/sh").args(["-c", "echo $HOME | tr a-z A-Z"]).output().unwrap();
    assert_eq!(echo.stdout, b"/HOME/PLAYER\n");
    let fonts = Command::new("/usr/bin/fc-list").stdin(Stdio::null()).output();
    assert!(
        fonts.is_err() || !fonts.unwrap().stdout.is_empty(),
        "fontconfig finds its fonts where it is installed"
    );
    // SAFETY: the name is a constant; the library is one that every program has.
    assert!(!unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) }.is_null());
    // Sockets: its session's, a pair, one of its own.
    for path in SOCKETS {
        UnixStream::connect(path).unwrap().write_all(SAYS.as_bytes()).unwrap();
    }
    UnixStream::pair().unwrap();
    let own = UnixListener::bind("/run/user/1000/mine").unwrap();
    UnixStream::connect("/run/user/1000/mine").unwrap();
    drop(own);
    signals();
    println!("everything works");
}

fn files() {
    for folder in ["/home/player", "/tmp", "/dev/shm", "/run/user/1000"] {
        let (file, other) = (format!("{folder}/save.part"), format!("{folder}/save"));
        fs::write(&file, "level 3").unwrap();
        fs::rename(&file, &other).unwrap();
        File::options().write(true).open(&other).unwrap().set_len(5).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "level");
        std::os::unix::fs::symlink("save", format!("{folder}/latest")).unwrap();
        assert_eq!(fs::read_to_string(format!("{folder}/latest")).unwrap(), "level");
        fs::create_dir_all(format!("{folder}/a/b")).unwrap();
    }
    assert_eq!(fs::read_to_string("data").unwrap(), "the title's own");
    assert_eq!(fs::read_to_string("/proc/self/comm").unwrap(), "probe\n");
    File::open("/dev/urandom").unwrap().read_exact(&mut [0; 16]).unwrap();
    fs::write("/dev/null", "x").unwrap();
    assert_eq!(std::env::var("GAME_OPTION").unwrap(), "with = and spaces");
}

fn memory() {
    let file = rustix::fs::memfd_create(c"buffer", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 1 << 20).unwrap();
    let name = CString::new("/frame").unwrap();
    // SAFETY: the name is a string with an end; the file made is closed and removed with the sandbox.
    let shm = unsafe { libc::shm_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600) };
    assert!(shm >= 0, "shm_open");
    // SAFETY: numbers only.
    let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) };
    assert!(segment >= 0, "System V shared memory");
    // SAFETY: pages are made executable by name of no address of this program.
    let code = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(code, libc::MAP_FAILED, "a compiler of its own scripts");
}

fn signals() {
    let mut child = Command::new("/usr/bin/sleep").arg("60").spawn().unwrap();
    // SAFETY: the child is this process's own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    child.wait().unwrap();
}

fn small_world() {
    let stage = Stage::new();
    let script = "id -u; id -un; pwd; hostname; ls -A /home; ls /sys 2>&1 | wc -l; env | cut -d= -f1 | sort; ls /proc | grep -c '^[0-9]'";
    let mut launch = stage.title(&[]);
    launch.command = ["/bin/sh", "-c", script].map(Into::into).into();
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0));
    let output = sandbox.output_tail();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..5], ["1000", "player", "/title", "nearframe", "player"], "{output}");
    let names: BTreeMap<_, _> = lines[6..].iter().map(|line| (*line, ())).collect();
    for name in ["HOME", "LANG", "PATH", "XDG_RUNTIME_DIR", "USER"] {
        assert!(names.contains_key(name), "{output}");
    }
    assert!(!names.contains_key("SHELL") && !names.contains_key("CARGO_MANIFEST_DIR"), "{output}");
    let processes: u32 = lines.last().unwrap().trim().parse().unwrap();
    assert!(processes <= 6, "{output}");
}

fn exits() {
    let stage = Stage::new();
    for (words, exit) in [
        (&["act", "nothing"][..], Exit::Code(0)),
        (&["act", "exit", "7"], Exit::Code(7)),
        (&["act", "crash"], Exit::Signal(libc::SIGABRT)),
    ] {
        assert_eq!(ended(&mut stage.launch(words)), exit, "{words:?}");
    }
}

fn cannot_start() {
    let stage = Stage::new();
    fs::write(stage.path("title/broken"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(stage.path("title/broken"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut launch = stage.title(&[]);
    for (program, why) in [
        ("broken", "No such file or directory"),
        ("missing", "is not in the title's folder"),
        ("data", "is not executable"),
        ("/usr/games/no-such-game", "does not exist on this host"),
    ] {
        launch.command = vec![program.into()];
        let error = Sandbox::launch(&launch).unwrap_err().to_string();
        assert!(error.contains(why), "{program}: {error}");
    }
    let mut launch = stage.title(&["act", "nothing"]);
    launch.home = stage.path("no-home");
    let error = Sandbox::launch(&launch).unwrap_err().to_string();
    assert!(error.contains("no-home"), "{error}");
}

/// A title that closes its files to others closes them to other players, not to the agent.
fn saves() {
    let stage = Stage::new();
    fs::create_dir(stage.path("home/.config")).unwrap();
    fs::write(stage.path("home/.config/restored"), "old").unwrap();
    let mut launch = stage.title(&[]);
    let script = "umask 077; cat ~/.config/restored > ~/save; echo new >> ~/.config/restored";
    launch.command = ["/bin/sh", "-ec", script].map(Into::into).into();
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0), "{}", sandbox.output_tail());
    assert_eq!(stage.wrote("save").unwrap(), "old");
    assert_eq!(stage.wrote(".config/restored").unwrap(), "oldnew\n");
    if is_root() {
        assert_ne!(fs::metadata(stage.path("home/save")).unwrap().uid(), 0, "titles do not run as root");
    }
}

fn preloaded() {
    let stage = Stage::new();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let library =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
    fs::copy(library.unwrap(), stage.path("session/shim.so")).unwrap();
    let mut launch = stage.title(&[]);
    launch.command = ["/bin/sh", "-c", "cat /proc/self/maps"].map(Into::into).into();
    launch.binds.push(Bind {
        host: stage.path("session/shim.so"),
        inside: "/run/nearframe/shim.so".into(),
        access: Access::ReadOnly,
    });
    launch.preload = Some("/run/nearframe/shim.so".into());
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0));
    assert!(sandbox.output_tail().contains("/run/nearframe/shim.so"), "{}", sandbox.output_tail());
}

fn gpu() {
    let stage = Stage::new();
    let mut launch = stage.title(&[]);
    launch.gpu = true;
    launch.command = ["/bin/sh", "-c", "ls /dev/dri /dev | grep -E '^(card|mem|kmsg|fb)' ; echo seen"]
        .map(Into::into)
        .into();
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0));
    let output = sandbox.output_tail();
    assert_eq!(
        output.lines().filter(|line| !line.starts_with("ls:")).collect::<Vec<_>>(),
        ["seen"],
        "{output}"
    );
    let nodes = fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let nodes = nodes.filter(|node| node.file_name().to_string_lossy().starts_with("renderD")).count();
    println!("this host has {nodes} render nodes");
}

/// The dynamic linker complains of what is no library: once for the title, and not for the last stage.
fn preloaded_by_manifest() {
    let stage = Stage::new();
    let mut launch = stage.title(&[]);
    launch.command = vec!["/usr/bin/true".into()];
    launch.env.push(("LD_PRELOAD".into(), "/title/data".into()));
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0));
    let complaints = sandbox.output_tail().matches("LD_PRELOAD").count();
    assert_eq!(complaints, 1, "{}", sandbox.output_tail());
}

fn refused_words() {
    let stage = Stage::new();
    let plain = stage.title(&["act", "nothing"]);
    for (name, value) in [("", "x"), ("A=B", "x"), ("A", "x\0--bind\0/\0/mnt"), ("A\0B", "x")] {
        let mut launch = plain.clone();
        launch.env.push((name.into(), value.into()));
        Sandbox::launch(&launch).unwrap_err();
    }
    let mut launch = plain.clone();
    launch.command.push("x\0--bind".into());
    Sandbox::launch(&launch).unwrap_err();
    let mut launch = plain;
    let inside = "/run/x\0--bind\0/\0/mnt".into();
    launch.binds.push(Bind { host: stage.path("title/data"), inside, access: Access::ReadOnly });
    Sandbox::launch(&launch).unwrap_err();
}
