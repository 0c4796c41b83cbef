//! The Xwayland process.

use std::{
    io::{BufRead, BufReader, Read},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Signal, set_parent_process_death_signal},
};
use smithay::reexports::{
    calloop::{
        Interest, LoopHandle, Mode, PostAction,
        channel::{self, Event as ChannelEvent},
        generic::Generic,
    },
    wayland_server::Client,
};

use super::{Notice, Wm};
use crate::state::State;

/// Lines of Xwayland's own messages that are passed on.
const MESSAGES: usize = 200;
/// What the window manager's thread may have said before it waits for us.
const NOTICES: usize = 256;

/// A running Xwayland. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) client: Client,
    /// Once it is ready.
    pub(crate) wm: Option<Wm>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::warn!(%error, "Xwayland could not be ended");
        }
    }
}

impl Server {
    /// Starts Xwayland on our listening socket. `admit` makes its other end a Wayland client.
    pub(crate) fn start(
        listener: &UnixListener,
        dir: &Path,
        events: &LoopHandle<'static, State>,
        admit: impl FnOnce(UnixStream) -> Option<Client>,
    ) -> Result<Self, std::io::Error> {
        let (wm_ours, wm_theirs) = UnixStream::pair()?;
        let (wayland_ours, wayland_theirs) = UnixStream::pair()?;
        let (ready_ours, ready_theirs) = UnixStream::pair()?;
        ready_ours.set_nonblocking(true)?;
        let client = admit(wayland_ours).ok_or_else(|| std::io::Error::other("too many clients"))?;
        let listener: OwnedFd = listener.try_clone()?.into();
        let mut command = command(
            dir,
            listener.as_raw_fd(),
            wm_theirs.as_raw_fd(),
            wayland_theirs.as_raw_fd(),
            ready_theirs.as_raw_fd(),
        );
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            std::thread::Builder::new().name("xwayland-log".into()).spawn(move || log(stderr))?;
        }
        let server = Self { child, client, wm: None };
        let mut wm = Some(wm_ours);
        // Its ends close with it, so that whoever reads ours sees when it has ended.
        drop((listener, wm_theirs, wayland_theirs, ready_theirs));
        let manage = events.clone();
        events
            .insert_source(Generic::new(ready_ours, Interest::READ, Mode::Level), move |_, ready, state| {
                let mut number = [0; 16];
                match (&**ready).read(&mut number) {
                    Ok(0) | Err(_) => state.end_x11(),
                    Ok(len) if !number[..len].contains(&b'\n') => return Ok(PostAction::Continue),
                    Ok(_) => {
                        if let Some(Err(error)) = wm.take().map(|stream| manage_windows(&manage, stream)) {
                            tracing::error!(%error, "X11 windows cannot be managed");
                            state.end_x11();
                        }
                    }
                }
                Ok(PostAction::Remove)
            })
            .map_err(|error| std::io::Error::other(error.error))?;
        Ok(server)
    }
}

/// Users that nobody has, of which a session's helpers take one when nearframe is root.
const FIRST_USER: u32 = 61_184;
const USERS: u32 = 4_336;

/// The display's number is only a name here: clients connect to the socket that we hand over. It differs
/// from server to server because their keyboard compilers share a folder for temporary files.
fn command(dir: &Path, listener: RawFd, wm: RawFd, wayland: RawFd, ready: RawFd) -> Command {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = (std::process::id() % 40_000) + 1_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000;
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        // It reads what a hostile title sends: as a user of its own, without a capability.
        let user = (FIRST_USER + std::process::id() % USERS).to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    }
    command
        .args(["--no-new-privs", "--pdeathsig", "KILL", "--", "Xwayland"])
        .arg(format!(":{number}"))
        // System V shared memory is named by numbers of an IPC namespace, and the title has another than we: a
        // number of its own would mean somebody else's memory here.
        .args(["-extension", "MIT-SHM"])
        // The folder of the session is the access control.
        .args(["-rootless", "-terminate", "-ac", "-nolisten", "tcp", "-nolisten", "local"])
        .args(["-listenfd", &listener.to_string()])
        .args(["-wm", &wm.to_string()])
        .args(["-displayfd", &ready.to_string()])
        .env_clear()
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", dir)
        .env("WAYLAND_SOCKET", wayland.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    inherit(&mut command, [listener, wm, wayland, ready]);
    command
}

/// Lets the child have these descriptors, and makes it end with the thread that starts it.
#[allow(unsafe_code)]
fn inherit(command: &mut Command, descriptors: [RawFd; 4]) {
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        for fd in descriptors {
            // SAFETY: the caller keeps these descriptors open until the child has been started, and the
            // child has copies of its own after the fork.
            fcntl_setfd(unsafe { BorrowedFd::borrow_raw(fd) }, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only `prctl` and `fcntl` are called, both async-signal-safe; nothing
    // allocates or locks.
    unsafe {
        command.pre_exec(prepare);
    }
}

fn manage_windows(events: &LoopHandle<'static, State>, stream: UnixStream) -> Result<(), std::io::Error> {
    let (notices, receiver) = channel::sync_channel(NOTICES);
    events
        .insert_source(receiver, |event, (), state| match event {
            ChannelEvent::Msg(notice) => state.x11_notice(notice),
            ChannelEvent::Closed => state.x11_notice(Notice::Gone),
        })
        .map_err(|error| std::io::Error::other(error.error))?;
    Wm::start(stream, notices)
}

fn log(stderr: ChildStderr) {
    // What is not passed on is read all the same, so that the server never waits for us.
    for (number, line) in BufReader::new(stderr).lines().map_while(Result::ok).enumerate() {
        if number < MESSAGES {
            tracing::debug!(target: "xwayland", "{line}");
        }
    }
}
