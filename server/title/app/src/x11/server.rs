//! The Xwayland process, in a sandbox of its own: it reads what a hostile title sends.

use std::{
    ffi::OsString,
    io::Read,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::Stdio,
};

use nearframe_sandbox::{Helper, HelperProcess, helper_user};
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

/// Pictures of a title's windows lie in Xwayland, and so do pixmaps, of which a hostile title makes all it can.
const MEMORY_BYTES: u64 = 1 << 30;
/// Itself, its threads, and the compiler of keyboard layouts with its shell.
const PROCESSES: u64 = 32;
/// Clients and the memory of their pictures.
const OPEN_FILES: u64 = 2048;
/// What the window manager's thread may have said before it waits for us.
const NOTICES: usize = 256;

/// A running Xwayland. Dropping it ends it.
pub(crate) struct Server {
    process: HelperProcess,
    pub(crate) client: Client,
    /// Once it is ready.
    pub(crate) wm: Option<Wm>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let said = self.process.output_tail();
        if !said.is_empty() {
            tracing::debug!(target: "xwayland", "{said}");
        }
    }
}

impl Server {
    /// Starts Xwayland on our listening socket. `admit` makes its other end a Wayland client.
    pub(crate) fn start(
        listener: &UnixListener,
        gpu: bool,
        events: &LoopHandle<'static, State>,
        admit: impl FnOnce(UnixStream) -> Option<Client>,
    ) -> Result<Self, std::io::Error> {
        let (wm_ours, wm_theirs) = UnixStream::pair()?;
        let (wayland_ours, wayland_theirs) = UnixStream::pair()?;
        let (ready_ours, ready_theirs) = UnixStream::pair()?;
        ready_ours.set_nonblocking(true)?;
        let client = admit(wayland_ours).ok_or_else(|| std::io::Error::other("too many clients"))?;
        let listener: OwnedFd = listener.try_clone()?.into();
        let files = [listener.as_fd(), wm_theirs.as_fd(), wayland_theirs.as_fd(), ready_theirs.as_fd()];
        let process = HelperProcess::start(helper(files, gpu)).map_err(std::io::Error::other)?;
        let server = Self { process, client, wm: None };
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

/// The display's number is only a name here: clients connect to the socket that we hand over.
fn helper([listener, wm, wayland, ready]: [BorrowedFd<'_>; 4], gpu: bool) -> Helper<'_> {
    let number = |file: BorrowedFd<'_>| OsString::from(file.as_raw_fd().to_string());
    let mut command: Vec<OsString> = [
        "Xwayland",
        ":0",
        // System V shared memory is named by numbers of an IPC namespace, and the title has another than it.
        "-extension",
        "MIT-SHM",
        // The folder of the session is the access control.
        "-rootless",
        "-terminate",
        "-ac",
        "-nolisten",
        "tcp",
        "-nolisten",
        "local",
    ]
    .map(Into::into)
    .into();
    for (option, file) in [("-listenfd", listener), ("-wm", wm), ("-displayfd", ready)] {
        command.extend([option.into(), number(file)]);
    }
    Helper {
        command,
        env: vec![("XDG_RUNTIME_DIR".into(), "/tmp".into()), ("WAYLAND_SOCKET".into(), number(wayland))],
        folder: None,
        files: vec![listener, wm, wayland, ready],
        stdin: Stdio::null(),
        user: helper_user(),
        gpu,
        memory_bytes: MEMORY_BYTES,
        processes: PROCESSES,
        open_files: OPEN_FILES,
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
