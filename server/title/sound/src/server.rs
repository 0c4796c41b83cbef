//! The PulseAudio process: what it loads, and the few rights it has.

use crate::SoundError;
use crate::folder::ServerFiles;
use nearframe_sandbox::{HELPER_FOLDER, Helper, HelperProcess};
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

/// Where the title plays to.
pub(crate) const SINK: &str = "nearframe";
/// What is captured: all that is played to [`SINK`].
pub(crate) const MONITOR: &str = "nearframe.monitor";
/// Where the player's voice is played to.
pub(crate) const VOICE_SINK: &str = "voice";

/// Turns its own standard input into the listening socket in the form of systemd's socket activation: other
/// descriptors are closed by the server.
const LAUNCH: &str = "umask 077; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&0 </dev/null";
/// A server holds some 10 MiB; streams of a title that opens all it can, some more.
const MEMORY_BYTES: u64 = 512 << 20;
/// Threads of its streams and modules.
const PROCESSES: u64 = 32;
const OPEN_FILES: u64 = 256;

/// A running server. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub(crate) struct Server {
    process: HelperProcess,
}

impl Server {
    /// Starts the process. It ends with the calling *thread*, which the kernel sees as its parent.
    pub(crate) fn spawn(files: &ServerFiles, microphone: bool) -> Result<Self, SoundError> {
        let listener = files
            .listener
            .try_clone()
            .map_err(|source| SoundError::Folder { path: files.socket.clone(), source })?;
        let mut command: Vec<_> = ["/bin/sh", "-c", LAUNCH, "sh"].map(Into::into).into();
        command.extend(arguments(&files.socket, microphone).into_iter().map(Into::into));
        let env = [
            ("LC_ALL", "C".to_owned()),
            ("HOME", HELPER_FOLDER.to_owned()),
            ("PULSE_RUNTIME_PATH", format!("{HELPER_FOLDER}/run")),
            ("PULSE_STATE_PATH", format!("{HELPER_FOLDER}/state")),
            // Not the machine's configuration, and no message bus.
            ("PULSE_CONFIG", "/dev/null".to_owned()),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null".to_owned()),
            ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/dev/null".to_owned()),
        ];
        let process = HelperProcess::start(Helper {
            command,
            env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            folder: Some(&files.dir),
            files: Vec::new(),
            stdin: Stdio::from(OwnedFd::from(listener)),
            user: files.user,
            gpu: false,
            memory_bytes: MEMORY_BYTES,
            processes: PROCESSES,
            open_files: OPEN_FILES,
        })?;
        Ok(Self { process })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal; a server that is gone already does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Ends it now and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// How it ended, if it did, and the last that it said.
    pub(crate) fn ended(&mut self) -> Option<(ExitStatus, String)> {
        let status = self.process.ended()?;
        let said = self.process.output_tail();
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Some((status, last.to_owned()))
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
         auth-cookie={HELPER_FOLDER}/cookie",
        socket.display()
    ));
    modules
}
