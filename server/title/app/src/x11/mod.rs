//! X11 titles: Xwayland is started when the first client connects to our socket, ends with the last one,
//! and is started again for the next. smithay's own starter and window manager only go together and take
//! global sockets and lock files; with a socket of our own, both are ours.

mod clipboard;
mod server;
mod windows;
mod wm;

use std::{
    collections::VecDeque,
    os::unix::net::UnixListener,
    time::{Duration, Instant},
};

use smithay::reexports::calloop::{
    Interest, LoopHandle, Mode, PostAction, RegistrationToken, generic::Generic,
};

use crate::state::State;
pub(crate) use server::Server;
pub(crate) use windows::{Info, XWindow};
pub(crate) use wm::{Notice, WindowNotice, Wm};

/// Starts within [`WINDOW`] after which a server that keeps failing is left alone.
const STARTS: usize = 8;
const WINDOW: Duration = Duration::from_secs(30);

/// The X11 side of a session.
pub(crate) struct X11 {
    listener: UnixListener,
    waiting: RegistrationToken,
    starts: VecDeque<Instant>,
    pub(crate) server: Option<Server>,
}

impl X11 {
    /// Waits for the first X11 client.
    pub(crate) fn listen(
        events: &LoopHandle<'static, State>,
        listener: UnixListener,
    ) -> Result<Self, std::io::Error> {
        let own = listener.try_clone()?;
        let waiting = events
            .insert_source(Generic::new(listener, Interest::READ, Mode::Level), |_, _, state| {
                state.start_x11();
                // Xwayland accepts the client itself, and every later one.
                Ok(PostAction::Disable)
            })
            .map_err(|error| std::io::Error::other(error.error))?;
        Ok(Self { listener: own, waiting, starts: VecDeque::new(), server: None })
    }

    fn may_start(&mut self) -> bool {
        let now = Instant::now();
        self.starts.retain(|start| now.duration_since(*start) < WINDOW);
        self.starts.push_back(now);
        self.starts.len() <= STARTS
    }
}

impl State {
    fn start_x11(&mut self) {
        let Some(x11) = &mut self.x11 else { return };
        if x11.server.is_some() {
            return;
        }
        if !x11.may_start() {
            tracing::error!("Xwayland keeps ending; X11 clients are no longer served in this session");
            return;
        }
        let display = &mut self.display.clone();
        let gpu = self.settings.dmabuf.is_some();
        let started =
            Server::start(&x11.listener, gpu, &self.events, |stream| self.clients.admit(display, stream));
        match started {
            Ok(server) => x11.server = Some(server),
            Err(error) => {
                tracing::error!(%error, "Xwayland cannot be started; is the package xwayland there?");
            }
        }
    }

    /// The server has ended: its windows are gone, and the next client starts another.
    pub(crate) fn end_x11(&mut self) {
        self.drop_x11_windows();
        let Some(x11) = &mut self.x11 else { return };
        if x11.server.take().is_some()
            && let Err(error) = self.events.enable(&x11.waiting)
        {
            tracing::error!(%error, "later X11 clients will not be seen");
        }
    }

    pub(crate) fn wm(&self) -> Option<&Wm> {
        self.x11.as_ref()?.server.as_ref()?.wm.as_ref()
    }

    /// The window manager's thread has something to say.
    pub(crate) fn x11_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ready(wm) => {
                if let Some(server) = self.x11.as_mut().and_then(|x11| x11.server.as_mut()) {
                    server.wm = Some(wm);
                }
                self.offer_to_x11();
            }
            Notice::Gone => self.end_x11(),
            Notice::Copied(text) => self.copied(&text, true),
            Notice::Window(notice) => self.x11_window(notice),
        }
    }

    pub(crate) fn offer_to_x11(&self) {
        let text = self.clipboard.text();
        if let Some(wm) = self.wm()
            && !text.is_empty()
        {
            wm.offer(&text);
        }
    }
}
