//! Pads without a kernel device: Unix sockets named like device nodes, and a preloaded library
//! (`shim/`) that makes them answer as devices.
//!
//! Below `pads` in the session's directory: `input/` is bound to `/dev/input` and holds one listening
//! socket for each node of a plugged pad; `run/` is bound to [`RUN`] and holds the library and the pads'
//! state; `staging/` is not bound. A socket is bound in `staging/`, listens, and is then linked into
//! `input/`: whoever sees a node can connect to it. The name it was bound by is what the library knows it
//! by (`getpeername`).

mod service;
mod wire;

use crate::Rumble;
use crate::error::PadsError;
use crate::report::Report;
use nearframe_protocol::input::MAX_PADS;
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use service::Service;
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where the title finds the library and the state; `shim/node.h` knows it too.
const RUN: &str = "/run/nearframe-pads";
const LIBRARY: &str = "libnearframe-pads.so";
const STATE: &str = "state";
/// Tells programs that they are in a container, where libudev finds nothing: SDL from 2.26 and Godot 4
/// then read `/dev/input` themselves (systemd's container interface).
const CONTAINER: &str = "container-manager";
/// The number of pad 0's event node; far from what real devices get.
const FIRST_EVENT: usize = 77;
/// Reports that wait for the thread. It keeps up with 1,000 a second; past this the newest report of a
/// pad replaces the one before.
const MAX_WAITING: usize = 256;

/// The library, compiled by `build.rs`.
static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pads.so"));

/// What kind of device a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Joystick,
}

impl Kind {
    fn node(self, pad: usize) -> String {
        match self {
            Self::Event => format!("event{}", FIRST_EVENT + pad),
            Self::Joystick => format!("js{pad}"),
        }
    }
}

/// The event nodes of all pads, plugged in or not, as the title sees them.
pub(crate) fn event_nodes() -> Vec<PathBuf> {
    (0..MAX_PADS).map(|pad| Path::new("/dev/input").join(Kind::Event.node(pad))).collect()
}

/// The library's path inside the sandbox.
pub(crate) fn preload() -> PathBuf {
    Path::new(RUN).join(LIBRARY)
}

/// What the frame thread and the service thread share.
#[derive(Debug)]
struct Shared {
    work: Mutex<Work>,
    rumble: Mutex<[Option<Rumble>; MAX_PADS]>,
    /// Readable while there is work.
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct Work {
    reports: VecDeque<(usize, Report)>,
    stop: bool,
}

/// A lock is held for a few moves of memory only, so a panic elsewhere leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wake(&self) {
        // It only fails when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// The pads of one session and the thread that serves them.
#[derive(Debug)]
pub(crate) struct Shim {
    folder: Folder,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Shim {
    pub(crate) fn start(session: &Path) -> Result<Self, PadsError> {
        let folder = Folder::create(session)?;
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| PadsError::Serve(errno.into()))?;
        let shared = Arc::new(Shared { work: Mutex::default(), rumble: Mutex::default(), wake });
        let mut service = Service::new(&folder.0, Arc::clone(&shared))?;
        service.plug(0).map_err(|source| PadsError::File { path: folder.0.join("input"), source })?;
        let thread = std::thread::Builder::new()
            .name("pads".to_owned())
            .spawn(move || service.run())
            .map_err(PadsError::Serve)?;
        Ok(Self { folder, shared, thread: Some(thread) })
    }

    pub(crate) fn binds(&self) -> Vec<(PathBuf, PathBuf, bool)> {
        vec![
            (self.folder.0.join("input"), PathBuf::from("/dev/input"), false),
            (self.folder.0.join("run"), PathBuf::from(RUN), false),
            (self.folder.0.join(CONTAINER), Path::new("/run/host").join(CONTAINER), false),
        ]
    }

    pub(crate) fn show(&self, pad: u8, report: Report) {
        let pad = usize::from(pad);
        {
            let mut work = locked(&self.shared.work);
            let full = work.reports.len() >= MAX_WAITING;
            match work.reports.iter_mut().rfind(|(waiting, _)| full && *waiting == pad) {
                Some((_, last)) => *last = report,
                None => work.reports.push_back((pad, report)),
            }
        }
        self.shared.wake();
    }

    pub(crate) fn take_rumble(&self) -> Option<Rumble> {
        locked(&self.shared.rumble).iter_mut().find_map(Option::take)
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        locked(&self.shared.work).stop = true;
        self.shared.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that served gamepads had panicked");
        }
    }
}

/// The files; dropping removes them.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create(session: &Path) -> Result<Self, PadsError> {
        let path = session.join("pads");
        let failed = |path: PathBuf| move |source: io::Error| PadsError::File { path, source };
        DirBuilder::new().mode(0o700).create(&path).map_err(failed(path.clone()))?;
        let folder = Self(path);
        for (name, mode) in [("input", 0o755), ("run", 0o755), ("staging", 0o700)] {
            let path = folder.0.join(name);
            fs::create_dir(&path).map_err(failed(path.clone()))?;
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(failed(path))?;
        }
        let state = [0; wire::STATE_LEN];
        for (name, content, mode) in [(LIBRARY, SHIM, 0o555), (STATE, &state[..], 0o644)] {
            let path = folder.0.join("run").join(name);
            fs::write(&path, content).map_err(failed(path.clone()))?;
            fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(failed(path))?;
        }
        let path = folder.0.join(CONTAINER);
        fs::write(&path, "nearframe\n").map_err(failed(path))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the gamepads' files stay behind");
        }
    }
}
