//! A store in memory, for tests: the same transactions, and a crash before a commit on demand.

use super::account::LeaseState;
use super::{
    Admission, BudgetRow, Created, Ended, Hash, NewSave, NewSession, NodeRow, Payer, PostedRow, Replicas,
    SaveOwner, SaveRow, Saved, SessionRow, Store, StoreError, Stranded, Taken,
};
use crate::bus::words::{HeldSlots, ReplicaId};
use async_trait::async_trait;
use clock::Clock;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_ledger::{Chain, Kind, LeaseAccount, Meter, Reservation, Terms, Transfer};
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::webhook::BudgetOf;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, Money, NodeId, PublicKey, SessionId, SessionState,
    SpendLimit, TitleId,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

mod accounts;
mod asides;
mod billing;
mod budgets;
mod checks;
mod clock;
mod deeds;
mod evidence;
mod leases;
mod ledger;
mod market;
mod nodes;
mod payouts;
mod placement;
mod plans;
mod replicas;
mod saves;
mod service;
mod settlements;
mod sign_in;
mod stakes;
mod trust;
mod webhooks;

/// A store that forgets everything with its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// Commits that succeed before one crashes; `None` never crashes.
    commits_until_crash: Option<u32>,
}

#[derive(Debug, Default, Clone)]
struct State {
    secrets: HashMap<String, [u8; 32]>,
    nodes: BTreeMap<NodeId, (PublicKey, NodeRow)>,
    enrolments: HashMap<Hash, (u64, bool)>,
    operator_links: HashMap<Hash, (u64, bool)>,
    operators: HashMap<Hash, u64>,
    sessions: BTreeMap<SessionId, Held>,
    idempotency: HashMap<Hash, (Hash, SessionId)>,
    journal: Vec<Transfer>,
    limits: budgets::Limits,
    market: market::Market,
    cards: billing::Cards,
    checks: checks::Checks,
    settlement: settlements::Last,
    saves: saves::Saves,
    replicas: replicas::Cluster,
    slots: HashMap<NodeId, HeldSlots>,
    placement: placement::Kept,
    who: accounts::Who,
    payers: HashMap<LeaseId, Payer>,
    plans: plans::Kept,
    payouts: payouts::Kept,
    deeds: deeds::Deeds,
    hooks: webhooks::Hooks,
    ways: sign_in::Ways,
    trust: trust::Trust,
    stakes: stakes::Kept,
    blocks: ledger::Blocks,
    service: service::Kept,
    asides: asides::Kept,
}

#[derive(Debug, Clone)]
struct Held {
    new: NewSession,
    state: SessionState,
    ended: Option<(u64, EndReason)>,
    limit: Option<SpendLimit>,
    closed: bool,
    receipts: Vec<(StoredReceipt, u64)>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `commits` more transactions commit; the one after them crashes before its commit, once.
    pub fn crash_after(&self, commits: u32) {
        self.lock().commits_until_crash = Some(commits);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on a copy, which becomes the state at the commit.
    fn transact<T>(&self, change: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut inner = self.lock();
        let mut copy = inner.state.clone();
        let result = change(&mut copy)?;
        match inner.commits_until_crash {
            Some(0) => {
                inner.commits_until_crash = None;
                return Err(StoreError::Crashed);
            }
            Some(left) => inner.commits_until_crash = Some(left - 1),
            None => {}
        }
        inner.state = copy;
        Ok(result)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }
}

impl State {
    fn row(&self, held: &Held) -> SessionRow {
        let new = &held.new;
        let posts = self.journal.iter().filter(|t| t.lease == new.lease && t.kind == Kind::Post);
        SessionRow {
            id: new.id,
            guest: new.guest,
            title: new.title.clone(),
            title_hash: new.title_hash,
            player_key: new.player_key,
            state: held.state,
            generation: Generation(0),
            lease: new.lease,
            payer: new.payer,
            reservation: new.reservation,
            stands_by: new.stands_by(),
            node: new.node,
            node_slots: self.slots_of(new.node),
            node_name: self.nodes.get(&new.node).map(|(_, node)| node.name.clone()).unwrap_or_default(),
            created_at_ms: new.now_ms,
            ended_at_ms: held.ended.map(|(at_ms, _)| at_ms),
            end_reason: held.ended.map(|(_, reason)| reason),
            end_limit: held.limit,
            receipts: held.receipts.len() as u32,
            billed_us: held.receipts.iter().map(|(_, billed_us)| billed_us).sum(),
            cost: Money {
                amount_micros: posts.map(|t| t.amount_micros).sum(),
                currency: new.tariff.currency.clone(),
            },
        }
    }

    fn lease(&self, held: &Held) -> Result<LeaseState, StoreError> {
        let new = &held.new;
        let (node_key, _) = self.nodes.get(&new.node).ok_or(StoreError::Corrupt("node_id"))?;
        let sum = |kind| {
            let of_kind = self.journal.iter().filter(|t| t.lease == new.lease && t.kind == kind);
            of_kind.map(|t| t.amount_micros).sum()
        };
        let receipts = || held.receipts.iter().map(|(stored, billed_us)| (stored, *billed_us));
        let last = held.receipts.last().map(|(stored, _)| stored.signed.receipt.hash());
        Ok(LeaseState {
            terms: Terms {
                session: new.id,
                generation: Generation(0),
                node_key: *node_key,
                player_key: new.player_key,
                started_at_ms: new.now_ms,
                ended_at_ms: held.ended.map(|(at_ms, _)| at_ms),
            },
            account: account(new),
            chain: Chain {
                next_sequence: held.receipts.len() as u32,
                head: last.unwrap_or(Chain::default().head),
                claimed_us: receipts().map(|(stored, _)| stored.signed.receipt.duration_us).sum(),
            },
            meter: Meter {
                billed_us: receipts().map(|(_, billed_us)| billed_us).sum(),
                unsigned_us: receipts().filter(|(r, _)| !r.countersigned).map(|(_, billed)| billed).sum(),
            },
            reservation: Reservation {
                pending_micros: sum(Kind::Pending),
                posted_micros: sum(Kind::Post),
                voided_micros: sum(Kind::Void),
            },
        })
    }

    fn slots_of(&self, node: NodeId) -> HeldSlots {
        self.slots.get(&node).copied().unwrap_or(HeldSlots { node, held: 0, change: 0 })
    }

    fn change_slots(&mut self, node: NodeId, change: impl FnOnce(u32) -> u32) {
        let slots = self.slots_of(node);
        self.slots.insert(node, HeldSlots { node, held: change(slots.held), change: slots.change + 1 });
    }

    fn rows(&self, wanted: impl Fn(&Held) -> bool) -> Vec<SessionRow> {
        let mut rows: Vec<_> =
            self.sessions.values().filter(|held| wanted(held)).map(|held| self.row(held)).collect();
        rows.sort_by_key(|row: &SessionRow| (row.created_at_ms, row.id));
        rows
    }
}

fn account(new: &NewSession) -> LeaseAccount {
    let (title, payer) = (new.title.clone(), new.payer.map(|payer| payer.account));
    LeaseAccount { lease: new.lease, title, payer, node: new.node, tariff: new.tariff.clone() }
}

#[async_trait]
impl Store for MemoryStore {
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.transact(|state| Ok(*state.secrets.entry(name.to_owned()).or_insert(fresh)))
    }
    async fn add_enrolment(&self, code: Hash, expires_at_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.enrolments.insert(code, (expires_at_ms, false));
            Ok(())
        })
    }
    async fn admit_node(
        &self,
        key: &PublicKey,
        code: Option<Hash>,
        offer: &NodeOffer,
        now_ms: u64,
    ) -> Result<Admission, StoreError> {
        self.transact(|state| Ok(nodes::admit(state, key, code, offer, now_ms)))
    }
    async fn node_count(&self) -> Result<u64, StoreError> {
        Ok(self.read(|state| state.nodes.len() as u64))
    }
    async fn nodes(&self, after: Option<NodeId>, limit: u32) -> Result<Vec<NodeRow>, StoreError> {
        let mut rows: Vec<_> =
            self.read(|state| state.nodes.values().map(|(_, node)| node.clone()).collect());
        rows.sort_by(|a: &NodeRow, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let first = after
            .map_or(0, |after| rows.iter().position(|row| row.id == after).map_or(rows.len(), |at| at + 1));
        Ok(rows.into_iter().skip(first).take(limit as usize).collect())
    }
    async fn nodes_of(&self, ids: &[NodeId]) -> Result<Vec<NodeRow>, StoreError> {
        Ok(self.read(|state| {
            ids.iter().filter_map(|id| state.nodes.get(id)).map(|(_, row)| row.clone()).collect()
        }))
    }
    async fn node_key(&self, node: NodeId) -> Result<Option<PublicKey>, StoreError> {
        Ok(self.read(|state| state.nodes.get(&node).map(|(key, _)| *key)))
    }
    async fn add_operator_link(&self, token: Hash, expires_at_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.operator_links.insert(token, (expires_at_ms, false));
            Ok(())
        })
    }
    async fn redeem_operator_link(
        &self,
        token: Hash,
        now_ms: u64,
        cookie: Hash,
        cookie_expires_at_ms: u64,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            match state.operator_links.get_mut(&token) {
                Some((expires_at_ms, used)) if !*used && *expires_at_ms > now_ms => *used = true,
                _ => return Ok(false),
            }
            state.operators.insert(cookie, cookie_expires_at_ms);
            Ok(true)
        })
    }
    async fn is_operator(&self, cookie: Hash, now_ms: u64) -> Result<bool, StoreError> {
        Ok(self.read(|state| state.operators.get(&cookie).is_some_and(|expires| *expires > now_ms)))
    }
    async fn create_session(&self, new: &NewSession) -> Result<Created, StoreError> {
        self.transact(|state| state.create(new))
    }
    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.read(|state| state.sessions.get(&id).map(|held| state.row(held))))
    }
    async fn sessions_of(
        &self,
        guest: GuestId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let mut rows: Vec<_> = self.read(|state| {
            let mine = state.sessions.values().filter(|held| held.new.guest == guest);
            mine.map(|held| state.row(held)).collect()
        });
        let age = |row: &SessionRow| std::cmp::Reverse((row.created_at_ms, row.id));
        rows.sort_by_key(age);
        if let Some(after) = after {
            let at = rows.iter().position(|row| row.id == after).map_or(rows.len(), |at| at + 1);
            rows.drain(..at);
        }
        rows.truncate(limit as usize);
        Ok(rows)
    }
    async fn active_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        Ok(self.read(|state| state.rows(|held| held.state != SessionState::Ended)))
    }
    async fn sessions_on(&self, node: NodeId) -> Result<Vec<SessionRow>, StoreError> {
        Ok(self.read(|state| state.rows(|held| held.new.node == node && held.state != SessionState::Ended)))
    }
    async fn starting_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        Ok(self.read(|state| state.rows(|held| held.state == SessionState::Starting)))
    }
    async fn orphaned_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        Ok(self.read(|state| {
            let lost = |held: &Held| state.replicas.is_lost(held.new.node);
            state.rows(|held| held.state != SessionState::Ended && lost(held))
        }))
    }
    async fn busy(&self) -> Result<HashMap<NodeId, u32>, StoreError> {
        Ok(self.read(|state| {
            let held = state.slots.values().map(|slots| (slots.node, slots.held));
            held.filter(|(_, held)| *held > 0).collect()
        }))
    }
    async fn set_live(&self, id: SessionId, generation: Generation) -> Result<bool, StoreError> {
        self.transact(|state| {
            let starting =
                |held: &&mut Held| held.state == SessionState::Starting && generation == Generation(0);
            let Some(held) = state.sessions.get_mut(&id).filter(starting) else { return Ok(false) };
            held.state = SessionState::Live;
            Ok(true)
        })
    }
    async fn end_session(
        &self,
        id: SessionId,
        reason: EndReason,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError> {
        self.transact(|state| state.end(id, (reason, None), now_ms))
    }
    async fn end_over_budget(
        &self,
        id: SessionId,
        limit: SpendLimit,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError> {
        self.transact(|state| state.end(id, (EndReason::BudgetUsedUp, Some(limit)), now_ms))
    }
    async fn take_receipt(&self, receipt: &SignedReceipt, now_ms: u64) -> Result<Taken, StoreError> {
        self.transact(|state| state.take(receipt, now_ms))
    }
    async fn receipts(
        &self,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        Ok(self.read(|state| {
            let receipts = state.sessions.get(&session).map_or(&[][..], |held| &held.receipts);
            let page = receipts.iter().skip(offset as usize).take(limit as usize);
            page.map(|(stored, _)| stored.clone()).collect()
        }))
    }
    async fn close_accounts(&self, now_ms: u64) -> Result<u32, StoreError> {
        self.transact(|state| state.close(now_ms))
    }
    async fn journal(&self) -> Result<Vec<Transfer>, StoreError> {
        Ok(self.read(|state| state.journal.clone()))
    }
    async fn evidence(
        &self,
        title: Option<&TitleId>,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError> {
        self.read(|state| evidence::page(state, None, title, after, limit))
    }
    async fn posted_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError> {
        Ok(self.read(|state| state.posted_after(after, limit)))
    }
    async fn host_totals(&self, before_ms: u64, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        self.read(|state| state.totals(before_ms, among))
    }
    async fn last_settlement(&self) -> Result<Option<SignedRoot>, StoreError> {
        Ok(self.read(|state| state.settlement.clone()))
    }
    async fn set_budget(
        &self,
        title: &TitleId,
        currency: &Currency,
        limit_micros: Option<i128>,
    ) -> Result<(), StoreError> {
        self.transact(|state| {
            state.set_limit(title, currency, limit_micros);
            state.hooks.limit_is_new(&BudgetOf::Title { id: title.clone() });
            Ok(())
        })
    }
    async fn budgets(&self) -> Result<Vec<BudgetRow>, StoreError> {
        Ok(self.read(State::budgets))
    }
    async fn add_save(&self, new: &NewSave) -> Result<Saved, StoreError> {
        self.transact(|state| {
            let session = state.sessions.get(&new.session).map(|held| held.new.clone());
            Ok(session.map_or(Saved::UnknownSession, |session| state.saves.add(new, &session)))
        })
    }
    async fn saves_of(&self, guest: GuestId) -> Result<Vec<SaveRow>, StoreError> {
        Ok(self.read(|state| state.saves.of_guest(guest)))
    }
    async fn saves_of_title(&self, owner: &SaveOwner) -> Result<Vec<SaveRow>, StoreError> {
        Ok(self.read(|state| state.saves.of_title(owner)))
    }
    async fn remove_saves(&self, owner: &SaveOwner, now_ms: u64) -> Result<u32, StoreError> {
        self.transact(|state| Ok(state.saves.remove(owner, now_ms)))
    }
    async fn note_asset(&self, asset: Hash, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.saves.note(asset, now_ms);
            Ok(())
        })
    }
    async fn unreferenced_assets(&self, before_ms: u64, limit: u32) -> Result<Vec<Hash>, StoreError> {
        Ok(self.read(|state| state.saves.unreferenced(before_ms, limit)))
    }
    async fn forget_asset(&self, asset: Hash) -> Result<(), StoreError> {
        self.transact(|state| {
            state.saves.forget(asset);
            Ok(())
        })
    }
    async fn clock_ms(&self) -> Result<u64, StoreError> {
        Ok(self.clock.now_ms())
    }
    async fn beat(&self, replica: ReplicaId, first: bool) -> Result<Option<Replicas>, StoreError> {
        let now_ms = self.clock.now_ms();
        self.transact(|state| Ok(state.replicas.beat(replica, first, now_ms)))
    }
    async fn bury(&self, replica: ReplicaId, beat: u64) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.replicas.bury(replica, beat)))
    }
    async fn claim_region(
        &self,
        region: &str,
        replica: ReplicaId,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        self.transact(|state| Ok(state.replicas.claim(region, replica, over)))
    }
    async fn open_link(&self, node: NodeId, replica: ReplicaId) -> Result<u64, StoreError> {
        self.transact(|state| {
            let known = state.nodes.contains_key(&node);
            known.then(|| state.replicas.open_link(node, replica)).ok_or(StoreError::Corrupt("node_id"))
        })
    }
    async fn close_link(&self, node: NodeId, link: u64) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.replicas.close_link(node, link)))
    }
    async fn stranded(&self) -> Result<Vec<Stranded>, StoreError> {
        Ok(self.read(|state| state.replicas.stranded(|node| state.held(node) > 0)))
    }
    async fn links_of(&self, replica: ReplicaId) -> Result<Vec<Stranded>, StoreError> {
        Ok(self.read(|state| state.replicas.links_of(replica, |node| state.held(node) > 0)))
    }
    async fn held(&self) -> Result<Vec<HeldSlots>, StoreError> {
        Ok(self.read(|state| state.slots.values().copied().collect()))
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn close(&self) {}
}
