//! What a title is started with.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::SandboxError;

/// The title's folder, and where it starts.
pub(crate) const TITLE: &str = "/title";
/// The title's home.
pub(crate) const HOME: &str = "/home/player";
/// `XDG_RUNTIME_DIR` inside.
pub(crate) const RUNTIME: &str = "/run/user/1000";
/// Our own binary inside, which becomes the title.
pub(crate) const INIT: &str = "/run/nearframe/init";
/// The user and group that a title sees itself as.
pub(crate) const PLAYER: u32 = 1000;
/// The user and group a title runs as outside when the agent is root (`nobody`).
pub(crate) const UNPRIVILEGED: u32 = 65534;

/// One title to be started. Everything that is not named here does not exist for it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program whose `title-init` sub-command calls [`crate::init`]; mostly our own executable.
    pub launcher: PathBuf,
    /// The title's program and its arguments. An absolute program is one of the system's or of
    /// `/title`; a relative one is a file of the title's folder.
    pub command: Vec<OsString>,
    /// The title's folder, read-only inside as `/title`, which is also where it starts.
    pub title_dir: PathBuf,
    /// The title's home, writable inside as `/home/player`. When the agent is root, it is handed to
    /// the unprivileged user that the title runs as.
    pub home: PathBuf,
    /// What of the session the title may reach: its sockets, its pads.
    pub binds: Vec<Bind>,
    /// Environment beside HOME, PATH, LANG, USER, TERM and `XDG_RUNTIME_DIR`; later entries win.
    pub env: Vec<(OsString, OsString)>,
    /// A shared object, by its path inside, that every program of the title loads first.
    pub preload: Option<PathBuf>,
    /// What the title may use up.
    pub limits: Limits,
    /// Whether the title may draw with the host's GPU: its render nodes and what drivers read of
    /// `/sys`. The GPU's driver is then part of what the title can attack.
    pub gpu: bool,
    /// Whether to use control groups where they can be had. Without, limits are those of the processes
    /// themselves and of a watchdog that looks four times a second.
    pub control_groups: bool,
    /// The session's private folder, where its sockets are made: refused where the title could see it as a
    /// whole, in its home or its own folder.
    pub dir: PathBuf,
    /// The title's name, which its watch has in lists of threads.
    pub name: String,
}

impl Launch {
    /// A title without binds, environment, preload or GPU, under the usual limits.
    pub fn new(
        launcher: impl Into<PathBuf>,
        command: Vec<OsString>,
        title_dir: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
        dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            launcher: launcher.into(),
            command,
            title_dir: title_dir.into(),
            home: home.into(),
            binds: Vec::new(),
            env: Vec::new(),
            preload: None,
            limits: Limits::default(),
            gpu: false,
            control_groups: true,
            dir: dir.into(),
            name: "title".to_owned(),
        }
    }
}

/// Something of the host that a title may reach.
#[derive(Debug, Clone)]
pub struct Bind {
    /// What it is on the host. When the agent is root, a socket is handed to the title's user.
    pub host: PathBuf,
    /// Where the title finds it: below `/run`, `/tmp`, `/dev`, `/etc` or `/sys`.
    pub inside: PathBuf,
    /// What the title may do with it.
    pub access: Access,
}

/// What a title may do with a [`Bind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it, and connect to it when it is a socket.
    ReadOnly,
    /// Write it as well.
    ReadWrite,
    /// Use it as the device that it is.
    Device,
}

/// What a title may use up. Beyond memory or home it is ended with the reason; of the rest it gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory, in bytes: everything that is not a file on disk, `/tmp` and `/dev/shm` included.
    pub memory_bytes: u64,
    /// Processes and threads together.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// What the home may hold, in bytes on disk.
    pub home_bytes: u64,
    /// What `/tmp` and `/dev/shm` may hold, in bytes each.
    pub tmp_bytes: u64,
    /// Share of the processor beside other titles, 1 to 10 000; 100 is one title's share.
    pub cpu_weight: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            processes: 512,
            open_files: 4096,
            home_bytes: 2 << 30,
            tmp_bytes: 512 << 20,
            cpu_weight: 100,
        }
    }
}

impl Limits {
    /// The limits, unless one of them is so small that not even the sandbox itself could start.
    pub(crate) fn checked(self) -> Result<Self, SandboxError> {
        let least = [
            ("memory_bytes", self.memory_bytes, 16 << 20),
            ("processes", self.processes, 1),
            ("open_files", self.open_files, 32),
            ("home_bytes", self.home_bytes, 4096),
            ("tmp_bytes", self.tmp_bytes, 4096),
            ("cpu_weight", self.cpu_weight, 1),
        ];
        for (name, value, least) in least {
            if value < least {
                return Err(SandboxError::Start(format!(
                    "the limit {name} is {value}; at least {least} is needed"
                )));
            }
        }
        Ok(self)
    }
}
