//! The handle of a session on its compositor's thread.

use std::{
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use smithay::reexports::{
    calloop::{
        EventLoop, Interest, LoopHandle, Mode, PostAction,
        channel::{self, Channel, Event as ChannelEvent},
        generic::Generic,
    },
    wayland_server::Display as WaylandDisplay,
};

use crate::{
    CompositorError, Event, Frame, FrameRequest, KeyboardLayout, Settings, Sockets, limits,
    state::{State, tick::run},
    x11::X11,
};

/// What a frame may take beyond the longest wait for the title. Reached only when the machine is starved;
/// the frame before is shown again then.
const BOUND: Duration = Duration::from_millis(50);
/// Longest path of a Unix socket.
const SOCKET_PATH: usize = 107;

/// A frame and the number of its request.
pub(crate) type Reply = (u64, Frame);

/// What the session tells the thread.
#[derive(Debug)]
enum Command {
    Frame(u64, FrameRequest, Sender<Reply>),
    Layout(KeyboardLayout),
    Clipboard(String),
    Resize(u32, u32, u32),
    Stop,
}

/// A running compositor. Dropping it ends its thread and Xwayland and removes its sockets.
#[derive(Debug)]
pub struct Compositor {
    commands: channel::Sender<Command>,
    replies: Sender<Reply>,
    answers: Receiver<Reply>,
    sockets: Sockets,
    thread: Option<JoinHandle<()>>,
    asked: u64,
    last: Frame,
    interval: Mutex<Duration>,
}

impl Compositor {
    /// Listens for the title and starts the thread.
    ///
    /// # Errors
    /// When the settings cannot be met or the folder cannot hold the sockets.
    pub fn start(settings: Settings) -> Result<(Self, Receiver<Event>), CompositorError> {
        check(&settings)?;
        let interval = Duration::from_secs(1) / settings.fps;
        let sockets = Sockets {
            wayland: settings.dir.join("wayland-0"),
            x11: settings.display.has_x11().then(|| settings.dir.join("X0")),
        };
        let wayland = Listener::bind(&sockets.wayland)?;
        let x11 = sockets.x11.as_deref().map(Listener::bind).transpose()?;
        let (events, receiver) = mpsc::sync_channel(limits::EVENTS);
        let (commands, orders) = channel::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("compositor".into())
            .spawn(move || {
                let outcome = set_up(settings, events, orders, wayland, x11);
                match outcome {
                    Ok((mut event_loop, mut state, _sockets)) => {
                        let _ = ready.send(Ok(()));
                        run(&mut event_loop, &mut state);
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            })
            .map_err(|error| CompositorError::Setup(format!("no thread: {error}")))?;
        started.recv().map_err(|_| CompositorError::Stopped)??;
        let (replies, answers) = mpsc::channel();
        let compositor = Self {
            commands,
            replies,
            answers,
            sockets,
            thread: Some(thread),
            asked: 0,
            last: Frame::default(),
            interval: Mutex::new(interval),
        };
        Ok((compositor, receiver))
    }

    /// Where the title connects.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// One tick of the frame clock: applies the inputs, calls the title, waits for it if that is worth
    /// while, and returns what it shows. When the thread does not answer within its bound, the frame
    /// before is returned as unchanged.
    ///
    /// # Errors
    /// When the compositor has stopped.
    pub fn frame(&mut self, request: FrameRequest) -> Result<Frame, CompositorError> {
        self.asked += 1;
        let asked = self.asked;
        self.send(Command::Frame(asked, request, self.replies.clone()))?;
        let interval = self.interval.lock().map_or(Duration::from_millis(20), |interval| *interval);
        let deadline = Instant::now() + interval + BOUND;
        loop {
            match self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((number, frame)) => {
                    self.last = frame;
                    if number == asked {
                        return Ok(self.last.clone());
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.is_running() => {
                    return Ok(Frame { changed: false, ..self.last.clone() });
                }
                Err(_) => return Err(CompositorError::Stopped),
            }
        }
    }

    /// The player has another keyboard layout.
    pub fn set_layout(&self, layout: KeyboardLayout) {
        self.tell(Command::Layout(layout));
    }

    /// The player has copied text, at most 1 MiB.
    pub fn set_clipboard(&self, text: String) {
        self.tell(Command::Clipboard(text));
    }

    /// The session has another resolution or rate; sizes out of range are ignored.
    pub fn resize(&self, width: u32, height: u32, fps: u32) {
        if !size_is_possible(width, height, fps) {
            tracing::warn!(width, height, fps, "this size is not possible; the old one stays");
            return;
        }
        if let Ok(mut interval) = self.interval.lock() {
            *interval = Duration::from_secs(1) / fps;
        }
        self.tell(Command::Resize(width, height, fps));
    }

    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn send(&self, command: Command) -> Result<(), CompositorError> {
        self.commands.send(command).map_err(|_| CompositorError::Stopped)
    }

    /// A compositor that has stopped says so at the next frame.
    fn tell(&self, command: Command) {
        if let Err(error) = self.send(command) {
            tracing::debug!(%error, "not told");
        }
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the compositor's thread has panicked");
        }
    }
}

fn size_is_possible(width: u32, height: u32, fps: u32) -> bool {
    let edge = 16..=limits::BUFFER_EDGE as u32;
    edge.contains(&width) && edge.contains(&height) && (1..=500).contains(&fps)
}

fn check(settings: &Settings) -> Result<(), CompositorError> {
    if !size_is_possible(settings.width, settings.height, settings.fps) {
        return Err(CompositorError::Settings("width and height must be 16 to 8192, fps 1 to 500"));
    }
    if settings.dir.as_os_str().len() + "/wayland-0".len() > SOCKET_PATH {
        return Err(CompositorError::Settings("the folder's path must be at most 97 bytes long"));
    }
    Ok(())
}

/// A listening socket that removes its file when it goes.
pub(crate) struct Listener {
    pub(crate) socket: UnixListener,
    path: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a socket was gone already");
        }
    }
}

impl Listener {
    fn bind(path: &Path) -> Result<Self, CompositorError> {
        let failed = |source| CompositorError::Listen { path: path.to_owned(), source };
        let socket = UnixListener::bind(path).map_err(failed)?;
        let file = SocketFile(path.to_owned());
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket, path: file })
    }
}

type Running = (EventLoop<'static, State>, State, Vec<SocketFile>);

fn set_up(
    settings: Settings,
    events: mpsc::SyncSender<Event>,
    orders: Channel<Command>,
    wayland: Listener,
    x11: Option<Listener>,
) -> Result<Running, CompositorError> {
    let failed = |error: &dyn std::fmt::Display| CompositorError::Setup(error.to_string());
    let event_loop = EventLoop::try_new().map_err(|error| failed(&error))?;
    let display = WaylandDisplay::<State>::new().map_err(|error| failed(&error))?;
    let handle = event_loop.handle();
    let mut state = State::new(display.handle(), handle.clone(), settings, events)?;
    let mut files = vec![wayland.path];
    if let Some(x11) = x11 {
        files.push(x11.path);
        state.x11 = Some(X11::listen(&handle, x11.socket).map_err(|error| failed(&error))?);
    }
    obey(&handle, orders).map_err(|error| failed(&error))?;
    serve(&handle, display, wayland.socket).map_err(|error| failed(&error))?;
    Ok((event_loop, state, files))
}

fn obey(handle: &LoopHandle<'static, State>, orders: Channel<Command>) -> Result<(), std::io::Error> {
    handle
        .insert_source(orders, |event, (), state| match event {
            ChannelEvent::Msg(Command::Frame(number, request, reply)) => {
                state.begin_frame(number, request, reply);
            }
            ChannelEvent::Msg(Command::Layout(layout)) => state.set_layout(layout),
            ChannelEvent::Msg(Command::Clipboard(text)) => state.set_clipboard(&text),
            ChannelEvent::Msg(Command::Resize(width, height, fps)) => state.resize(width, height, fps),
            ChannelEvent::Msg(Command::Stop) | ChannelEvent::Closed => state.stop = true,
        })
        .map(drop)
        .map_err(|error| std::io::Error::other(error.error))
}

#[allow(unsafe_code)]
fn serve(
    handle: &LoopHandle<'static, State>,
    display: WaylandDisplay<State>,
    socket: UnixListener,
) -> Result<(), std::io::Error> {
    let other = |error: smithay::reexports::calloop::Error| std::io::Error::other(error);
    handle
        .insert_source(Generic::new(socket, Interest::READ, Mode::Level), |_, socket, state| {
            if let Ok((stream, _)) = socket.accept() {
                let mut display = state.display.clone();
                state.clients.admit(&mut display, stream);
            }
            Ok(PostAction::Continue)
        })
        .map_err(|error| other(error.error))?;
    handle
        .insert_source(Generic::new(display, Interest::READ, Mode::Level), |_, display, state| {
            // SAFETY: the display is not dropped or replaced, only dispatched.
            let display = unsafe { display.get_mut() };
            display.dispatch_clients(state)?;
            Ok(PostAction::Continue)
        })
        .map_err(|error| other(error.error))?;
    Ok(())
}
