//! The bus of one process: bounded queues behind a lock that is never held across an await.

use super::{Bus, BusError, MAX_PAGES, NODE_QUEUE, NodeCommands, PAGE_QUEUE, SessionEvent, SessionEvents};
use async_trait::async_trait;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::{NodeId, SessionId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast};

/// A [`Bus`] within one process.
#[derive(Debug, Default)]
pub struct InProcess {
    nodes: Mutex<HashMap<NodeId, Arc<NodeQueue>>>,
    sessions: Arc<Mutex<Sessions>>,
    attachments: std::sync::atomic::AtomicU64,
}

type Sessions = HashMap<SessionId, broadcast::Sender<SessionEvent>>;

#[derive(Debug, Default)]
struct NodeQueue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The attachment that may read; 0 after the node was forgotten.
    reader: u64,
    commands: VecDeque<ToNode>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InProcess {
    /// A bus that nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Bus for InProcess {
    async fn command(&self, node: NodeId, command: ToNode) -> Result<(), BusError> {
        let queue = lock(&self.nodes).get(&node).cloned().ok_or(BusError::Unreachable)?;
        let mut waiting = lock(&queue.waiting);
        if waiting.commands.len() >= NODE_QUEUE {
            return Err(BusError::Full);
        }
        waiting.commands.push_back(command);
        drop(waiting);
        queue.changed.notify_waiters();
        Ok(())
    }

    async fn attach_node(&self, node: NodeId) -> Box<dyn NodeCommands> {
        let number = 1 + self.attachments.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let queue = lock(&self.nodes).entry(node).or_default().clone();
        lock(&queue.waiting).reader = number;
        queue.changed.notify_waiters();
        Box::new(Attached { number, queue })
    }

    async fn forget_node(&self, node: NodeId) {
        if let Some(queue) = lock(&self.nodes).remove(&node) {
            *lock(&queue.waiting) = Waiting::default();
            queue.changed.notify_waiters();
        }
    }

    async fn publish(&self, session: SessionId, event: SessionEvent) {
        if let Some(sender) = lock(&self.sessions).get(&session) {
            // An error means that the last page has just gone.
            let _ = sender.send(event);
        }
    }

    async fn subscribe(&self, session: SessionId) -> Result<Box<dyn SessionEvents>, BusError> {
        let mut sessions = lock(&self.sessions);
        let sender = sessions.entry(session).or_insert_with(|| broadcast::channel(PAGE_QUEUE).0);
        if sender.receiver_count() >= MAX_PAGES {
            return Err(BusError::TooManyPages);
        }
        let events = Some(sender.subscribe());
        Ok(Box::new(Subscribed { session, events, sessions: Arc::clone(&self.sessions) }))
    }
}

struct Attached {
    number: u64,
    queue: Arc<NodeQueue>,
}

#[async_trait]
impl NodeCommands for Attached {
    fn number(&self) -> u64 {
        self.number
    }
    fn has_start(&self, wanted: SessionId) -> bool {
        let starts =
            |command: &ToNode| matches!(command, ToNode::Start { session, .. } if *session == wanted);
        lock(&self.queue.waiting).commands.iter().any(starts)
    }
    async fn next(&mut self) -> Option<ToNode> {
        loop {
            let mut changed = std::pin::pin!(self.queue.changed.notified());
            changed.as_mut().enable();
            {
                let mut waiting = lock(&self.queue.waiting);
                if waiting.reader != self.number {
                    return None;
                }
                if let Some(command) = waiting.commands.pop_front() {
                    return Some(command);
                }
            }
            changed.await;
        }
    }
}

struct Subscribed {
    session: SessionId,
    /// Taken only when dropped.
    events: Option<broadcast::Receiver<SessionEvent>>,
    sessions: Arc<Mutex<Sessions>>,
}

#[async_trait]
impl SessionEvents for Subscribed {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.events.as_mut()?.recv().await.ok()
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let mut sessions = lock(&self.sessions);
        self.events = None;
        if sessions.get(&self.session).is_some_and(|sender| sender.receiver_count() == 0) {
            sessions.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::EndReason;
    use nearframe_protocol::signal::ToPage;

    fn node() -> NodeId {
        NodeId::from_random([1; 16])
    }
    fn stop(n: u8) -> ToNode {
        ToNode::Stop { session: SessionId::from_random([n; 16]), reason: EndReason::PlayerLeft }
    }
    fn event() -> SessionEvent {
        SessionEvent::All(ToPage::Error { code: "x".into(), message: String::new() })
    }

    #[tokio::test]
    async fn commands_wait_for_a_link_that_comes_back_and_the_older_link_stops() {
        let bus = InProcess::new();
        assert_eq!(bus.command(node(), stop(1)).await, Err(BusError::Unreachable));
        let mut older = bus.attach_node(node()).await;
        bus.command(node(), stop(1)).await.unwrap();
        bus.command(node(), stop(2)).await.unwrap();
        assert_eq!(older.next().await, Some(stop(1)));
        let mut newer = bus.attach_node(node()).await;
        assert!(newer.number() > older.number());
        assert_eq!(older.next().await, None);
        assert_eq!(newer.next().await, Some(stop(2)));
        bus.forget_node(node()).await;
        assert_eq!(newer.next().await, None);
    }

    #[tokio::test]
    async fn a_node_that_does_not_read_fills_its_queue_and_no_more() {
        let bus = InProcess::new();
        let _link = bus.attach_node(node()).await;
        for _ in 0..NODE_QUEUE {
            bus.command(node(), stop(1)).await.unwrap();
        }
        assert_eq!(bus.command(node(), stop(1)).await, Err(BusError::Full));
    }

    #[tokio::test]
    async fn pages_are_bounded_and_a_slow_one_is_cut_off() {
        let bus = InProcess::new();
        let session = SessionId::from_random([1; 16]);
        let mut pages = Vec::new();
        for _ in 0..MAX_PAGES {
            pages.push(bus.subscribe(session).await.unwrap());
        }
        assert_eq!(bus.subscribe(session).await.err(), Some(BusError::TooManyPages));
        bus.publish(session, event()).await;
        assert_eq!(pages[0].next().await, Some(event()));
        for _ in 0..=PAGE_QUEUE {
            bus.publish(session, event()).await;
        }
        assert_eq!(pages[1].next().await, None);
        pages.clear();
        assert!(lock(&bus.sessions).is_empty(), "a session without pages costs nothing");
    }
}
