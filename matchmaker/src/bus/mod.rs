//! Commands to nodes and events to pages, between the tasks that hold their sockets.
//!
//! [`Bus`] is a seam: [`InProcess`] serves one matchmaker process. Nothing here is a record; whoever
//! subscribes reads the store first, then listens.
//!
//! **Architecture invariant:** no queue grows without bound, and a slow reader is cut off, never
//! waited for.

mod in_process;

pub use in_process::InProcess;

use async_trait::async_trait;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{NodeId, PeerId, SessionId};

/// Commands that wait for a node whose link is down for a moment: offers and candidates of all its
/// sessions for three seconds fit many times over.
pub const NODE_QUEUE: usize = 1024;
/// Events that a page may lag behind before it is cut off.
pub const PAGE_QUEUE: usize = 128;
/// Pages that may listen to one session: four players, their reconnections, and viewers.
pub const MAX_PAGES: usize = 16;

/// Something that the pages of a session are told.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// For all pages.
    All(ToPage),
    /// For the page that owns this peer.
    Peer(PeerId, ToPage),
}

/// Why a message could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The node is not there, and not awaited either.
    #[error("the node is not connected")]
    Unreachable,
    /// The node does not read what it is sent.
    #[error("the node is too slow")]
    Full,
    /// As many pages listen as may.
    #[error("too many pages are connected to this session")]
    TooManyPages,
}

/// The seam.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Queues a command for a node.
    async fn command(&self, node: NodeId, command: ToNode) -> Result<(), BusError>;
    /// Reads a node's commands from now on; an older reader is told to stop. Commands that waited for
    /// a dropped link come first.
    async fn attach_node(&self, node: NodeId) -> Box<dyn NodeCommands>;
    /// The node is lost: what waits for it is dropped and its reader stops.
    async fn forget_node(&self, node: NodeId);
    /// Tells the pages of a session.
    async fn publish(&self, session: SessionId, event: SessionEvent);
    /// Listens to a session.
    async fn subscribe(&self, session: SessionId) -> Result<Box<dyn SessionEvents>, BusError>;
}

/// The reading end of a node's commands.
#[async_trait]
pub trait NodeCommands: Send + Sync {
    /// The number of this attachment: a newer one of the same node has a higher number.
    fn number(&self) -> u64;
    /// Whether a start of this session is waiting to be read.
    fn has_start(&self, session: SessionId) -> bool;
    /// The next command; `None` when another reader took over or the node was forgotten.
    async fn next(&mut self) -> Option<ToNode>;
}

/// The reading end of a session's events.
#[async_trait]
pub trait SessionEvents: Send {
    /// The next event; `None` when this reader was too slow and missed some.
    async fn next(&mut self) -> Option<SessionEvent>;
}
