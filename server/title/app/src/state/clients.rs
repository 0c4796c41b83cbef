//! Who is connected: counted, bounded, and told apart from our own Xwayland.

use std::{
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use smithay::{
    reexports::wayland_server::{
        Client, DisplayHandle,
        backend::{ClientData, ClientId, DisconnectReason, protocol::ProtocolError},
    },
    wayland::compositor::CompositorClientState,
};

use crate::limits;

/// `wl_display.error.no_memory`.
const NO_MEMORY: u32 = 2;

/// What we keep of each client.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    pub(crate) compositor: CompositorClientState,
    connected: Arc<AtomicUsize>,
    /// A client that is ended more than once leaves more than once.
    has_left: AtomicBool,
}

impl ClientData for ClientState {
    fn initialized(&self, _: ClientId) {}
    fn disconnected(&self, _: ClientId, reason: DisconnectReason) {
        if !self.has_left.swap(true, Ordering::Relaxed) {
            self.connected.fetch_sub(1, Ordering::Relaxed);
            tracing::debug!(?reason, "a client has left");
        }
    }
}

/// The clients connected now.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    connected: Arc<AtomicUsize>,
}

impl Clients {
    /// Lets a client in, unless too many are.
    pub(crate) fn admit(&self, display: &mut DisplayHandle, stream: UnixStream) -> Option<Client> {
        if self.connected.load(Ordering::Relaxed) >= limits::CLIENTS {
            tracing::warn!(limit = limits::CLIENTS, "the title opens too many connections; one was refused");
            return None;
        }
        self.connected.fetch_add(1, Ordering::Relaxed);
        let state = ClientState {
            compositor: CompositorClientState::default(),
            connected: Arc::clone(&self.connected),
            has_left: AtomicBool::new(false),
        };
        display
            .insert_client(stream, Arc::new(state))
            .inspect_err(|error| {
                self.connected.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(%error, "a client could not be let in");
            })
            .ok()
    }
}

/// Ends a client that takes more than its share.
pub(crate) fn expel(display: &DisplayHandle, client: &Client, why: &str) {
    tracing::warn!(why, "a client of the title is ended");
    client.kill(
        display,
        ProtocolError {
            code: NO_MEMORY,
            object_id: 1,
            object_interface: "wl_display".into(),
            message: why.into(),
        },
    );
}
