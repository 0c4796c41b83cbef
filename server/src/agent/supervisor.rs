//! Sessions of this node and the workers that run them.

use super::bidder::Bidder;
use super::chain::Chain;
use super::link::{Greeting, Running};
use super::pool::Pool;
use super::reflector::Reflector;
use super::saves::{SaveEvent, Saves};
use super::spool::Spool;
use super::standby::StandBy;
use super::worker_process::{WorkerEvent, WorkerId, WorkerProcess};
use super::{Config, Event};
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, RunningSession, ToNode};
use nearframe_protocol::measure;
use nearframe_protocol::save::SaveGrant;
use nearframe_protocol::worker::{FromWorker, Start, ToWorker};
use nearframe_protocol::{EndReason, Generation, NodeKey, PeerId, SessionId, SpendLimit, TitleHash, TitleId};
use nearframe_title::catalogue::LoadedTitle;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Commands that came before their session's worker was up; more than this is not a page's behaviour.
const MAX_EARLY: usize = 64;
/// A worker told to stop gets this long before it is killed.
const STOP_TIME: Duration = Duration::from_secs(4);
/// The matchmaker hears of a session's end after its last save, but not later than this.
const LAST_SAVE_TIME: Duration = Duration::from_secs(3);

struct SessionEntry {
    generation: Generation,
    start: Start,
    /// `None` until a worker is up.
    worker: Option<WorkerProcess>,
    /// The save to restore is on its way; a worker waits for it.
    restoring: bool,
    /// There is a save to restore: a title that already runs would not see it.
    restores: bool,
    early: VecDeque<ToWorker>,
    chain: Chain,
    live: bool,
    stopping: Option<(Instant, EndReason)>,
}

/// A session that is over but for its last save.
struct Ending {
    session: SessionId,
    generation: Generation,
    reason: EndReason,
    detail: String,
    until: Instant,
}

impl SessionEntry {
    /// Whether a worker would be employed at once.
    fn is_waiting(&self) -> bool {
        self.worker.is_none() && !self.restoring
    }

    /// Makes `worker` the one that runs this session.
    fn give(&mut self, worker: WorkerProcess) {
        let mut start = self.start.clone();
        (start.dir, start.home) = (worker.place.dir.clone(), worker.place.home.clone());
        worker.send(ToWorker::Start(Box::new(start)));
        for command in self.early.drain(..) {
            worker.send(command);
        }
        self.worker = Some(worker);
    }
}

/// The node's sessions.
pub(crate) struct Supervisor {
    config: Arc<Config>,
    key: NodeKey,
    titles: Vec<LoadedTitle>,
    spool: Spool,
    saves: Saves,
    pool: Pool,
    /// Lets pages measure this node, where its sockets could be opened.
    reflector: Option<Reflector>,
    endings: Vec<Ending>,
    sessions: HashMap<SessionId, SessionEntry>,
    bidder: Bidder,
    standby: StandBy,
    link: Option<mpsc::Sender<FromNode>>,
    /// Ends that could not be told yet.
    untold: Vec<(SessionId, Generation, EndReason, String)>,
    running: Running,
    draining: bool,
    /// The matchmaker names nodes that pages may measure.
    measurable: bool,
}

impl Supervisor {
    pub(crate) fn new(
        config: Arc<Config>,
        key: NodeKey,
        titles: Vec<LoadedTitle>,
        spool: Spool,
        saves: Saves,
        pool: Pool,
        reflector: Option<Reflector>,
    ) -> Self {
        Self {
            bidder: Bidder::new(config.standby_price_micros),
            standby: StandBy::default(),
            config,
            key,
            titles,
            spool,
            saves,
            pool,
            reflector,
            measurable: false,
            endings: Vec::new(),
            sessions: HashMap::new(),
            link: None,
            untold: Vec::new(),
            running: Arc::new(Mutex::new(Vec::new())),
            draining: false,
        }
    }

    pub(crate) fn running(&self) -> Running {
        Arc::clone(&self.running)
    }

    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions.is_empty() || !self.endings.is_empty()
    }

    /// Keeps workers waiting, so that a join pays for no process start.
    pub(crate) fn fill_pool(&mut self) {
        let waiting = self.sessions.values().filter(|session| session.is_waiting()).count();
        self.pool.fill(waiting);
    }

    pub(crate) async fn handle(&mut self, event: Event) {
        match event {
            Event::LinkUp(link, greeting) => {
                self.greeted(&greeting);
                self.link_up(link).await;
            }
            Event::LinkDown => self.link = None,
            Event::Outside => self.tell_reflector().await,
            Event::Command(command) => self.command(command).await,
            Event::Worker(WorkerEvent::Ready(worker)) => {
                self.pool.arrived();
                self.employ(worker).await;
            }
            Event::Worker(WorkerEvent::StartFailed(why)) => self.start_failed(&why).await,
            Event::Worker(WorkerEvent::Said(worker, said)) => self.said(worker, said).await,
            Event::Worker(WorkerEvent::Gone(worker)) => self.gone(worker).await,
            Event::Save(event) => self.saves_moved(event).await,
        }
    }

    /// Sends receipts that waited long enough, and ends workers that did not stop in time.
    pub(crate) async fn housekeeping(&mut self) {
        let now = Instant::now();
        let ready: Vec<_> =
            self.sessions.values_mut().flat_map(|session| session.chain.ready(now, false)).collect();
        for receipt in ready.into_iter().chain(self.standby.due(&self.key, now)) {
            self.deliver(receipt).await;
        }
        self.saves.look_at_leftovers(now);
        self.tell_endings(|ending| ending.until <= now).await;
        let overdue: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(&id, session)| {
                session
                    .stopping
                    .filter(|(since, _)| now.duration_since(*since) > STOP_TIME)
                    .map(|(_, why)| (id, why))
            })
            .collect();
        for (session, reason) in overdue {
            self.end(session, reason, "the worker did not stop in time and was killed").await;
        }
    }

    /// Takes no new sessions and ends the ones that run.
    pub(crate) async fn drain(&mut self) {
        self.draining = true;
        self.tell(FromNode::Draining).await;
        self.pool.drain().await;
        let standing = self.standby.all().into_iter().map(|(session, _)| session);
        let all: Vec<_> = self.sessions.keys().copied().chain(standing).collect();
        for session in all {
            self.stop(session, EndReason::Drained, None).await;
        }
    }

    pub(crate) async fn kill_all(&mut self) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        for session in all {
            self.end(session, EndReason::Drained, "the node shut down").await;
        }
        self.tell_endings(|_| true).await;
        self.pool.drain().await;
        self.link = None;
    }

    fn greeted(&mut self, greeting: &Greeting) {
        self.measurable = greeting.versions.has(measure::FEATURE);
        if let Some(reflector) = &self.reflector {
            reflector.follow(greeting.clock);
        }
    }

    /// Tells the matchmaker how pages may measure this node, where it wants to know.
    async fn tell_reflector(&mut self) {
        if !self.measurable || self.draining {
            return;
        }
        if let Some(reflector) = &self.reflector {
            let reflector = Box::new(reflector.describe());
            self.tell(FromNode::Reflector { reflector }).await;
        }
    }

    async fn link_up(&mut self, link: mpsc::Sender<FromNode>) {
        self.link = Some(link);
        for (session, generation, reason, detail) in std::mem::take(&mut self.untold) {
            self.tell_end(session, generation, reason, detail).await;
        }
        let pending: Vec<_> = self.spool.pending().cloned().collect();
        for receipt in pending {
            self.tell(FromNode::Receipt { receipt: Box::new(receipt) }).await;
        }
        let live: Vec<_> =
            self.sessions.iter().filter(|(_, s)| s.live).map(|(&id, s)| (id, s.generation)).collect();
        for (session, generation) in live.into_iter().chain(self.standby.all()) {
            self.tell(FromNode::Live { session, generation }).await;
        }
        if self.draining {
            self.tell(FromNode::Draining).await;
        }
        self.tell_reflector().await;
    }

    async fn command(&mut self, command: ToNode) {
        match command {
            ToNode::Start { session, generation, title, hash, player_key, ice_servers, save, challenge } => {
                let Some(title_dir) = self.find_title(&title, &hash) else {
                    let detail = format!("title {title} with hash {hash} is not on this node");
                    return self.tell_end(session, generation, EndReason::TitleFailed, detail).await;
                };
                let start = Start {
                    session,
                    generation,
                    title_dir,
                    dir: PathBuf::new(),
                    home: PathBuf::new(),
                    player_key,
                    network: self.config.network.clone(),
                    ice_servers,
                    max_bitrate_bps: self.config.max_bitrate_bps,
                    seed: u64::from_le_bytes(session.as_bytes()[..8].try_into().expect("8 of 16 bytes")),
                    save_dir: None,
                    challenge,
                };
                self.start(start, save).await;
            }
            ToNode::Offer { session, peer, seat, sdp, nonce, expires_at_ms } => {
                self.command_worker(session, ToWorker::Offer { peer, seat, sdp, nonce, expires_at_ms });
            }
            ToNode::Candidate { session, peer, candidate, sdp_mid } => {
                self.command_worker(session, ToWorker::Candidate { peer, candidate, sdp_mid });
            }
            ToNode::Stop { session, reason, limit } => self.stop(session, reason, limit).await,
            ToNode::Check { address, ufrag } => {
                if let Some(reflector) = &mut self.reflector {
                    reflector.let_in(address, &ufrag);
                }
            }
            ToNode::StunServers { urls } => {
                if let Some(reflector) = &mut self.reflector {
                    reflector.find_outside(urls);
                }
            }
            ToNode::Prewarm { titles } => self.prewarm(&titles),
            ToNode::Auction { call } => {
                let sealed = self.bidder.seal(&self.key, &call, super::identity::nonce, Instant::now());
                if let Some(sealed) = sealed.filter(|_| !self.draining) {
                    self.tell(FromNode::Seal { sealed }).await;
                }
            }
            ToNode::Reveal { auction } => {
                if let Some(open) = self.bidder.open(auction) {
                    self.tell(FromNode::Open { open: Box::new(open) }).await;
                }
            }
            ToNode::StandBy { session, generation } => self.stand_by(session, generation).await,
            ToNode::ReceiptTaken { session, generation, sequence } => {
                self.spool.taken((session, generation, sequence));
            }
            ToNode::ReceiptRefused { session, generation, sequence, message } => {
                self.spool.refused((session, generation, sequence), &message);
            }
            ToNode::Challenge { .. } | ToNode::Welcome { .. } | ToNode::Refused { .. } => {
                warn!("the matchmaker repeated its handshake; ignored");
            }
            ToNode::UplinkOpen | ToNode::UplinkLater | ToNode::UplinkMeasured { .. } => {
                warn!("the matchmaker speaks of a measurement that nobody asked for; ignored");
            }
        }
    }

    async fn stand_by(&mut self, session: SessionId, generation: Generation) {
        if self.draining {
            let detail = "the node is draining".to_owned();
            return self.tell_end(session, generation, EndReason::Drained, detail).await;
        }
        if self.standby.begin(&self.key, session, generation, Instant::now()) {
            info!(%session, "a slot stands by");
            if let Ok(mut running) = self.running.lock() {
                running.push(RunningSession { session, generation });
            }
        }
        self.tell(FromNode::Live { session, generation }).await;
    }

    /// Keeps these titles at their menu, besides those that this host wants so.
    fn prewarm(&mut self, titles: &[TitleId]) {
        let folder = |id: &TitleId| {
            let title = self.titles.iter().find(|title| title.entry.id == *id)?;
            Some(title.dir.clone())
        };
        let wanted: Vec<PathBuf> = titles.iter().filter_map(folder).collect();
        self.pool.want(wanted);
        self.fill_pool();
    }

    fn find_title(&self, id: &TitleId, hash: &TitleHash) -> Option<PathBuf> {
        let title = self.titles.iter().find(|title| title.entry.id == *id && title.entry.hash == *hash)?;
        Some(title.dir.clone())
    }

    async fn start(&mut self, mut start: Start, save: Option<SaveGrant>) {
        let session = start.session;
        if self.sessions.contains_key(&session) {
            // The command came twice, which happens when the link moved to another matchmaker.
            return;
        }
        if self.draining || self.config.slots.is_some_and(|slots| self.sessions.len() >= slots as usize) {
            let detail = "the node is draining or full".to_owned();
            return self.tell_end(session, start.generation, EndReason::Drained, detail).await;
        }
        let mut restoring = false;
        if let Some(grant) = save {
            let begun = self.saves.begin(session, start.generation, grant);
            match begun {
                Ok((folder, waits)) => (start.save_dir, restoring) = (Some(folder), waits),
                Err(error) => {
                    let detail = format!("saves: {error:#}");
                    return self
                        .tell_end(session, start.generation, EndReason::SaveUnavailable, detail)
                        .await;
                }
            }
        }
        info!(%session, title = %start.title_dir.display(), restoring, "session starts");
        let entry = SessionEntry {
            generation: start.generation,
            chain: Chain::new(start.player_key),
            start,
            worker: None,
            restoring,
            restores: restoring,
            early: VecDeque::new(),
            live: false,
            stopping: None,
        };
        if let Ok(mut running) = self.running.lock() {
            running.push(RunningSession { session, generation: entry.generation });
        }
        self.sessions.insert(session, entry);
        self.employ_idle(session).await;
    }

    /// Gives a session that waits a worker from the pool, where there is one.
    async fn employ_idle(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_waiting()) else { return };
        if let Some(worker) = self.pool.take(&entry.start.title_dir, entry.restores) {
            entry.give(worker);
        }
        self.fill_pool();
    }

    async fn saves_moved(&mut self, event: SaveEvent) {
        match event {
            SaveEvent::Restored(session, generation, outcome) => {
                let entry = self.sessions.get_mut(&session).filter(|entry| entry.generation == generation);
                let Some(entry) = entry else { return };
                entry.restoring = false;
                match outcome {
                    Ok(()) => self.employ_idle(session).await,
                    Err(why) => self.end(session, EndReason::SaveUnavailable, &why).await,
                }
            }
            SaveEvent::Settled(session, generation) => {
                if self.saves.settle((session, generation)) {
                    self.tell_endings(|e| (e.session, e.generation) == (session, generation)).await;
                }
            }
        }
    }

    /// Tells of the ends that need to wait no longer.
    async fn tell_endings(&mut self, due: impl Fn(&Ending) -> bool) {
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.endings).into_iter().partition(due);
        self.endings = rest;
        for Ending { session, generation, reason, detail, .. } in due {
            self.tell_end(session, generation, reason, detail).await;
        }
    }

    /// Gives a ready worker to the session that waits longest, or keeps it.
    async fn employ(&mut self, worker: WorkerProcess) {
        match self.sessions.values_mut().find(|session| session.is_waiting()) {
            Some(session) => session.give(worker),
            None => self.pool.keep(worker).await,
        }
        self.fill_pool();
    }

    async fn start_failed(&mut self, why: &str) {
        error!("a session worker could not be started: {why}");
        if self.pool.failed() {
            let waiting: Vec<_> =
                self.sessions.iter().filter(|(_, s)| s.worker.is_none()).map(|(&id, _)| id).collect();
            for session in waiting {
                self.end(session, EndReason::TitleFailed, why).await;
            }
        }
        self.fill_pool();
    }

    fn command_worker(&mut self, session: SessionId, command: ToWorker) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        match &entry.worker {
            Some(worker) => {
                if !worker.send(command) {
                    warn!(%session, "the worker does not take commands");
                }
            }
            None if entry.early.len() < MAX_EARLY => entry.early.push_back(command),
            None => warn!(%session, "too many commands before the worker is up; one is dropped"),
        }
    }

    async fn stop(&mut self, session: SessionId, reason: EndReason, limit: Option<SpendLimit>) {
        if let Some((generation, receipts)) = self.standby.end(&self.key, session, Instant::now()) {
            for receipt in receipts {
                self.deliver(receipt).await;
            }
            return self.tell_end(session, generation, reason, "a slot stands by no more".to_owned()).await;
        }
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        match &entry.worker {
            Some(worker) if worker.send(ToWorker::Stop { reason, limit }) => {
                entry.stopping.get_or_insert((Instant::now(), reason));
            }
            _ => self.end(session, reason, "stopped before it ran").await,
        }
    }

    async fn said(&mut self, worker: WorkerId, said: FromWorker) {
        let Some((&session, entry)) =
            self.sessions.iter_mut().find(|(_, s)| s.worker.as_ref().is_some_and(|w| w.id == worker))
        else {
            return;
        };
        let generation = entry.generation;
        match said {
            FromWorker::Hello { .. } => {}
            FromWorker::Live => {
                entry.live = true;
                self.tell(FromNode::Live { session, generation }).await;
            }
            FromWorker::Answer { peer, sdp, nonce, expires_at_ms } => {
                self.answer(session, peer, sdp, nonce, expires_at_ms).await;
            }
            FromWorker::Candidate { peer, candidate, sdp_mid } => {
                self.tell(FromNode::Candidate { session, peer, candidate, sdp_mid }).await;
            }
            FromWorker::Used { usage } if usage.session == session && usage.generation == generation => {
                let receipt = entry.chain.append(&self.key, usage, Instant::now());
                self.command_worker(session, ToWorker::Receipt { receipt });
            }
            FromWorker::Used { .. } => warn!(%session, "a worker stated the use of another session; ignored"),
            FromWorker::Signed { sequence, signature } => {
                if !entry.chain.countersign(sequence, signature) {
                    warn!(%session, sequence, "the player's signature on a receipt is wrong or late");
                }
                self.housekeeping().await;
            }
            FromWorker::Saved { file, hash, bytes, .. } => {
                self.saves.saved((session, generation), &file, hash, bytes);
            }
            FromWorker::Ended { reason, detail } => self.end(session, reason, &detail).await,
        }
    }

    async fn answer(
        &mut self,
        session: SessionId,
        peer: PeerId,
        sdp: String,
        nonce: Nonce,
        expires_at_ms: u64,
    ) {
        let Some(fingerprint) = Fingerprint::from_sdp(&sdp) else {
            return self.end(session, EndReason::TitleFailed, "the worker's answer has no fingerprint").await;
        };
        let attestation = Attestation::sign(&self.key, session, fingerprint, nonce, expires_at_ms);
        self.tell(FromNode::Answer { session, peer, sdp, attestation }).await;
    }

    async fn gone(&mut self, worker: WorkerId) {
        self.pool.lost(worker);
        let session = self
            .sessions
            .iter()
            .find(|(_, s)| s.worker.as_ref().is_some_and(|w| w.id == worker))
            .map(|(&id, s)| (id, s.stopping.map(|(_, reason)| reason)));
        if let Some((session, stopping)) = session {
            let reason = stopping.unwrap_or(EndReason::TitleFailed);
            self.end(session, reason, "the worker process ended").await;
        }
        self.fill_pool();
    }

    async fn end(&mut self, session: SessionId, reason: EndReason, detail: &str) {
        let Some(mut entry) = self.sessions.remove(&session) else { return };
        info!(%session, %reason, detail, "session ends");
        for receipt in entry.chain.ready(Instant::now(), true) {
            self.deliver(receipt).await;
        }
        let (generation, detail) = (entry.generation, detail.to_owned());
        if self.saves.end((session, generation)) {
            let until = Instant::now() + LAST_SAVE_TIME;
            self.endings.push(Ending { session, generation, reason, detail, until });
        } else {
            self.tell_end(session, generation, reason, detail).await;
        }
        if let Some(worker) = entry.worker.take() {
            worker.send(ToWorker::Stop { reason, limit: None });
            tokio::spawn(worker.reap());
        }
        self.fill_pool();
    }

    async fn deliver(&mut self, receipt: nearframe_protocol::receipt::SignedReceipt) {
        self.spool.put(receipt.clone());
        self.tell(FromNode::Receipt { receipt: Box::new(receipt) }).await;
    }

    async fn tell_end(
        &mut self,
        session: SessionId,
        generation: Generation,
        reason: EndReason,
        detail: String,
    ) {
        let message = FromNode::Ended { session, generation, reason, detail: detail.clone() };
        if self.tell(message).await {
            if let Ok(mut running) = self.running.lock() {
                running.retain(|r| r.session != session);
            }
        } else {
            self.untold.push((session, generation, reason, detail));
        }
    }

    async fn tell(&mut self, message: FromNode) -> bool {
        match &self.link {
            Some(link) => link.send(message).await.is_ok(),
            None => false,
        }
    }
}
