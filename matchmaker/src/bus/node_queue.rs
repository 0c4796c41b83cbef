//! Commands that wait for a node's link.

use super::{BusError, NODE_QUEUE, NodeCommands};
use async_trait::async_trait;
use nearframe_protocol::SessionId;
use nearframe_protocol::link::ToNode;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What makes a command recognisable when it comes twice.
pub(super) type CommandId = u64;

/// A command with its id.
pub(super) type Numbered = (CommandId, ToNode);

/// A start comes by several ways (at once, after a hello, handed over) and is the same each time; anything else
/// is known by the dice that its sender threw.
pub(super) fn id_of(command: &ToNode) -> CommandId {
    if let ToNode::Start { session, generation, .. } = command {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"start").update(session.as_bytes()).update(&generation.0.to_le_bytes());
        let mut id = [0; 8];
        hasher.finalize_xof().fill(&mut id);
        return u64::from_le_bytes(id);
    }
    u64::from_le_bytes(crate::random::bytes())
}

/// The queue of one node.
#[derive(Debug)]
pub(super) struct NodeQueue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// The link that may read; `None` after the node was forgotten.
    link: Option<u64>,
    /// Whether that link still does.
    read: bool,
    commands: VecDeque<Numbered>,
    /// Ids of what this link was given, so that nothing is given twice.
    known: VecDeque<CommandId>,
}

impl NodeQueue {
    pub(super) fn new(link: u64) -> Self {
        let waiting =
            Waiting { link: Some(link), read: false, commands: VecDeque::new(), known: VecDeque::new() };
        Self { waiting: Mutex::new(waiting), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, (id, command): Numbered) -> Result<(), BusError> {
        let mut waiting = self.lock();
        if waiting.link.is_none() {
            return Err(BusError::Unreachable);
        }
        if waiting.known.contains(&id) {
            return Ok(());
        }
        if waiting.commands.len() >= NODE_QUEUE {
            return Err(BusError::Full);
        }
        if waiting.known.len() >= NODE_QUEUE {
            waiting.known.pop_front();
        }
        waiting.known.push_back(id);
        waiting.commands.push_back((id, command));
        drop(waiting);
        self.changed.notify_waiters();
        Ok(())
    }

    /// A link reads from now on; false where a newer one does already.
    pub(super) fn attach(&self, link: u64) -> bool {
        let mut waiting = self.lock();
        let newest = waiting.link.is_some_and(|reader| reader <= link);
        if newest {
            waiting.link = Some(link);
            waiting.read = true;
            // What an older link was given and did not deliver may come again to this one.
            waiting.known = waiting.commands.iter().map(|(id, _)| *id).collect();
        }
        drop(waiting);
        self.changed.notify_waiters();
        newest
    }

    /// The link that reads, or is awaited.
    pub(super) fn link(&self) -> Option<u64> {
        self.lock().link
    }

    /// Whether a link reads now.
    pub(super) fn is_read(&self) -> bool {
        let waiting = self.lock();
        waiting.read && waiting.link.is_some()
    }

    /// Ends the queue and takes what waits.
    pub(super) fn close(&self) -> Vec<Numbered> {
        let mut waiting = self.lock();
        waiting.link = None;
        let left = waiting.commands.drain(..).collect();
        drop(waiting);
        self.changed.notify_waiters();
        left
    }
}

/// One link at a queue.
pub(super) struct Attached {
    pub(super) link: u64,
    pub(super) queue: Arc<NodeQueue>,
}

#[async_trait]
impl NodeCommands for Attached {
    fn has_start(&self, wanted: SessionId) -> bool {
        let starts =
            |(_, command): &Numbered| matches!(command, ToNode::Start { session, .. } if *session == wanted);
        self.queue.lock().commands.iter().any(starts)
    }
    async fn next(&mut self) -> Option<ToNode> {
        loop {
            let mut changed = std::pin::pin!(self.queue.changed.notified());
            changed.as_mut().enable();
            {
                let mut waiting = self.queue.lock();
                if waiting.link != Some(self.link) {
                    return None;
                }
                if let Some((_, command)) = waiting.commands.pop_front() {
                    return Some(command);
                }
            }
            changed.await;
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        if waiting.link == Some(self.link) {
            waiting.read = false;
        }
    }
}
