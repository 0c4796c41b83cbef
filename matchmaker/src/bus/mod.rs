//! Commands to nodes, events to pages and the talk of replicas, between the tasks that hold the sockets.
//!
//! [`Bus`] is a seam: [`InProcess`] serves one process; [`Replicated`] serves many over a [`network::Network`],
//! which is NATS ([`network::Nats`]) or a simulated one that loses and delays ([`network::Simulated`]). Nothing
//! here is a record; whoever subscribes reads the store first, then listens.
//!
//! **Architecture invariant:** no queue grows without bound, and a slow reader is cut off, never
//! waited for. A message that comes late, twice or in another order changes nothing.

mod in_process;
pub mod network;
mod node_queue;
mod replicated;
pub mod words;

pub use in_process::InProcess;
pub use replicated::Replicated;

use async_trait::async_trait;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{NodeId, PeerId, SessionId};
use serde::{Deserialize, Serialize};
use words::{Answer, Question, ReplicaId, Said};

/// Commands that wait for a node whose link is down for a moment: offers and candidates of all its
/// sessions for three seconds fit many times over.
pub const NODE_QUEUE: usize = 1024;
/// Events that a page may lag behind before it is cut off.
pub const PAGE_QUEUE: usize = 128;
/// Pages that may listen to one session: four players, their reconnections, and viewers.
pub const MAX_PAGES: usize = 16;
/// Announcements that a replica may lag behind before it asks for everything again.
pub const ANNOUNCEMENTS: usize = 8192;
/// Questions that wait for a replica; one that answers slower than this is as good as away.
pub const QUESTIONS: usize = 1024;

/// Something that the pages of a session are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SessionEvent {
    /// For all pages.
    All(ToPage),
    /// For the page that owns this peer.
    Peer(PeerId, ToPage),
}

/// Why a message could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BusError {
    /// Who was meant is not there, and not awaited either.
    #[error("not connected")]
    Unreachable,
    /// Nobody answered: it may have arrived, or not.
    #[error("no answer")]
    Silent,
    /// Who was meant does not read what it is sent.
    #[error("too slow")]
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
    /// Reads a node's commands from now on, by the link of this number; an older reader is told to stop, wherever
    /// it is. Commands that waited for an older link come as well. Where a newer link reads already, there is
    /// nothing to read.
    async fn attach_node(&self, node: NodeId, link: u64) -> Box<dyn NodeCommands>;
    /// The node is lost to this link and all before it: what waits is dropped and a reader stops.
    async fn forget_node(&self, node: NodeId, link: u64);
    /// Tells the pages of a session.
    async fn publish(&self, session: SessionId, event: SessionEvent);
    /// Listens to a session.
    async fn subscribe(&self, session: SessionId) -> Result<Box<dyn SessionEvents>, BusError>;
    /// Tells all replicas.
    async fn announce(&self, said: Said);
    /// Listens to what replicas say; the own words may be among them.
    async fn announcements(&self) -> Result<Box<dyn Announcements>, BusError>;
    /// Asks one replica. An error says nothing about whether the question was heard.
    async fn ask(&self, replica: ReplicaId, question: Question) -> Result<Answer, BusError>;
    /// Takes the questions to a replica.
    async fn questions(&self, replica: ReplicaId) -> Result<Box<dyn Questions>, BusError>;
}

/// The reading end of a node's commands.
#[async_trait]
pub trait NodeCommands: Send + Sync {
    /// Whether a start of this session is waiting to be read.
    fn has_start(&self, session: SessionId) -> bool;
    /// The next command; `None` when another reader took over or the node was forgotten.
    async fn next(&mut self) -> Option<ToNode>;
}

/// The reading end of a session's events.
#[async_trait]
pub trait SessionEvents: Send {
    /// The next event; `None` when this reader missed some.
    async fn next(&mut self) -> Option<SessionEvent>;
}

/// What comes from other replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Something was said.
    Said(Box<Said>),
    /// Something was missed: whoever needs it asks again.
    Gap,
}

/// The reading end of announcements.
#[async_trait]
pub trait Announcements: Send {
    /// The next one; `None` when the bus is closed.
    async fn next(&mut self) -> Option<Heard>;
}

/// A question with the way back to who asked.
pub struct Asked {
    /// What is asked.
    pub question: Question,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

impl Asked {
    pub(crate) fn new(question: Question, reply: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self { question, reply: Box::new(reply) }
    }
    /// Answers; whoever asked may be gone.
    pub fn answer(self, answer: Answer) {
        (self.reply)(answer);
    }
}

/// The reading end of questions.
#[async_trait]
pub trait Questions: Send {
    /// The next one; `None` when the bus is closed.
    async fn next(&mut self) -> Option<Asked>;
}
