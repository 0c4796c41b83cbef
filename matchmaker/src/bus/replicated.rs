//! The bus of many processes: what is here goes the short way, everything else over a [`Network`].
//!
//! Each replica reads the commands of the nodes that are linked to it. When a newer link comes up elsewhere, the
//! older replica hands over what still waits and lets go.

use super::in_process::{InProcess, Subscribed};
use super::network::{Delivery, Network, NetworkError, Subscription};
use super::node_queue::{Numbered, id_of};
use super::words::{Answer, Question, ReplicaId, Said};
use super::{
    Announcements, Asked, Bus, BusError, Heard, NodeCommands, Questions, SessionEvent, SessionEvents,
};
use async_trait::async_trait;
use bytes::Bytes;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::{NodeId, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Where all replicas listen.
const EVERYBODY: &str = "nearframe.replicas";
/// Where it is said who reads which node.
const LINKS: &str = "nearframe.links";
/// Pause before a subject that could not be listened to is tried again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// A [`Bus`] of many processes.
pub struct Replicated {
    inner: Arc<Inner>,
}

struct Inner {
    local: InProcess,
    network: Arc<dyn Network>,
    /// Distinguishes what was sent from here, which was told here already.
    origin: u64,
    nodes: Mutex<HashMap<NodeId, Task>>,
    sessions: Mutex<HashMap<SessionId, Task>>,
    tasks: Mutex<Vec<Task>>,
}

/// A task that ends with this.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(work).abort_handle())
}

/// A link that reads from now on.
#[derive(Serialize, Deserialize)]
struct Attaching {
    node: NodeId,
    link: u64,
    origin: u64,
}

#[derive(Serialize, Deserialize)]
struct Event {
    origin: u64,
    event: SessionEvent,
}

fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("words of our own have a JSON form").into()
}

/// What another release or a stranger sent is passed over.
fn decode<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload)
        .inspect_err(|error| tracing::warn!(%error, "not understood on the bus"))
        .ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn node_subject(node: NodeId) -> String {
    format!("nearframe.node.{node}")
}
fn session_subject(session: SessionId) -> String {
    format!("nearframe.session.{session}")
}
fn question_subject(replica: ReplicaId) -> String {
    format!("nearframe.ask.{replica}")
}

impl From<NetworkError> for BusError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Nobody => Self::Unreachable,
            NetworkError::Silent => Self::Silent,
        }
    }
}

impl Replicated {
    /// The bus over a network; listens to what other replicas say about links.
    pub async fn open(network: Arc<dyn Network>) -> Result<Self, BusError> {
        let links = network.subscribe(LINKS.to_owned()).await?;
        let mut gaps = network.gaps();
        gaps.mark_unchanged();
        let inner = Arc::new(Inner {
            local: InProcess::new(),
            network,
            origin: u64::from_le_bytes(crate::random::bytes()),
            nodes: Mutex::default(),
            sessions: Mutex::default(),
            tasks: Mutex::default(),
        });
        let tasks = [
            spawn(watch_links(Arc::downgrade(&inner), links)),
            spawn(watch_gaps(Arc::downgrade(&inner), gaps)),
        ];
        lock(&inner.tasks).extend(tasks);
        Ok(Self { inner })
    }
}

/// Lets go of nodes whose newer link reads elsewhere, and hands over what waited.
async fn watch_links(inner: Weak<Inner>, mut links: Box<dyn Subscription>) {
    while let Some(delivery) = links.next().await {
        let Some(inner) = inner.upgrade() else { return };
        let Some(attaching) = decode::<Attaching>(&delivery.payload) else { continue };
        if attaching.origin == inner.origin || attaching.link == 0 {
            continue;
        }
        let left = inner.local.take_over(attaching.node, attaching.link - 1);
        if !inner.local.reads(attaching.node) {
            lock(&inner.nodes).remove(&attaching.node);
        }
        for numbered in left {
            // The node's hello makes good what does not arrive.
            let _ = inner.send(attaching.node, &numbered).await;
        }
    }
}

/// What pages missed stands in the record, which they read when they connect again.
async fn watch_gaps(inner: Weak<Inner>, mut gaps: watch::Receiver<u64>) {
    while gaps.changed().await.is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        inner.local.cut_off_pages();
    }
}

impl Inner {
    /// Sends a command to the replica that reads the node.
    async fn send(&self, node: NodeId, numbered: &Numbered) -> Result<(), Failed> {
        let answer =
            self.network.request(node_subject(node), encode(numbered)).await.map_err(Failed::OnTheWay)?;
        let outcome = decode::<Result<(), BusError>>(&answer).unwrap_or(Err(BusError::Unreachable));
        outcome.map_err(Failed::There)
    }
}

/// Where a command failed.
enum Failed {
    OnTheWay(NetworkError),
    There(BusError),
}

/// Takes a node's commands from other replicas into the queue here; where that cannot be listened to yet, as soon as
/// it can.
async fn take_commands(inner: Weak<Inner>, node: NodeId, heard: Option<Box<dyn Subscription>>) {
    let mut commands = match heard {
        Some(commands) => commands,
        None => loop {
            tokio::time::sleep(LISTEN_AGAIN).await;
            let Some(network) = inner.upgrade().map(|inner| Arc::clone(&inner.network)) else { return };
            if let Ok(commands) = network.subscribe(node_subject(node)).await {
                break commands;
            }
        },
    };
    while let Some(Delivery { payload, reply }) = commands.next().await {
        let Some(inner) = inner.upgrade() else { return };
        let Some(numbered) = decode::<Numbered>(&payload) else { continue };
        let outcome = inner.local.push(node, numbered);
        // A replica that let go is silent: the one that reads now answers.
        if let Some(reply) = reply.filter(|_| outcome != Err(BusError::Unreachable)) {
            inner.network.publish(reply, encode(&outcome)).await;
        }
    }
}

async fn take_events(inner: Weak<Inner>, session: SessionId, mut events: Box<dyn Subscription>) {
    while let Some(delivery) = events.next().await {
        let Some(inner) = inner.upgrade() else { return };
        let Some(Event { origin, event }) = decode(&delivery.payload) else { continue };
        if origin != inner.origin {
            inner.local.tell(session, event);
        }
    }
}

#[async_trait]
impl Bus for Replicated {
    async fn command(&self, node: NodeId, command: ToNode) -> Result<(), BusError> {
        let inner = &self.inner;
        let numbered = (id_of(&command), command);
        if inner.local.reads(node) {
            return inner.local.push(node, numbered);
        }
        match inner.send(node, &numbered).await {
            Ok(()) => Ok(()),
            Err(Failed::There(error)) => Err(error),
            // Its link may have dropped here a moment ago.
            Err(Failed::OnTheWay(error)) => inner.local.push(node, numbered).map_err(|_| error.into()),
        }
    }

    async fn attach_node(&self, node: NodeId, link: u64) -> Box<dyn NodeCommands> {
        let inner = &self.inner;
        let reader = inner.local.attach_node(node, link).await;
        if !lock(&inner.nodes).contains_key(&node) {
            let commands = inner.network.subscribe(node_subject(node)).await;
            if let Err(error) = &commands {
                tracing::warn!(%node, %error, "other replicas cannot reach a node for now");
            }
            let task = spawn(take_commands(Arc::downgrade(inner), node, commands.ok()));
            lock(&inner.nodes).insert(node, task);
        }
        let attaching = Attaching { node, link, origin: inner.origin };
        inner.network.publish(LINKS.to_owned(), encode(&attaching)).await;
        reader
    }

    async fn forget_node(&self, node: NodeId, link: u64) {
        self.inner.local.take_over(node, link);
        if !self.inner.local.reads(node) {
            lock(&self.inner.nodes).remove(&node);
        }
    }

    async fn publish(&self, session: SessionId, event: SessionEvent) {
        let inner = &self.inner;
        inner.local.tell(session, event.clone());
        let event = Event { origin: inner.origin, event };
        inner.network.publish(session_subject(session), encode(&event)).await;
    }

    async fn subscribe(&self, session: SessionId) -> Result<Box<dyn SessionEvents>, BusError> {
        let inner = &self.inner;
        let page = inner.local.listen(session)?;
        if !lock(&inner.sessions).contains_key(&session) {
            match inner.network.subscribe(session_subject(session)).await {
                Ok(events) => {
                    let task = spawn(take_events(Arc::downgrade(inner), session, events));
                    lock(&inner.sessions).insert(session, task);
                }
                // The page hears what happens here; when the network is back, it is asked to connect again.
                Err(error) => tracing::warn!(%session, %error, "a page cannot hear other replicas"),
            }
        }
        Ok(Box::new(Page { session, page: Some(page), inner: Arc::clone(inner) }))
    }

    async fn announce(&self, said: Said) {
        self.inner.network.publish(EVERYBODY.to_owned(), encode(&said)).await;
    }

    async fn announcements(&self) -> Result<Box<dyn Announcements>, BusError> {
        let mut gaps = self.inner.network.gaps();
        gaps.mark_unchanged();
        let said = self.inner.network.subscribe(EVERYBODY.to_owned()).await?;
        Ok(Box::new(Listening { said, gaps }))
    }

    async fn ask(&self, replica: ReplicaId, question: Question) -> Result<Answer, BusError> {
        let answer = self.inner.network.request(question_subject(replica), encode(&question)).await?;
        decode(&answer).ok_or(BusError::Unreachable)
    }

    async fn questions(&self, replica: ReplicaId) -> Result<Box<dyn Questions>, BusError> {
        let questions = self.inner.network.subscribe(question_subject(replica)).await?;
        Ok(Box::new(Inbox { questions, network: Arc::clone(&self.inner.network) }))
    }
}

/// A page that listens here.
struct Page {
    session: SessionId,
    /// Taken only when dropped.
    page: Option<Subscribed>,
    inner: Arc<Inner>,
}

#[async_trait]
impl SessionEvents for Page {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.page.as_mut()?.next().await
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.page = None;
        let mut sessions = lock(&self.inner.sessions);
        if !self.inner.local.is_heard(self.session) {
            sessions.remove(&self.session);
        }
    }
}

struct Listening {
    said: Box<dyn Subscription>,
    gaps: watch::Receiver<u64>,
}

#[async_trait]
impl Announcements for Listening {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            tokio::select! {
                delivery = self.said.next() => {
                    if let Some(said) = decode(&delivery?.payload) {
                        return Some(Heard::Said(Box::new(said)));
                    }
                }
                changed = self.gaps.changed() => return changed.is_ok().then_some(Heard::Gap),
            }
        }
    }
}

struct Inbox {
    questions: Box<dyn Subscription>,
    network: Arc<dyn Network>,
}

#[async_trait]
impl Questions for Inbox {
    async fn next(&mut self) -> Option<Asked> {
        loop {
            let Delivery { payload, reply } = self.questions.next().await?;
            let (Some(question), Some(reply)) = (decode(&payload), reply) else { continue };
            let network = Arc::clone(&self.network);
            return Some(Asked::new(question, move |answer| {
                let payload = encode(&answer);
                tokio::spawn(async move { network.publish(reply, payload).await });
            }));
        }
    }
}
