//! The bus of one process: bounded queues behind locks that are never held across an await.

use super::node_queue::{Attached, NodeQueue, Numbered, id_of};
use super::words::{Answer, Question, ReplicaId, Said};
use super::{
    ANNOUNCEMENTS, Announcements, Asked, Bus, BusError, Heard, MAX_PAGES, NodeCommands, PAGE_QUEUE,
    QUESTIONS, Questions, SessionEvent, SessionEvents,
};
use async_trait::async_trait;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::{NodeId, SessionId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

/// A [`Bus`] within one process.
#[derive(Debug)]
pub struct InProcess {
    nodes: Mutex<HashMap<NodeId, Arc<NodeQueue>>>,
    sessions: Arc<Mutex<Sessions>>,
    announcements: broadcast::Sender<Said>,
    questions: Mutex<HashMap<ReplicaId, mpsc::Sender<Put>>>,
}

type Sessions = HashMap<SessionId, broadcast::Sender<SessionEvent>>;
type Put = (Question, oneshot::Sender<Answer>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for InProcess {
    fn default() -> Self {
        Self {
            nodes: Mutex::default(),
            sessions: Arc::default(),
            announcements: broadcast::channel(ANNOUNCEMENTS).0,
            questions: Mutex::default(),
        }
    }
}

impl InProcess {
    /// A bus that nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn queue(&self, node: NodeId) -> Option<Arc<NodeQueue>> {
        lock(&self.nodes).get(&node).cloned()
    }

    /// Queues a command, unless it is there or was given out already.
    pub(super) fn push(&self, node: NodeId, numbered: Numbered) -> Result<(), BusError> {
        self.queue(node).ok_or(BusError::Unreachable)?.push(numbered)
    }

    /// Whether a link reads this node's commands here and now.
    pub(super) fn reads(&self, node: NodeId) -> bool {
        self.queue(node).is_some_and(|queue| queue.is_read())
    }

    /// Ends the queue of a link of this number or an older one and takes what waits there.
    pub(super) fn take_over(&self, node: NodeId, link: u64) -> Vec<Numbered> {
        let mut nodes = lock(&self.nodes);
        if nodes.get(&node).is_none_or(|queue| queue.link() > Some(link)) {
            return Vec::new();
        }
        nodes.remove(&node).map(|queue| queue.close()).unwrap_or_default()
    }

    /// Tells the pages of a session that are connected here.
    pub(super) fn tell(&self, session: SessionId, event: SessionEvent) {
        if let Some(sender) = lock(&self.sessions).get(&session) {
            // An error means that the last page has just gone.
            let _ = sender.send(event);
        }
    }

    /// Listens to a session here; also says whether it is the first.
    pub(super) fn listen(&self, session: SessionId) -> Result<Subscribed, BusError> {
        let mut sessions = lock(&self.sessions);
        let sender = sessions.entry(session).or_insert_with(|| broadcast::channel(PAGE_QUEUE).0);
        if sender.receiver_count() >= MAX_PAGES {
            return Err(BusError::TooManyPages);
        }
        let events = Some(sender.subscribe());
        Ok(Subscribed { session, events, sessions: Arc::clone(&self.sessions) })
    }

    /// Whether a page listens to the session here.
    pub(super) fn is_heard(&self, session: SessionId) -> bool {
        lock(&self.sessions).contains_key(&session)
    }

    /// Cuts all listeners off: something may have been missed, and they read the record again.
    pub(super) fn cut_off_pages(&self) {
        lock(&self.sessions).clear();
    }
}

#[async_trait]
impl Bus for InProcess {
    async fn command(&self, node: NodeId, command: ToNode) -> Result<(), BusError> {
        self.push(node, (id_of(&command), command))
    }

    async fn attach_node(&self, node: NodeId, link: u64) -> Box<dyn NodeCommands> {
        let queue = lock(&self.nodes).entry(node).or_insert_with(|| Arc::new(NodeQueue::new(link))).clone();
        queue.attach(link);
        Box::new(Attached { link, queue })
    }

    async fn forget_node(&self, node: NodeId, link: u64) {
        self.take_over(node, link);
    }

    async fn publish(&self, session: SessionId, event: SessionEvent) {
        self.tell(session, event);
    }

    async fn subscribe(&self, session: SessionId) -> Result<Box<dyn SessionEvents>, BusError> {
        Ok(Box::new(self.listen(session)?))
    }

    async fn announce(&self, said: Said) {
        // An error means that nobody listens.
        let _ = self.announcements.send(said);
    }

    async fn announcements(&self) -> Result<Box<dyn Announcements>, BusError> {
        Ok(Box::new(Listening(self.announcements.subscribe())))
    }

    async fn ask(&self, replica: ReplicaId, question: Question) -> Result<Answer, BusError> {
        let sender = lock(&self.questions).get(&replica).cloned().ok_or(BusError::Unreachable)?;
        let (reply, answer) = oneshot::channel();
        sender.try_send((question, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BusError::Full,
            mpsc::error::TrySendError::Closed(_) => BusError::Unreachable,
        })?;
        answer.await.map_err(|_| BusError::Unreachable)
    }

    async fn questions(&self, replica: ReplicaId) -> Result<Box<dyn Questions>, BusError> {
        let (sender, receiver) = mpsc::channel(QUESTIONS);
        lock(&self.questions).insert(replica, sender);
        Ok(Box::new(Inbox(receiver)))
    }
}

/// The reading end of a session's events.
pub(super) struct Subscribed {
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

struct Listening(broadcast::Receiver<Said>);

#[async_trait]
impl Announcements for Listening {
    async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(said) => Some(Heard::Said(Box::new(said))),
            Err(RecvError::Lagged(_)) => Some(Heard::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}

struct Inbox(mpsc::Receiver<Put>);

#[async_trait]
impl Questions for Inbox {
    async fn next(&mut self) -> Option<Asked> {
        let (question, reply) = self.0.recv().await?;
        // An error means that whoever asked has gone.
        Some(Asked::new(question, move |answer| drop(reply.send(answer))))
    }
}
