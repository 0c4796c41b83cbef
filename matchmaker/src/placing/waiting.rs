//! The queue: who waits for a slot, and what they are told.
//!
//! A place belongs to a guest and a title, and lasts as long as it is asked for. A slot is given to whoever asks for it
//! while as many are free as have the right to one before: nothing is held for anybody, and nobody is passed by.
//!
//! Replicas tell each other of each place whenever it is asked for: all of them have the same line but for who came in
//! the same moment, and none takes it along when it dies.

use crate::bus::words::{LineStep, LineWord, Word};
use crate::replicas;
use crate::state::Shared;
use nearframe_placement::Request;
use nearframe_placement::assign::queue::{Account, Queue, Ticket};
use nearframe_protocol::fleet::{QueueRow, Queued};
use nearframe_protocol::measure::Wait;
use nearframe_protocol::{GuestId, TitleId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A place that nobody asks for is given up after this.
const KEPT_MS: u64 = 15_000;
/// Those who wait ask this often.
pub(crate) const AGAIN_MS: u32 = 2_000;
/// Places of one guest.
const PLACES_PER_GUEST: usize = 8;
/// Places in one word to other replicas.
const TOLD_AT_ONCE: usize = 1_000;
/// Rows that the operator is shown.
const SHOWN: usize = 100;

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: Queue,
    tickets: BTreeMap<(GuestId, TitleId), Ticket>,
    entries: BTreeMap<Ticket, Entry>,
    next: u64,
    /// What other replicas are to be told.
    news: Vec<LineWord>,
}

#[derive(Debug)]
struct Entry {
    guest: GuestId,
    request: Request,
    since_ms: u64,
    asked_ms: u64,
}

/// Whether a request may take a slot now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Admission {
    /// It may; it has waited this long, ms.
    Go(u64),
    /// It has to wait.
    Wait(Wait),
    /// It would have to wait, and the queue or the guest's share of it is full.
    Crowded,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the guest may take a slot for `request`; lines it up where not and `join` says so.
    pub(crate) fn admit(&self, shared: &Shared, guest: GuestId, request: &Request, join: bool) -> Admission {
        let now = shared.now_ms();
        let mut inner = self.lock();
        inner.forget(now);
        let key = (guest, request.title.clone());
        let mine = inner.tickets.get(&key).copied();
        if inner.queue.is_empty() {
            return Admission::Go(0);
        }
        if inner.ahead(shared, mine, request) < inner.free(shared, request) {
            return Admission::Go(mine.map_or(0, |ticket| inner.waited_ms(ticket, now)));
        }
        if !join {
            return Admission::Wait(inner.wait_of_newcomer(now));
        }
        inner.join(key, request, now).map_or(Admission::Crowded, Admission::Wait)
    }

    /// Lines up a request that found no slot.
    pub(crate) fn join(&self, guest: GuestId, request: &Request, now_ms: u64) -> Option<Wait> {
        self.lock().join((guest, request.title.clone()), request, now_ms)
    }

    /// Other replicas were asked for these places.
    pub(crate) fn heard(&self, shared: &Shared, places: Vec<LineWord>) {
        let now_ms = shared.now_ms();
        let mut inner = self.lock();
        for LineWord { guest, title, hash, since_ms, step } in places {
            let ticket = inner.tickets.get(&(guest, title.clone())).copied();
            match (step, ticket) {
                (LineStep::Waits, _) => {
                    let request = shared.placing.rules().request(Request::play(title.clone(), hash));
                    inner.line_up((guest, title), &request, since_ms.min(now_ms), now_ms);
                }
                (LineStep::Left, Some(ticket)) => inner.drop_ticket(ticket),
                (LineStep::Served, Some(ticket)) => inner.serve(ticket, now_ms),
                (LineStep::Left | LineStep::Served, None) => {}
            }
        }
    }

    /// The guest got its slot.
    pub(crate) fn served(&self, guest: GuestId, title: &TitleId, now_ms: u64) {
        let mut inner = self.lock();
        if let Some(ticket) = inner.tickets.get(&(guest, title.clone())).copied() {
            inner.note(ticket, LineStep::Served);
            inner.serve(ticket, now_ms);
        }
    }

    /// The guest waits no longer; false where it did not.
    pub(crate) fn leave(&self, guest: GuestId, title: &TitleId) -> bool {
        let mut inner = self.lock();
        let ticket = inner.tickets.get(&(guest, title.clone())).copied();
        if let Some(ticket) = ticket {
            inner.note(ticket, LineStep::Left);
            inner.drop_ticket(ticket);
        }
        ticket.is_some()
    }

    /// The places of a guest.
    pub(crate) fn of_guest(&self, guest: GuestId, now_ms: u64) -> Vec<Queued> {
        let mut inner = self.lock();
        inner.forget(now_ms);
        let mine = inner.tickets.iter().filter(|((owner, _), _)| *owner == guest);
        let place = |((_, title), ticket): (&(GuestId, TitleId), &Ticket)| {
            let since_ms = inner.entries.get(ticket)?.since_ms;
            Some(Queued { title: title.clone(), since_ms, wait: inner.wait(*ticket, now_ms) })
        };
        mine.filter_map(place).collect()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> u64 {
        self.lock().queue.len() as u64
    }

    /// The first of all who wait, and how many there are.
    pub(crate) fn shown(&self, now_ms: u64) -> (Vec<QueueRow>, u64) {
        let mut inner = self.lock();
        inner.forget(now_ms);
        let row = |ticket: Ticket| {
            let entry = inner.entries.get(&ticket)?;
            let title = entry.request.title.clone();
            Some(QueueRow { title, since_ms: entry.since_ms, wait: inner.wait(ticket, now_ms) })
        };
        let rows = inner.queue.order().take(SHOWN).filter_map(row).collect();
        (rows, inner.queue.len() as u64)
    }

    /// The wait of a newcomer where others stand before it for the slots that are free.
    pub(crate) fn would_wait(&self, shared: &Shared, request: &Request) -> Option<Wait> {
        let now = shared.now_ms();
        let mut inner = self.lock();
        inner.forget(now);
        let waits =
            !inner.queue.is_empty() && inner.ahead(shared, None, request) >= inner.free(shared, request);
        waits.then(|| inner.wait_of_newcomer(now))
    }

    /// The wait of a newcomer who finds no slot; none where waiting does not help, because no node could ever take it.
    pub(crate) fn wait_if_joined(&self, shared: &Shared, request: &Request) -> Option<Wait> {
        let possible = shared.fleet().could_take(request);
        possible.then(|| self.lock().wait_of_newcomer(shared.now_ms()))
    }
}

impl Inner {
    fn forget(&mut self, now_ms: u64) {
        let old = |(ticket, entry): (&Ticket, &Entry)| {
            (now_ms.saturating_sub(entry.asked_ms) > KEPT_MS).then_some(*ticket)
        };
        let gone: Vec<Ticket> = self.entries.iter().filter_map(old).collect();
        gone.into_iter().for_each(|ticket| self.drop_ticket(ticket));
    }

    fn drop_ticket(&mut self, ticket: Ticket) {
        self.queue.leave(ticket);
        if let Some(entry) = self.entries.remove(&ticket) {
            self.tickets.remove(&(entry.guest, entry.request.title));
        }
    }

    fn serve(&mut self, ticket: Ticket, now_ms: u64) {
        if let Some(entry) = self.entries.remove(&ticket) {
            self.tickets.remove(&(entry.guest, entry.request.title));
        }
        self.queue.served(ticket, now_ms);
    }

    fn note(&mut self, ticket: Ticket, step: LineStep) {
        if let Some(Entry { guest, request, since_ms, .. }) = self.entries.get(&ticket) {
            let (guest, title, hash, since_ms) = (*guest, request.title.clone(), request.hash, *since_ms);
            self.news.push(LineWord { guest, title, hash, since_ms, step });
        }
    }

    fn join(&mut self, key: (GuestId, TitleId), request: &Request, now_ms: u64) -> Option<Wait> {
        let ticket = self.line_up(key, request, now_ms, now_ms)?;
        self.note(ticket, LineStep::Waits);
        Some(self.wait(ticket, now_ms))
    }

    /// Its place, which stays the one it had.
    fn line_up(
        &mut self,
        key: (GuestId, TitleId),
        request: &Request,
        since_ms: u64,
        now_ms: u64,
    ) -> Option<Ticket> {
        if let Some(ticket) = self.tickets.get(&key).copied() {
            if let Some(entry) = self.entries.get_mut(&ticket) {
                entry.asked_ms = now_ms;
                entry.since_ms = entry.since_ms.min(since_ms);
                entry.request = request.clone();
            }
            return Some(ticket);
        }
        let guest = key.0;
        if self.tickets.keys().filter(|(owner, _)| *owner == guest).count() >= PLACES_PER_GUEST {
            return None;
        }
        self.next += 1;
        let ticket = Ticket(self.next);
        let account = Account(u64::from_le_bytes(*guest.as_bytes().first_chunk().expect("16 bytes")));
        self.queue.join(ticket, account, 1).ok()?;
        self.tickets.insert(key, ticket);
        let entry = Entry { guest, request: request.clone(), since_ms, asked_ms: now_ms };
        self.entries.insert(ticket, entry);
        Some(ticket)
    }

    fn waited_ms(&self, ticket: Ticket, now_ms: u64) -> u64 {
        self.entries.get(&ticket).map_or(0, |entry| now_ms.saturating_sub(entry.since_ms))
    }

    /// How many who could use a slot that is free stand before this ticket, or before a newcomer.
    fn ahead(&self, shared: &Shared, mine: Option<Ticket>, request: &Request) -> u32 {
        let fleet = shared.fleet();
        // Of each title it is asked once whether anything is free for it.
        let mut usable: BTreeMap<&TitleId, bool> = BTreeMap::from([(&request.title, true)]);
        let before = self.queue.order().take_while(|ticket| Some(*ticket) != mine);
        let requests = before.filter_map(|ticket| self.entries.get(&ticket)).map(|entry| &entry.request);
        let count = requests
            .filter(|other| *usable.entry(&other.title).or_insert_with(|| fleet.free_for(other) > 0))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn free(&self, shared: &Shared, request: &Request) -> u32 {
        shared.fleet().free_for(request)
    }

    fn wait(&self, ticket: Ticket, now_ms: u64) -> Wait {
        self.behind(self.queue.before(ticket).unwrap_or_default(), now_ms)
    }

    fn wait_of_newcomer(&self, now_ms: u64) -> Wait {
        self.behind(self.queue.before_newcomer(), now_ms)
    }

    fn behind(&self, before: usize, now_ms: u64) -> Wait {
        let told = self.queue.wait_behind(before, now_ms);
        Wait {
            place: u32::try_from(before + 1).unwrap_or(u32::MAX),
            likely_ms: told.map(|wait| wait.likely_ms),
            at_most_ms: told.map(|wait| wait.at_most_ms),
        }
    }
}

/// Tells other replicas what changed.
pub(crate) async fn tell(shared: &Shared) {
    let news = std::mem::take(&mut shared.placing.waiting.lock().news);
    if shared.cluster.alone {
        return;
    }
    for places in news.chunks(TOLD_AT_ONCE) {
        replicas::say(shared, Word::Line(places.to_vec())).await;
    }
}
