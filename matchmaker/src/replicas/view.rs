//! What a replica knows of the others.

use super::{BLIND, DEAD, OUT_OF_REACH};
use crate::bus::words::ReplicaId;
use crate::store::{Fence, Replicas, Stranded};
use nearframe_protocol::link::NODE_LOST_MS;
use nearframe_protocol::{NodeId, SessionId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// This replica among the others.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) me: ReplicaId,
    /// Whether no other replica can be there: there is no bus to reach it by.
    pub(crate) alone: bool,
    said: AtomicU64,
    store_answers: AtomicBool,
    view: Mutex<View>,
    /// Counts up when owners of regions changed.
    pub(crate) owners: watch::Sender<u64>,
    /// Counts up when all nodes linked here are to link again, wherever they get in.
    pub(crate) cut: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct View {
    peers: HashMap<ReplicaId, Peer>,
    regions: HashMap<String, (ReplicaId, u64)>,
    watched: Option<Instant>,
    /// When the store last answered.
    answered: Option<Instant>,
    has_cut: bool,
    /// Nodes without a replica, and sessions without a player, by when they were first seen so.
    stranded: Watch<Stranded>,
    unserved: Watch<Stranded>,
    starting: Watch<SessionId>,
    /// Links that are lost here and not yet in the store.
    closing: Vec<Closing>,
    /// Whether the store did not answer last, and since when it does again.
    failing: bool,
    sound_since: Option<Instant>,
    /// When silence was last judged, and until when it is not.
    judged: Option<Instant>,
    deaf_until: Option<Instant>,
}

/// A link that is lost here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) node: NodeId,
    pub(crate) link: u64,
    /// Whether the store was away since, so that the node could not link anew.
    pub(crate) is_deferred: bool,
}

#[derive(Debug, Default)]
struct Peer {
    /// Its count in the store, and since when.
    beat: Option<(u64, Instant)>,
    /// When it was last heard on the bus, and whether its store answered then.
    heard: Option<(Instant, bool)>,
    /// Its last announcement before which none is missing; none where all may be.
    number: Option<u64>,
    /// Announcements after it that have come.
    ahead: BTreeSet<u64>,
    /// Since when one is missing.
    hole: Option<Instant>,
    /// Whether its nodes are being asked for.
    asking: bool,
}

/// Who looks at silent nodes four times a second and did not for this long stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// Announcements overtake each other by less than this.
const OVERTAKEN: Duration = Duration::from_secs(1);
/// As many that are ahead of a missing one say that it is lost.
const MOST_AHEAD: usize = 4096;

impl Peer {
    /// Goes on to the last announcement before which none is missing.
    fn absorb(&mut self) {
        while let Some(next) = self.number.map(|number| number + 1)
            && self.ahead.remove(&next)
        {
            self.number = Some(next);
        }
        if self.number.is_some() && self.ahead.is_empty() {
            self.hole = None;
        }
    }

    fn forget(&mut self) {
        (self.number, self.hole) = (None, None);
        self.ahead.clear();
    }
}

/// Who leases in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Me(Fence),
    Other(ReplicaId),
    Nobody,
}

/// What a beat asks for.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Dead replicas, with the count at which they stopped.
    pub(crate) dead: Vec<(ReplicaId, u64)>,
    /// Regions to claim, over the number of an owner that is no more.
    pub(crate) regions: Vec<(String, u64)>,
}

impl Cluster {
    pub(crate) fn new(me: ReplicaId, alone: bool) -> Self {
        Self {
            me,
            alone,
            said: AtomicU64::new(0),
            store_answers: AtomicBool::new(true),
            view: Mutex::default(),
            owners: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next announcement.
    pub(crate) fn next_word(&self) -> (ReplicaId, u64) {
        (self.me, 1 + self.said.fetch_add(1, Ordering::Relaxed))
    }

    /// The number of the last announcement.
    pub(crate) fn last_word(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Whether the store answered the last beat.
    pub(crate) fn store_answers(&self) -> bool {
        self.store_answers.load(Ordering::Relaxed)
    }

    /// Takes in what the store says about all replicas.
    pub(crate) fn observe(&self, replicas: &Replicas, now: Instant) -> Due {
        self.store_answers.store(true, Ordering::Relaxed);
        let mut view = self.view();
        let blind = view.watched.is_none_or(|watched| now - watched > BLIND);
        (view.watched, view.answered, view.has_cut) = (Some(now), Some(now), false);
        let mut due = Due::default();
        let listed: HashSet<_> = replicas.beats.iter().map(|(replica, _)| *replica).collect();
        view.peers.retain(|replica, peer| {
            if !listed.contains(replica) {
                peer.beat = None;
            }
            peer.beat.is_some() || peer.heard.is_some_and(|(heard, _)| now - heard < OUT_OF_REACH)
        });
        let mut alive = vec![self.me];
        for (replica, beat) in replicas.beats.iter().filter(|(replica, _)| *replica != self.me) {
            let peer = view.peers.entry(*replica).or_default();
            match peer.beat {
                Some((known, _)) if known == *beat && !blind => {}
                _ => peer.beat = Some((*beat, now)),
            }
            let since = peer.beat.map_or(now, |(_, since)| since);
            if now - since >= DEAD {
                due.dead.push((*replica, *beat));
            } else {
                alive.push(*replica);
            }
        }
        let owners = replicas.regions.iter().map(|it| (it.region.clone(), (it.owner, it.fence))).collect();
        if view.regions != owners {
            view.regions = owners;
            self.owners.send_modify(|count| *count += 1);
        }
        for owned in &replicas.regions {
            if !alive.contains(&owned.owner) && preferred(&owned.region, &alive) == Some(self.me) {
                due.regions.push((owned.region.clone(), owned.fence));
            }
        }
        due
    }

    /// The store did not answer; true, once, if the nodes are better off elsewhere.
    pub(crate) fn is_cut_off(&self, now: Instant) -> bool {
        self.store_answers.store(false, Ordering::Relaxed);
        let mut view = self.view();
        view.failing = true;
        let patience = view.answered.is_none_or(|answered| now - answered < DEAD);
        let fresh = |heard: Instant| now - heard < OUT_OF_REACH;
        let others_can = view.peers.values().any(|peer| peer.heard.is_some_and(|(at, can)| can && fresh(at)));
        let cut = !patience && others_can && !view.has_cut;
        view.has_cut |= cut;
        cut
    }

    /// Who leases in the region.
    pub(crate) fn owner(&self, region: &str) -> Owner {
        match self.view().regions.get(region) {
            None => Owner::Nobody,
            Some((owner, number)) if *owner == self.me => {
                Owner::Me(Fence { region: region.to_owned(), number: *number })
            }
            Some((owner, _)) => Owner::Other(*owner),
        }
    }

    /// The number under which a region is owned.
    pub(crate) fn fence(&self, region: &str) -> Option<u64> {
        self.view().regions.get(region).map(|(_, fence)| *fence)
    }

    /// This replica owns the region under a new number.
    pub(crate) fn own(&self, region: &str, fence: u64) {
        self.view().regions.insert(region.to_owned(), (self.me, fence));
        self.owners.send_modify(|count| *count += 1);
    }

    /// Regions that this replica owns, and living replicas, this one among them.
    pub(crate) fn size(&self) -> (u64, u64) {
        let view = self.view();
        let mine = view.regions.values().filter(|(owner, _)| *owner == self.me).count();
        let alive = view.peers.values().filter(|peer| peer.beat.is_some()).count();
        (mine as u64, 1 + alive as u64)
    }

    /// The replica that keeps what goes by this name: the same in the eyes of all who see the same replicas alive.
    pub(crate) fn keeper(&self, name: &str) -> ReplicaId {
        let view = self.view();
        let peers = view.peers.iter().filter(|(_, peer)| peer.beat.is_some()).map(|(replica, _)| *replica);
        let alive: Vec<_> = peers.chain([self.me]).collect();
        preferred(name, &alive).unwrap_or(self.me)
    }

    /// Something came from a replica; true if something before it was missed, or everything.
    pub(crate) fn heard(&self, replica: ReplicaId, number: u64, now: Instant) -> bool {
        let mut view = self.view();
        let peer = view.peers.entry(replica).or_default();
        let store = peer.heard.is_some_and(|(_, store)| store);
        peer.heard = Some((now, store));
        if peer.number.is_none_or(|last| number > last) {
            peer.ahead.insert(number);
        }
        peer.absorb();
        if peer.ahead.len() > MOST_AHEAD {
            peer.forget();
        }
        if peer.number.is_some() && peer.ahead.is_empty() {
            return false;
        }
        let since = *peer.hole.get_or_insert(now);
        peer.number.is_none() || now - since >= OVERTAKEN
    }

    /// A replica says whether its store answers.
    pub(crate) fn heard_of_store(&self, replica: ReplicaId, answers: bool) {
        if let Some(peer) = self.view().peers.get_mut(&replica)
            && let Some(heard) = &mut peer.heard
        {
            heard.1 = answers;
        }
    }

    /// Whether to ask a replica for its nodes now: one question at a time.
    pub(crate) fn begin_asking(&self, replica: ReplicaId) -> bool {
        let mut view = self.view();
        let peer = view.peers.entry(replica).or_default();
        !std::mem::replace(&mut peer.asking, true)
    }

    /// The replica has named all its nodes as of the announcement of this number, or did not answer.
    pub(crate) fn end_asking(&self, replica: ReplicaId, number: Option<u64>) {
        if let Some(peer) = self.view().peers.get_mut(&replica) {
            peer.asking = false;
            if let Some(number) = peer.number.max(number) {
                peer.number = Some(number);
                peer.ahead.retain(|ahead| *ahead > number);
                peer.hole = None;
                peer.absorb();
            }
        }
    }

    /// There is nobody else.
    pub(crate) fn forget_peers(&self) {
        self.view().peers.clear();
    }

    /// All replicas were missed for a moment.
    pub(crate) fn forget_numbers(&self) {
        self.view().peers.values_mut().for_each(Peer::forget);
    }

    /// Other replicas, and whether the bus reaches them.
    pub(crate) fn reachable(&self, now: Instant) -> Vec<(ReplicaId, bool)> {
        let reached = |peer: &Peer| peer.heard.is_some_and(|(heard, _)| now - heard < OUT_OF_REACH);
        self.view().peers.iter().map(|(replica, peer)| (*replica, reached(peer))).collect()
    }

    /// Keeps those that are still stranded; gives those that were for longer than `patience`.
    pub(crate) fn stranded_for(&self, now: Instant, patience: Duration, all: &[Stranded]) -> Vec<Stranded> {
        self.view().stranded.overdue(now, patience, all)
    }

    /// Keeps those that are still served by nobody; gives those that were so for longer than `patience`.
    pub(crate) fn unserved_for(&self, now: Instant, patience: Duration, all: &[Stranded]) -> Vec<Stranded> {
        self.view().unserved.overdue(now, patience, all)
    }

    /// Keeps those that still wait for a player; gives those that did for longer than `patience`.
    pub(crate) fn starting_for(&self, now: Instant, patience: Duration, all: &[SessionId]) -> Vec<SessionId> {
        self.view().starting.overdue(now, patience, all)
    }

    /// Links that the store is to be told of: those that were lost while it was away only after `patience`, in
    /// which their nodes could link again.
    pub(crate) fn take_closing(&self, now: Instant, patience: Duration) -> Vec<Closing> {
        let mut view = self.view();
        let settled = !view.failing && view.sound_since.is_none_or(|since| now - since >= patience);
        let (due, waiting) = view.closing.drain(..).partition(|it| settled || !it.is_deferred);
        view.closing = waiting;
        due
    }

    /// Links that are lost here.
    pub(crate) fn add_closing(&self, lost: impl IntoIterator<Item = Closing>) {
        self.view().closing.extend(lost);
    }

    /// Whether silent nodes may be taken for lost. Who stood still heard nobody: for as long as a node may be
    /// silent after that, it is given the benefit of the doubt.
    pub(crate) fn may_judge(&self, now: Instant) -> bool {
        let mut view = self.view();
        if view.judged.is_some_and(|judged| now - judged > STOOD_STILL) {
            view.deaf_until = Some(now + Duration::from_millis(NODE_LOST_MS));
        }
        view.judged = Some(now);
        view.deaf_until.is_none_or(|until| now >= until)
    }

    /// The store answered somebody who asks it every second, or it did not.
    pub(crate) fn note_store(&self, answers: bool, now: Instant) {
        let mut view = self.view();
        if !answers {
            view.failing = true;
        } else if std::mem::take(&mut view.failing) {
            view.sound_since = Some(now);
        }
    }
}

/// For how long something has been so, as far as it was watched.
#[derive(Debug)]
struct Watch<T> {
    since: HashMap<T, Instant>,
    looked: Option<Instant>,
}

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Self { since: HashMap::new(), looked: None }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Watch<T> {
    /// Keeps what is among `all`; gives what is for longer than `patience`. While nobody could look, nothing
    /// that ends it could be written either, so that this time does not count.
    fn overdue(&mut self, now: Instant, patience: Duration, all: &[T]) -> Vec<T> {
        let blind = self.looked.is_none_or(|looked| now - looked > DEAD);
        self.looked = Some(now);
        let listed: HashSet<_> = all.iter().copied().collect();
        self.since.retain(|it, _| !blind && listed.contains(it));
        all.iter().copied().filter(|it| now - *self.since.entry(*it).or_insert(now) >= patience).collect()
    }
}

/// The replica that takes a region over: another one for each region, and the same for all who ask.
fn preferred(name: &str, alive: &[ReplicaId]) -> Option<ReplicaId> {
    let weight = |replica: &ReplicaId| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(name.as_bytes()).update(&replica.raw().to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    alive.iter().copied().max_by_key(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RegionOwner;

    fn id(n: u8) -> ReplicaId {
        ReplicaId::from_random([n; 8])
    }

    fn seen(beats: &[(u8, u64)], owner: u8) -> Replicas {
        Replicas {
            beats: beats.iter().map(|(n, beat)| (id(*n), *beat)).collect(),
            regions: vec![RegionOwner { region: "DE".into(), owner: id(owner), fence: 4 }],
            now_ms: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_stops_counting_is_dead_after_three_seconds_of_watching() {
        let cluster = Cluster::new(id(1), false);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for step in 0..6 {
            let due = cluster.observe(&seen(&[(1, step), (2, 7)], 2), at(step * 500));
            assert!(due.dead.is_empty() && due.regions.is_empty(), "{step}");
        }
        assert_eq!(cluster.owner("DE"), Owner::Other(id(2)));
        let due = cluster.observe(&seen(&[(1, 9), (2, 7)], 2), at(3000));
        assert_eq!((due.dead, due.regions), (vec![(id(2), 7)], vec![("DE".to_owned(), 4)]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_could_not_watch_declares_nobody_dead() {
        let cluster = Cluster::new(id(1), false);
        let start = Instant::now();
        cluster.observe(&seen(&[(2, 7)], 2), start);
        let later = start + Duration::from_secs(60);
        assert!(cluster.observe(&seen(&[(2, 7)], 2), later).dead.is_empty());
        let due = cluster.observe(&seen(&[(2, 8)], 2), later + super::super::BEAT);
        assert!(due.dead.is_empty() && due.regions.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_sent_elsewhere_only_where_others_reach_the_store() {
        let cluster = Cluster::new(id(1), false);
        let start = Instant::now();
        cluster.observe(&seen(&[(2, 1)], 2), start);
        let later = start + DEAD;
        cluster.heard(id(2), 1, later);
        assert!(!cluster.is_cut_off(later), "nobody said that the store answers");
        cluster.heard_of_store(id(2), true);
        assert!(cluster.is_cut_off(later));
        assert!(!cluster.is_cut_off(later), "once");
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_were_lost_while_the_store_was_away_have_time_to_link_again() {
        let cluster = Cluster::new(id(1), true);
        let (start, grace) = (Instant::now(), Duration::from_secs(10));
        let closing = |is_deferred| Closing { node: NodeId::from_random([1; 16]), link: 1, is_deferred };
        cluster.add_closing([closing(false)]);
        assert_eq!(cluster.take_closing(start, grace), [closing(false)]);
        cluster.note_store(false, start);
        cluster.add_closing([closing(true)]);
        assert!(cluster.take_closing(start + grace * 2, grace).is_empty(), "the store is still away");
        cluster.note_store(true, start + grace * 2);
        assert!(cluster.take_closing(start + grace * 2, grace).is_empty());
        cluster.note_store(true, start + grace * 3);
        assert_eq!(cluster.take_closing(start + grace * 3, grace), [closing(true)]);
    }

    #[test]
    fn who_stood_still_takes_no_node_for_lost() {
        let cluster = Cluster::new(id(1), true);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(cluster.may_judge(at(0)) && cluster.may_judge(at(250)));
        assert!(!cluster.may_judge(at(5000)), "nothing was heard for 4.75 s");
        let later: Vec<_> = (5250..=8250).step_by(250).map(|ms| cluster.may_judge(at(ms))).collect();
        assert!(later[..11].iter().all(|may| !may) && later[11..].iter().all(|may| *may), "{later:?}");
    }

    #[test]
    fn a_hole_in_the_announcements_is_noticed_and_a_late_one_is_not_a_hole() {
        let cluster = Cluster::new(id(1), false);
        let now = Instant::now();
        assert!(cluster.heard(id(2), 5, now), "the first one comes after others");
        cluster.end_asking(id(2), Some(5));
        assert!(
            !cluster.heard(id(2), 6, now) && !cluster.heard(id(2), 4, now) && !cluster.heard(id(2), 6, now)
        );
        assert!(!cluster.heard(id(2), 8, now), "7 may be overtaken");
        assert!(cluster.heard(id(2), 9, now + OVERTAKEN), "it is lost");
        assert!(!cluster.heard(id(2), 7, now + OVERTAKEN), "it came after all");
        assert!(!cluster.heard(id(2), 10, now + OVERTAKEN));
    }

    #[test]
    fn regions_are_spread_and_all_agree_who_takes_which() {
        let alive = [id(1), id(2), id(3)];
        let mut reversed = alive;
        reversed.reverse();
        let regions: Vec<_> = (0..60).map(|n| format!("R{n}")).collect();
        for replica in alive {
            let mine = regions.iter().filter(|region| preferred(region, &alive) == Some(replica)).count();
            assert!((8..35).contains(&mine), "{mine} of 60");
        }
        assert!(regions.iter().all(|region| preferred(region, &alive) == preferred(region, &reversed)));
    }
}
