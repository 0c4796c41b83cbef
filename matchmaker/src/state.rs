//! What every task of the service shares.

use crate::assets::Assets;
use crate::bus::Bus;
use crate::config::Config;
use crate::general;
use crate::http::limits::Limiter;
use crate::market::Market;
use crate::metrics::Metrics;
use crate::oidc::Providers;
use crate::passkeys::Passkeys;
use crate::placements::Placements;
use crate::placing::Placing;
use crate::placing::history::Reading;
use crate::prices::{self, InForce};
use crate::replicas::{Clock, Cluster};
use crate::saves::Saves;
use crate::signalling::uplink::AT_ONCE;
use crate::store::{Hash, Store};
use crate::trust;
use crate::webhooks::Post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearframe_placement::Fleet;
use nearframe_protocol::key::Nonce;
use nearframe_protocol::{Generation, GuestId, NodeId, NodeKey, PublicKey, SessionId, WebhookId};
use nearframe_trust::seen::Mark;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};

/// Where the service stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes sessions.
    Open,
    /// Takes no new ones.
    Draining,
    /// Sockets close, jobs stop.
    Closed,
}

/// Shared by handlers, sockets and jobs.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) assets: Arc<dyn Assets>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) saves: Saves,
    /// Keys of nodes that sessions were leased on; they never change.
    pub(crate) node_keys: Mutex<HashMap<NodeId, PublicKey>>,
    /// Why sessions run where they run.
    pub(crate) placements: Placements,
    /// What placement needs beside the fleet.
    pub(crate) placing: Placing,
    /// Who bids, and whose machines stand by.
    pub(crate) market: Market,
    /// Countersigns what stands by.
    pub(crate) witness: NodeKey,
    /// What hours cost.
    pub(crate) prices: InForce,
    pub(crate) price_index: prices::Index,
    /// How far the history of round trips was read.
    pub(crate) reading: Reading,
    pub(crate) metrics: Metrics,
    pub(crate) session_limit: Limiter,
    pub(crate) socket_limit: Limiter,
    pub(crate) sign_in_limit: Limiter,
    pub(crate) agent_limit: Limiter,
    /// Who vouches for identities.
    pub(crate) providers: Providers,
    pub(crate) passkeys: Passkeys,
    pub(crate) phase: watch::Sender<Phase>,
    /// Whether a node with a title has ever been online.
    pub(crate) ready: watch::Sender<bool>,
    /// The time that counts: the store's.
    pub(crate) clock: Clock,
    /// The other matchmakers on the same store.
    pub(crate) cluster: Cluster,
    /// Signs roots over what hosts have earned.
    pub(crate) ledger_key: NodeKey,
    /// The general ledger, where this matchmaker keeps one.
    pub(crate) general: general::Place,
    /// One payout run, submission or outcome at a time.
    pub(crate) paying: tokio::sync::Mutex<()>,
    /// Browsers of members that were written down lately.
    pub(crate) devices: trust::Devices,
    /// Who may be measured now.
    pub(crate) uplinks: Semaphore,
    /// Carries events to those who want to know.
    pub(crate) post: Post,
    fleet: Mutex<Fleet>,
    key: [u8; 32],
}

/// What a matchmaker is made of, beside its configuration.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) assets: Arc<dyn Assets>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) cluster: Cluster,
    pub(crate) clock: Clock,
    pub(crate) key: [u8; 32],
    pub(crate) providers: Providers,
}

/// What this machine takes for now, Unix ms. Leases and expiry go by [`Shared::now_ms`].
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Parts {
    /// Of a matchmaker alone on this store.
    pub(crate) fn alone(store: Arc<dyn Store>, key: [u8; 32]) -> Self {
        Self {
            store,
            assets: Arc::new(crate::assets::InMemory::new()),
            bus: Arc::new(crate::bus::InProcess::new()),
            cluster: Cluster::new(crate::bus::words::ReplicaId::from_random([1; 8]), true),
            clock: Clock::new(wall_ms()),
            key,
            providers: Providers::default(),
        }
    }
}

/// The hash under which a secret is kept. Secrets have 128 bits or more, so a plain hash suffices.
pub(crate) fn hash(secret: &str) -> Hash {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

impl Shared {
    pub(crate) fn new(config: Config, parts: Parts) -> Self {
        let Parts { store, assets, bus, cluster, clock, key, providers } = parts;
        Self {
            session_limit: Limiter::per_minute(config.limits.sessions_per_minute),
            socket_limit: Limiter::per_minute(config.limits.sockets_per_minute),
            sign_in_limit: Limiter::per_minute(config.limits.sign_ins_per_minute),
            agent_limit: Limiter::per_minute(config.limits.agent_messages_per_minute),
            providers,
            passkeys: Passkeys::of(config.public_url.as_ref()),
            fleet: Mutex::new(Fleet::new(config.currency.clone())),
            paying: tokio::sync::Mutex::default(),
            prices: InForce::of(&config),
            price_index: prices::Index::default(),
            post: Post::new(config.private_webhooks),
            config,
            store,
            assets,
            bus,
            saves: Saves::new(),
            node_keys: Mutex::default(),
            placements: Placements::default(),
            placing: Placing::new(),
            market: Market::default(),
            witness: NodeKey::from_seed(blake3::derive_key("nearframe standby witness v1", &key)),
            reading: Reading::default(),
            metrics: Metrics::default(),
            phase: watch::Sender::new(Phase::Open),
            ready: watch::Sender::new(false),
            clock,
            cluster,
            ledger_key: ledger_key(&key),
            general: general::Place::default(),
            devices: trust::Devices::default(),
            uplinks: Semaphore::new(AT_ONCE),
            key,
        }
    }

    /// The fleet; the lock is never held across an await.
    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Monotonic ms since the start: for presence.
    pub(crate) fn uptime_ms(&self) -> u64 {
        self.clock.uptime_ms()
    }

    /// Now, Unix ms, by the store's clock: for leases and expiry.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Resolves when the service closes.
    pub(crate) async fn closed(&self) {
        let mut phase = self.phase.subscribe();
        // An error means that the sender is gone, which closes as well.
        let _ = phase.wait_for(|phase| *phase == Phase::Closed).await;
    }

    /// The secret that opens a session's signalling socket; the same whenever it is asked for.
    pub(crate) fn ticket(&self, session: SessionId) -> String {
        self.mac("ticket", session.as_bytes())
    }

    /// Whether `ticket` is this session's.
    pub(crate) fn is_ticket(&self, session: SessionId, ticket: &str) -> bool {
        same(&self.ticket(session), ticket)
    }

    /// The secret that moves the saves of a session's generation, which stands before it.
    pub(crate) fn save_token(&self, session: SessionId, generation: Generation) -> String {
        let id = [&session.as_bytes()[..], &generation.0.to_le_bytes()].concat();
        format!("{}.{}", generation.0, self.mac("save", &id))
    }

    /// The generation that a save token of this session was given to; `None` for a forged one.
    pub(crate) fn generation_of_save_token(&self, session: SessionId, token: &str) -> Option<Generation> {
        let generation = Generation(token.split_once('.')?.0.parse().ok()?);
        same(&self.save_token(session, generation), token).then_some(generation)
    }

    /// A guest's cookie: the id, and the proof that we gave it.
    pub(crate) fn guest_cookie(&self, guest: GuestId) -> String {
        format!("{guest}.{}", self.mac("guest", guest.as_bytes()))
    }

    /// The guest of a cookie; `None` for a forged one.
    pub(crate) fn guest_of_cookie(&self, cookie: &str) -> Option<GuestId> {
        let (id, proof) = cookie.split_once('.')?;
        let guest: GuestId = id.parse().ok()?;
        same(&self.mac("guest", guest.as_bytes()), proof).then_some(guest)
    }

    /// What the session's first frames answer; the same whenever it is asked for.
    pub(crate) fn challenge(&self, session: SessionId) -> Nonce {
        Nonce::from_bytes(self.mac_bytes("challenge", session.as_bytes()))
    }

    /// The proof that the words of a quote are ours.
    pub(crate) fn quote_mac(&self, words: &str) -> String {
        self.mac("quote", words.as_bytes())
    }

    /// Whether `mac` is the proof of these words.
    pub(crate) fn is_quote_mac(&self, words: &str, mac: &str) -> bool {
        same(&self.quote_mac(words), mac)
    }

    /// Something of ours that travels with a caller: base64 of the bytes, and the proof that we gave it.
    pub(crate) fn seal(&self, purpose: &str, bytes: &[u8]) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(bytes), self.mac(purpose, bytes))
    }

    /// What was sealed; `None` for what is forged or was sealed for another purpose.
    pub(crate) fn unseal(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let (bytes, proof) = text.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        same(&self.mac(purpose, &bytes), proof).then_some(bytes)
    }

    /// The secret of this number that deliveries to a webhook are signed with; the same whenever it is asked for.
    pub(crate) fn webhook_secret(&self, webhook: WebhookId, number: u32) -> [u8; 32] {
        let id = [&webhook.as_bytes()[..], &number.to_le_bytes()].concat();
        self.mac_bytes("webhook", &id)
    }

    /// Something that tells people or places apart, so that it can be compared and says nothing else.
    pub(crate) fn mark(&self, purpose: &str, of: &[u8]) -> Mark {
        let [a, b, c, d, e, f, g, h, ..] = self.mac_bytes(&format!("mark of {purpose}"), of);
        Mark(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    fn mac(&self, purpose: &str, id: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.mac_bytes(purpose, id))
    }

    fn mac_bytes(&self, purpose: &str, id: &[u8]) -> [u8; 32] {
        let message = [purpose.as_bytes(), b"\0", id].concat();
        *blake3::keyed_hash(&self.key, &message).as_bytes()
    }
}

/// The key that signs money matters. One secret is kept; each purpose has its own key of it.
pub(crate) fn ledger_key(secret: &[u8; 32]) -> NodeKey {
    NodeKey::from_seed(blake3::derive_key("nearframe ledger v1", secret))
}

/// Compares secrets in constant time.
fn same(ours: &str, theirs: &str) -> bool {
    use subtle::ConstantTimeEq;
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}
