//! A Wayland client: windows drawn in shared memory, and everything that a compositor tells a game.
//!
//! [`Client`] turns protocol events into [`Happening`]s, which are handled one after the other outside of the
//! dispatch; it decides nothing itself.

mod devices;
mod globals;
mod surface;
mod window;

pub(crate) use surface::Manners;
pub(crate) use window::{Place, WindowId};

use anyhow::{Context, Result};
use globals::Globals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_pointer::WlPointer;
use wayland_client::protocol::wl_seat::Capability;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, EventQueue, QueueHandle};
use window::Window;

/// One thing that a compositor told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    /// The window wants its next picture.
    Frame(WindowId),
    /// The compositor wants the window gone.
    Closed(WindowId),
    /// A key by its evdev code.
    Key { code: u32, down: bool },
    /// What keys write, in xkb's text format.
    Keymap(String),
    /// Which modifiers hold: depressed, latched, locked, and the group.
    Modifiers([u32; 4]),
    /// All keys are to be forgotten: the keyboard went elsewhere.
    KeysLost,
    /// A pointer's button by its evdev code.
    Button { code: u32, down: bool },
    /// The pointer is here, in px of the window that it is over.
    Position { x: f64, y: f64 },
    /// The wheel turned.
    Wheel,
    /// The pointer came into a window; a cursor is to be chosen.
    Entered,
    /// Relative motion, not accelerated, in px.
    Motion { dx: f64, dy: f64 },
    /// The pointer was locked or freed.
    Locked(bool),
    /// A finger is here.
    Touch { id: i32, x: f64, y: f64, begins: bool },
    /// A finger is gone.
    TouchEnd { id: i32 },
    /// All fingers are gone.
    TouchCancel,
    /// An input method became available for the window or ceased to be.
    TextReady(bool),
    /// An input method gave text.
    Text(String),
}

impl Happening {
    /// Whether a page counts it as an input event.
    fn is_input(&self) -> bool {
        match self {
            Self::Key { .. }
            | Self::Button { .. }
            | Self::Position { .. }
            | Self::Wheel
            | Self::Motion { .. }
            | Self::Touch { .. }
            | Self::TouchEnd { .. } => true,
            Self::Frame(_)
            | Self::Closed(_)
            | Self::KeysLost
            | Self::Keymap(_)
            | Self::Modifiers(_)
            | Self::Entered
            | Self::Locked(_)
            | Self::TouchCancel
            | Self::TextReady(_)
            | Self::Text(_) => false,
        }
    }
}

/// What the client knows.
pub(crate) struct Client {
    globals: Globals,
    queue: QueueHandle<Self>,
    windows: BTreeMap<WindowId, Window>,
    last_window: u32,
    happenings: VecDeque<Happening>,
    /// Size of the game's window unless the compositor names one.
    size: (usize, usize),
    /// Input events so far.
    pub(crate) inputs: u32,
    /// Devices that are listened to.
    taken: Capability,
    pointer: Option<WlPointer>,
    cursor: Option<(WlSurface, WlBuffer)>,
    /// Serials of the newest pointer entry and of the newest key or button.
    entered: u32,
    pressed: u32,
    wheel_turned: bool,
    text: String,
}

impl Client {
    /// Keeps what happened until it is asked for.
    fn tell(&mut self, happening: Happening) {
        self.inputs = self.inputs.wrapping_add(u32::from(happening.is_input()));
        self.happenings.push_back(happening);
    }

    /// The next thing that happened.
    pub(crate) fn next(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }
}

/// The connection to a compositor.
pub(crate) struct Link {
    queue: EventQueue<Client>,
    pub(crate) client: Client,
}

impl Link {
    /// Connects as `WAYLAND_DISPLAY` says.
    pub(crate) fn connect(size: (usize, usize)) -> Result<Self> {
        let connection = Connection::connect_to_env().context("connecting to the Wayland compositor")?;
        let (list, queue) = wayland_client::globals::registry_queue_init::<Client>(&connection)
            .context("asking the compositor what it offers")?;
        let handle = queue.handle();
        let globals = Globals::bind(&list, &handle)?;
        let client = Client {
            globals,
            queue: handle,
            windows: BTreeMap::new(),
            last_window: 0,
            happenings: VecDeque::new(),
            size,
            inputs: 0,
            taken: Capability::empty(),
            pointer: None,
            cursor: None,
            entered: 0,
            pressed: 0,
            wheel_turned: false,
            text: String::new(),
        };
        Ok(Self { queue, client })
    }

    /// Waits until something happened or it is `until`.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Result<()> {
        loop {
            let congested = self.flush()?;
            self.queue.dispatch_pending(&mut self.client).context("the compositor ended the connection")?;
            if !self.client.happenings.is_empty() {
                return Ok(());
            }
            let Some(guard) = self.queue.prepare_read() else { continue };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let interest = if congested { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let mut fds = [PollFd::from_borrowed_fd(guard.connection_fd(), interest)];
            let timeout = left.map(timespec);
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(()),
                Ok(_) if fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                    match guard.read() {
                        Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        other => drop(other.context("reading from the compositor")?),
                    }
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for the compositor"),
            }
        }
    }

    /// Sends what is queued; true if the compositor does not take it at the moment.
    fn flush(&self) -> Result<bool> {
        match self.queue.flush() {
            Ok(()) => Ok(false),
            Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error).context("sending to the compositor"),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    // The kernel rounds to nanoseconds; far times do not occur.
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
