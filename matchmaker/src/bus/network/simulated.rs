//! A network in memory that loses, repeats, delays and cuts by the dice of a seed, for tests.

use super::{Delivery, Network, NetworkError, REPLY_WITHIN, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// What goes wrong, in thousandths of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Lost.
    pub lost_permille: u32,
    /// Delivered twice.
    pub twice_permille: u32,
    /// Longest delay; each message draws its own, so that they overtake each other.
    pub delay: Duration,
}

/// The network that all ends share.
#[derive(Clone, Debug, Default)]
pub struct SimulatedNetwork {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    dice: u64,
    subscribers: HashMap<String, Vec<Subscriber>>,
    next: u64,
    /// Ends that reach nobody.
    cut: HashSet<u64>,
}

#[derive(Debug)]
struct Subscriber {
    end: u64,
    number: u64,
    sender: mpsc::UnboundedSender<Delivery>,
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&mut self, permille: u32) -> bool {
        self.draw() % 1000 < u64::from(permille)
    }

    fn delay(&mut self) -> Duration {
        let most = u64::try_from(self.faults.delay.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(if most == 0 { 0 } else { self.draw() % most })
    }
}

impl SimulatedNetwork {
    /// A network whose accidents follow from the seed.
    pub fn new(seed: u64) -> Self {
        let network = Self::default();
        lock(&network.shared).dice = seed;
        network
    }

    /// From now on, this goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.shared).faults = faults;
    }

    /// A new end of it.
    pub fn end(&self) -> Simulated {
        let mut state = lock(&self.shared);
        state.next += 1;
        Simulated { end: state.next, network: self.clone(), gaps: watch::Sender::new(0) }
    }
}

/// One end of a [`SimulatedNetwork`].
#[derive(Debug)]
pub struct Simulated {
    end: u64,
    network: SimulatedNetwork,
    gaps: watch::Sender<u64>,
}

impl Simulated {
    /// Cuts this end off, or connects it again.
    pub fn set_cut(&self, cut: bool) {
        let mut state = lock(&self.network.shared);
        if cut {
            state.cut.insert(self.end);
        } else if state.cut.remove(&self.end) {
            self.gaps.send_modify(|count| *count += 1);
        }
    }

    /// Sends copies to whoever listens and is reached; false where nobody listens.
    fn send(&self, subject: &str, payload: &Bytes, reply: Option<&String>) -> bool {
        let mut state = lock(&self.network.shared);
        let cut = state.cut.contains(&self.end);
        let mut any = false;
        let receivers: Vec<_> = state
            .subscribers
            .get(subject)
            .into_iter()
            .flatten()
            .filter(|it| it.end == self.end || !cut && !state.cut.contains(&it.end))
            .map(|it| (it.end, it.sender.clone()))
            .collect();
        for (end, sender) in receivers {
            any = true;
            let lost = state.faults.lost_permille;
            let twice = state.faults.twice_permille;
            if end != self.end && state.happens(lost) {
                continue;
            }
            let copies = 1 + u32::from(end != self.end && state.happens(twice));
            for _ in 0..copies {
                let delay = state.delay();
                let delivery = Delivery { payload: payload.clone(), reply: reply.cloned() };
                let sender = sender.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // An error means that whoever listened has gone.
                    let _ = sender.send(delivery);
                });
            }
        }
        any
    }

    fn listen(&self, subject: String) -> Listening {
        let mut state = lock(&self.network.shared);
        state.next += 1;
        let (sender, receiver) = mpsc::unbounded_channel();
        let number = state.next;
        state.subscribers.entry(subject.clone()).or_default().push(Subscriber {
            end: self.end,
            number,
            sender,
        });
        Listening { subject, number, receiver, network: self.network.clone() }
    }
}

#[async_trait]
impl Network for Simulated {
    async fn publish(&self, subject: String, payload: Bytes) {
        self.send(&subject, &payload, None);
    }

    async fn request(&self, subject: String, payload: Bytes) -> Result<Bytes, NetworkError> {
        let inbox = {
            let mut state = lock(&self.network.shared);
            state.next += 1;
            format!("inbox.{}", state.next)
        };
        let mut answers = self.listen(inbox.clone());
        let heard = self.send(&subject, &payload, Some(&inbox));
        if !heard && !lock(&self.network.shared).cut.contains(&self.end) {
            return Err(NetworkError::Nobody);
        }
        let answer = timeout(REPLY_WITHIN, answers.next()).await.ok().flatten();
        answer.map(|delivery| delivery.payload).ok_or(NetworkError::Silent)
    }

    async fn subscribe(&self, subject: String) -> Result<Box<dyn Subscription>, NetworkError> {
        Ok(Box::new(self.listen(subject)))
    }

    fn gaps(&self) -> watch::Receiver<u64> {
        self.gaps.subscribe()
    }
}

struct Listening {
    subject: String,
    number: u64,
    receiver: mpsc::UnboundedReceiver<Delivery>,
    network: SimulatedNetwork,
}

#[async_trait]
impl Subscription for Listening {
    async fn next(&mut self) -> Option<Delivery> {
        self.receiver.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = lock(&self.network.shared);
        if let Some(subscribers) = state.subscribers.get_mut(&self.subject) {
            subscribers.retain(|it| it.number != self.number);
            if subscribers.is_empty() {
                state.subscribers.remove(&self.subject);
            }
        }
    }
}
