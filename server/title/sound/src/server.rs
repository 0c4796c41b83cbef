//! The PulseAudio process: what it loads, and the few rights it has.

use crate::SoundError;
use crate::folder::ServerFiles;
use rustix::process::{Pid, Signal, kill_process};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Where the title plays to.
pub(crate) const SINK: &str = "nearframe";
/// What is captured: all that is played to [`SINK`].
pub(crate) const MONITOR: &str = "nearframe.monitor";
/// Where the player's voice is played to.
pub(crate) const VOICE_SINK: &str = "voice";

/// Turns its own standard input into the listening socket, and its own folder into a descriptor, in the
/// form of systemd's socket activation: other descriptors are closed by the server. The folder is reached
/// through `/proc/self/fd`, since the server's user may not walk the path to it. Before that it makes
/// sure that its parent is still there, because one that died earlier would not be noticed.
const LAUNCH: &str = r#"
[ "$PPID" = "$1" ] || exit 1
shift
umask 077
ulimit -c 0 && ulimit -n 256 && ulimit -v 1048576 || exit 1
export LISTEN_FDS=2 LISTEN_PID=$$
exec "$@" 3<&0 4<. </dev/null
"#;
const OWN_DIR: &str = "/proc/self/fd/4";

/// A running server. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts the process. It ends with the calling *thread*, which the kernel sees as its parent.
    pub(crate) fn spawn(files: &ServerFiles, microphone: bool) -> Result<Self, SoundError> {
        let listener = files
            .listener
            .try_clone()
            .map_err(|source| SoundError::Folder { path: files.socket.clone(), source })?;
        let mut command = Command::new("setpriv");
        if let Some(user) = files.user {
            command.args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups"]);
            command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        }
        command
            .args(["--no-new-privs", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", LAUNCH, "sh"])
            .arg(std::process::id().to_string())
            .args(arguments(&files.socket, microphone))
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("LC_ALL", "C"),
                ("HOME", OWN_DIR),
                ("PULSE_RUNTIME_PATH", "/proc/self/fd/4/run"),
                ("PULSE_STATE_PATH", "/proc/self/fd/4/state"),
                // Not the machine's configuration, and no message bus.
                ("PULSE_CONFIG", "/dev/null"),
                ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null"),
                ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/dev/null"),
            ])
            .current_dir(&files.dir)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().map_err(|source| SoundError::Program { program: "setpriv", source })?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; a server that is gone already does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Ends it now and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn arguments(socket: &Path, microphone: bool) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "pulseaudio",
        "-n",
        "--daemonize=no",
        "--system=no",
        "--use-pid-file=no",
        "--exit-idle-time=-1",
        "--disallow-exit=yes",
        "--high-priority=no",
        "--realtime=no",
        "--no-cpu-limit=yes",
        // Shared memory would be writable by the title.
        "--disable-shm=yes",
        "--enable-memfd=no",
        "--log-target=stderr",
        "--log-level=error",
    ]
    .map(str::to_owned)
    .into();
    for module in modules(socket, microphone) {
        arguments.extend(["-L".to_owned(), module]);
    }
    // After the modules: from now on clients cannot load any.
    arguments.push("--disallow-module-loading=yes".to_owned());
    arguments
}

/// What the server consists of. Clients need the cookie, unless they run as the server's own user: as
/// root, it has one of its own. The first sink, and the only source that is nobody's monitor, are what
/// programs get that name none.
fn modules(socket: &Path, microphone: bool) -> Vec<String> {
    let format = "format=float32le rate=48000";
    // Without rewinds a null sink works at most 50 ms ahead, instead of 2 s.
    let sink = format!("{format} norewinds=1");
    let mut modules = vec![format!("module-null-sink sink_name={SINK} {sink} channels=2")];
    if microphone {
        modules.push(format!("module-null-sink sink_name={VOICE_SINK} {sink} channels=1"));
        // Programs do not offer monitors as microphones.
        modules.push(format!("module-remap-source source_name=microphone master={VOICE_SINK}.monitor"));
    } else {
        // Otherwise the sink's monitor would be the default, and a title would hear itself.
        modules.push(format!("module-null-source source_name=silence {format} channels=1"));
    }
    modules.push(format!(
        "module-native-protocol-unix socket=\"{}\" auth-anonymous=0 auth-group-enable=0 \
         auth-cookie={OWN_DIR}/cookie",
        socket.display()
    ));
    modules
}
