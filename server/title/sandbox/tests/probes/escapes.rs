//! Runs every probe inside, and outside to see that it could have succeeded.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nearframe_sandbox::{Access, Bind, Exit, Launch, Sandbox};

use crate::probe::{Control, Facts, probes};
use crate::stage::{Stage, ended, is_root};
use crate::{Test, life};

pub(crate) const TESTS: &[Test] = &[
    ("every_probe_succeeds_outside_and_is_denied_inside", every_probe),
    ("every_probe_is_denied_without_control_groups", without_groups),
    ("every_probe_is_denied_when_the_agent_is_not_root", as_another_user),
    ("a_bundle_with_a_link_out_of_it_is_not_started", link_in_bundle),
];
/// What the issue asks for.
const AT_LEAST: usize = 55;

/// A host full of what a title must not reach.
pub(crate) struct Host {
    pub(crate) aims: BTreeMap<String, String>,
    victim: Child,
    segment: i32,
    shm: PathBuf,
    _open: (TcpListener, [UnixListener; 3], OwnedFd),
}

impl Host {
    pub(crate) fn around(stage: &Stage) -> Self {
        let secret = stage.path("host/secret");
        fs::write(&secret, "secret").unwrap();
        fs::write(stage.path("host/save"), "another player's save").unwrap();
        let left = stage.path("home/left");
        if !left.is_symlink() {
            symlink(&secret, left).unwrap();
        }
        suid(stage);
        let tag = format!("nearframe-probe-{}-{:x}", std::process::id(), &raw const secret as usize);
        let listening =
            |name: &str| UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        let x11 = format!("/tmp/.X11-unix/{tag}");
        let abstracts = (listening(&tag), listening(&x11));
        let socket = stage.path("host/socket");
        let by_path = UnixListener::bind(&socket).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = left_open(&secret);
        let shm = PathBuf::from(format!("/dev/shm/{tag}"));
        fs::write(&shm, "another session's").unwrap();
        // SAFETY: numbers only; the segment is removed when this is dropped.
        let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) };
        let victim = Command::new("/usr/bin/sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let aims = [
            ("SECRET", secret.display().to_string()),
            ("OTHER_SAVE", stage.path("host/save").display().to_string()),
            ("SOCKET", socket.display().to_string()),
            ("ABSTRACT", tag),
            ("X11", x11),
            ("TCP", tcp.local_addr().unwrap().port().to_string()),
            ("UDP", echo().to_string()),
            ("SHM", shm.display().to_string()),
            ("SEGMENT", segment.to_string()),
            ("VICTIM", victim.id().to_string()),
            ("OPEN", open.as_raw_fd().to_string()),
        ];
        let aims = aims.map(|(name, value)| (format!("{}{name}", Facts::PREFIX), value)).into();
        Self { aims, victim, segment, shm, _open: (tcp, [abstracts.0, abstracts.1, by_path], open) }
    }

    /// The probes' answers outside.
    fn outside(&self, stage: &Stage) -> BTreeMap<String, String> {
        let output = Command::new(stage.program())
            .args(["attack", "all"])
            .envs(&self.aims)
            .env(format!("{}HOME", Facts::PREFIX), stage.path("home"))
            .env(format!("{}FIRST", Facts::PREFIX), self.victim.id().to_string())
            .env(format!("{}TITLE", Facts::PREFIX), stage.path("title"))
            .env("NEARFRAME_AGENT_TOKEN", "token")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        answers(&String::from_utf8_lossy(&output.stdout))
    }

    /// The probes' answers inside.
    fn inside(&self, stage: &Stage, change: impl FnOnce(&mut Launch)) -> BTreeMap<String, String> {
        let mut launch = stage.title(&["act", "attack-into-home"]);
        launch.env = self.aims.iter().map(|(name, value)| (name.into(), value.into())).collect();
        launch.env.push((format!("{}HOME", Facts::PREFIX).into(), "/home/player".into()));
        launch.env.push((format!("{}TITLE", Facts::PREFIX).into(), "/title".into()));
        launch.env.push((format!("{}FIRST", Facts::PREFIX).into(), "1".into()));
        // Its own pad, and not the one beside it.
        launch.binds.push(Bind {
            host: "/dev/null".into(),
            inside: "/dev/input/event7".into(),
            access: Access::Device,
        });
        change(&mut launch);
        let mut sandbox = Sandbox::launch(&launch).unwrap();
        let exit = ended(&mut sandbox);
        assert_eq!(exit, Exit::Code(0), "{}", sandbox.output_tail());
        answers(&stage.wrote("answers").unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.victim.kill().unwrap();
        self.victim.wait().unwrap();
        fs::remove_file(&self.shm).unwrap();
        // SAFETY: the segment is this test's own, and nothing of this process is attached to it.
        unsafe { libc::shmctl(self.segment, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// A file that every child inherits, as a careless agent would leave one.
fn left_open(path: &std::path::Path) -> OwnedFd {
    let file = OwnedFd::from(fs::File::open(path).unwrap());
    // Far above what libraries open, so that no other file takes the number in a child.
    let high = rustix::io::fcntl_dupfd_cloexec(&file, 700).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    high
}

/// A UDP server that answers for as long as the test runs.
fn echo() -> u16 {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((count, from)) = server.recv_from(&mut [0; 8]) {
            if server.send_to(&[0; 8][..count], from).is_err() {
                return;
            }
        }
    });
    port
}

fn suid(stage: &Stage) {
    let path = stage.path("title/suid");
    fs::copy("/usr/bin/id", &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
}

pub(crate) fn answers(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, rest)| (name.into(), rest.into()))
        .collect()
}

fn every_probe() {
    let stage = Stage::new();
    let host = Host::around(&stage);
    let outside = host.outside(&stage);
    let inside = host.inside(&stage, |_| {});
    let probes = probes();
    assert!(probes.len() >= AT_LEAST, "{} probes", probes.len());
    println!("{:<45} {:<28} inside", "probe", "layer");
    let mut wrong = Vec::new();
    for probe in &probes {
        let answer = &inside[probe.name];
        println!("{:<45} {:<28} {}", probe.name, probe.layer, answer.replace('\t', ": "));
        if !answer.starts_with("denied") {
            wrong.push(format!("{} inside: {answer}", probe.name));
        }
        let control = match probe.control {
            Control::Outside => outside.get(probe.name),
            Control::OutsideAsRoot | Control::OutsideWhereBuilt if !is_root() => continue,
            Control::OutsideWhereBuilt if lacks(&outside[probe.name]) => continue,
            Control::OutsideAsRoot | Control::OutsideWhereBuilt => outside.get(probe.name),
            Control::Inside(_) => inside.get(&format!("control {}", probe.name)),
        };
        if !control.unwrap().starts_with("reached") {
            wrong.push(format!("{} cannot succeed at all: {control:?}", probe.name));
        }
    }
    println!("{} probes", probes.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether an answer outside says that this kernel does not have what was attacked.
fn lacks(answer: &str) -> bool {
    [libc::ENOENT, libc::ENOSYS].iter().any(|errno| answer.contains(&format!("(os error {errno})")))
}

fn without_groups() {
    let stage = Stage::new();
    let host = Host::around(&stage);
    all_denied(&host.inside(&stage, |launch| launch.control_groups = false));
}

/// As root, the agent is played by a child that is not.
fn as_another_user() {
    let stage = Stage::new();
    if !is_root() {
        let host = Host::around(&stage);
        return all_denied(&host.inside(&stage, |_| {}));
    }
    let user = 65533;
    std::os::unix::fs::chown(stage.path("host"), Some(user), Some(user)).unwrap();
    let output = Command::new(stage.program())
        .args(["act", "agent-of-another-user"])
        .env("TMPDIR", stage.path("host"))
        .uid(user)
        .gid(user)
        .output()
        .unwrap();
    std::io::stdout().write_all(&output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The child's part: every probe once more, from a stage of its own.
pub(crate) fn agent_of_another_user() {
    assert!(!is_root());
    let stage = Stage::new();
    let host = Host::around(&stage);
    all_denied(&host.inside(&stage, |_| {}));
    life::freezes(true);
    // What the title wrote is the agent's to read.
    assert!(stage.wrote("answers").is_some());
}

fn all_denied(answers: &BTreeMap<String, String>) {
    for probe in probes() {
        assert!(answers[probe.name].starts_with("denied"), "{}: {}", probe.name, answers[probe.name]);
    }
}

fn link_in_bundle() {
    let stage = Stage::new();
    symlink("/etc/passwd", stage.path("title/passwd")).unwrap();
    let error = Sandbox::launch(&stage.title(&["act", "nothing"])).unwrap_err().to_string();
    assert!(error.contains("leaves the title's folder"), "{error}");
}
