//! Webhooks, events and deliveries, in memory.

use super::{MemoryStore, State};
use crate::store::accounts::{Holding, Purse};
use crate::store::event::Level;
use crate::store::webhooks::{
    AT_ONCE_TO_ONE, DeliveryClaim, DeliveryRow, Due, EventRow, MOST_WEBHOOKS, Next, Refused, Settled,
    WebhookChange, WebhookRow, WebhookStore,
};
use crate::store::{Payer, SessionRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::webhook::{BudgetOf, DeliveryState, Disabled, EventKind};
use nearframe_protocol::{AccountId, ApiKeyId, EventId, Money, TitleId, WebhookId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Debug, Default, Clone)]
pub(super) struct Hooks {
    webhooks: BTreeMap<WebhookId, Hook>,
    events: BTreeMap<EventId, EventRow>,
    deliveries: BTreeMap<(WebhookId, EventId), Way>,
    /// When budgets were told of last, Unix ms.
    told: BTreeMap<(BudgetOf, AccountId, EventKind), u64>,
}

#[derive(Debug, Clone)]
struct Hook {
    row: WebhookRow,
    is_removed: bool,
    paused_until_ms: u64,
}

#[derive(Debug, Clone)]
struct Way {
    row: DeliveryRow,
    claim: Option<[u8; 16]>,
    claimed_until_ms: u64,
}

impl Hook {
    fn wants(&self, kind: EventKind) -> bool {
        !self.is_removed && self.row.disabled.is_none() && self.row.events.contains(&kind)
    }
}

impl Way {
    fn is_claimed(&self, now_ms: u64) -> bool {
        self.row.state == DeliveryState::Pending && self.claimed_until_ms > now_ms
    }
}

impl Hooks {
    fn of(&mut self, account: AccountId, id: WebhookId) -> Option<&mut Hook> {
        self.webhooks.get_mut(&id).filter(|hook| hook.row.account == account)
    }

    fn present(&mut self, account: AccountId, id: WebhookId) -> Option<&mut Hook> {
        self.of(account, id).filter(|hook| !hook.is_removed)
    }

    fn is_wanted(&self, account: AccountId, kind: EventKind) -> bool {
        self.webhooks.values().any(|hook| hook.row.account == account && hook.wants(kind))
    }

    pub(super) fn add(&mut self, event: &EventRow, to: Option<WebhookId>) -> u32 {
        if self.events.contains_key(&event.id) {
            return 0;
        }
        self.events.insert(event.id, event.clone());
        let told = |hook: &&Hook| {
            let named = to.map_or_else(|| hook.wants(event.kind), |to| to == hook.row.id && !hook.is_removed);
            hook.row.account == event.account && named
        };
        let to: Vec<_> = self.webhooks.values().filter(told).map(|hook| hook.row.id).collect();
        for webhook in &to {
            let row = DeliveryRow {
                event: event.id,
                kind: event.kind,
                at_ms: event.at_ms,
                state: DeliveryState::Pending,
                due_ms: event.at_ms,
                tries: 0,
                tried_at_ms: None,
                status: None,
                trouble: None,
            };
            self.deliveries.insert((*webhook, event.id), Way { row, claim: None, claimed_until_ms: 0 });
        }
        to.len() as u32
    }

    fn claim(&mut self, claim: &DeliveryClaim, most: u32) -> Vec<Due> {
        let now_ms = claim.now_ms;
        let mut room: BTreeMap<WebhookId, u32> = BTreeMap::new();
        for hook in self.webhooks.values() {
            let open = !hook.is_removed && hook.row.disabled.is_none() && hook.paused_until_ms <= now_ms;
            let ways =
                self.deliveries.iter().filter(|((id, _), way)| *id == hook.row.id && way.is_claimed(now_ms));
            room.insert(
                hook.row.id,
                if open { AT_ONCE_TO_ONE.saturating_sub(ways.count() as u32) } else { 0 },
            );
        }
        let due = |way: &Way| way.row.state == DeliveryState::Pending && way.row.due_ms <= now_ms;
        let ready = self.deliveries.iter().filter(|(_, way)| due(way) && !way.is_claimed(now_ms));
        let mut ready: Vec<_> =
            ready.map(|((hook, event), way)| (way.row.due_ms, way.row.at_ms, *event, *hook)).collect();
        ready.sort_unstable();
        let mut claimed = Vec::new();
        for (_, _, event, id) in ready {
            let Some(left) = room.get_mut(&id).filter(|left| **left > 0) else { continue };
            if claimed.len() as u32 == most {
                break;
            }
            *left -= 1;
            let (Some(hook), Some(row)) = (self.webhooks.get(&id), self.events.get(&event)) else { continue };
            let Some(way) = self.deliveries.get_mut(&(id, event)) else { continue };
            (way.claim, way.claimed_until_ms) = (Some(claim.claim), claim.until_ms);
            claimed.push(Due { webhook: hook.row.clone(), event: row.clone(), tries: way.row.tries });
        }
        claimed
    }

    fn settle(&mut self, settled: &Settled) -> bool {
        let way = self.deliveries.get_mut(&(settled.webhook, settled.event));
        let Some(way) = way.filter(|way| way.claim == Some(settled.claim)) else { return false };
        (way.claim, way.claimed_until_ms) = (None, 0);
        let row = &mut way.row;
        (row.tries, row.tried_at_ms) = (row.tries + 1, Some(settled.at_ms));
        (row.status, row.trouble) = (settled.status, settled.trouble.clone());
        (row.state, row.due_ms) = match settled.next {
            Next::Delivered => (DeliveryState::Delivered, settled.at_ms),
            Next::Again { due_ms, .. } => (DeliveryState::Pending, due_ms),
            Next::Dead | Next::Gone => (DeliveryState::Dead, settled.at_ms),
        };
        let happened_at_ms = row.at_ms;
        let Some(hook) = self.webhooks.get_mut(&settled.webhook) else { return true };
        let is_silent = hook.row.delivered_at_ms.is_none_or(|last| last < happened_at_ms);
        match settled.next {
            Next::Delivered => hook.row.delivered_at_ms = Some(settled.at_ms),
            Next::Again { pause_until_ms, .. } => {
                hook.paused_until_ms = hook.paused_until_ms.max(pause_until_ms);
            }
            Next::Gone => hook.row.disabled = hook.row.disabled.or(Some(Disabled::Gone)),
            Next::Dead if is_silent => hook.row.disabled = hook.row.disabled.or(Some(Disabled::Failing)),
            Next::Dead => {}
        }
        true
    }

    /// The limit was set anew: what was told before counts no more.
    pub(super) fn limit_is_new(&mut self, of: &BudgetOf) {
        self.told.retain(|(told, _, _), _| told != of);
    }

    /// The limit of the whole account was set anew.
    pub(super) fn account_limit_is_new(&mut self, account: AccountId) {
        self.told.retain(|(told, whose, _), _| *told != BudgetOf::Account || *whose != account);
    }
}

impl State {
    /// Tells that a session began, ended or was billed.
    pub(super) fn tell_session(
        &mut self,
        kind: EventKind,
        at_ms: u64,
        row: &SessionRow,
    ) -> Result<(), StoreError> {
        let Some(account) = self.who_pays(row.payer, &row.title) else { return Ok(()) };
        if !row.stands_by && self.hooks.is_wanted(account, kind) {
            self.hooks.add(&EventRow::of_session(account, kind, at_ms, row)?, None);
        }
        Ok(())
    }

    fn who_pays(&self, payer: Option<Payer>, title: &TitleId) -> Option<AccountId> {
        payer.map(|payer| payer.account).or_else(|| self.who.owner(&Holding::Title(title.clone())))
    }

    fn budget(
        &self,
        of: &BudgetOf,
        account: AccountId,
        currency: &nearframe_protocol::Currency,
    ) -> Option<Purse> {
        let purse = |purse: &Purse, committed_micros| Purse { committed_micros, ..purse.clone() };
        match of {
            BudgetOf::Account => {
                let row = self.who.accounts.get(&account)?;
                Some(purse(&row.purse, self.account_spent(account)))
            }
            BudgetOf::Key { id } => {
                let row = self.who.keys.get(id)?;
                Some(purse(&row.purse, self.key_spent(*id)))
            }
            BudgetOf::Title { id } => {
                let rows = self.budgets();
                let row =
                    rows.into_iter().find(|row| row.title == *id && row.committed.currency == *currency)?;
                Some(Purse {
                    currency: currency.clone(),
                    limit_micros: row.limit.map(|limit| limit.amount_micros),
                    committed_micros: row.committed.amount_micros,
                })
            }
        }
    }

    fn tell_budget(
        &mut self,
        of: BudgetOf,
        account: AccountId,
        purse: Purse,
        needed: Option<Money>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let kind = if needed.is_some() { EventKind::BudgetExhausted } else { EventKind::BudgetLow };
        let place = (of.clone(), account, kind);
        let level = Level {
            currency: purse.currency,
            limit_micros: purse.limit_micros,
            committed_micros: purse.committed_micros,
            told_ms: self.hooks.told.get(&place).copied(),
        };
        let is_so = needed.as_ref().map_or_else(|| level.is_low(), |needed| level.lacks(needed));
        if is_so && level.is_news(now_ms) && self.hooks.is_wanted(account, kind) {
            self.hooks.told.insert(place, now_ms);
            self.hooks.add(&EventRow::of_budget(account, now_ms, of, &level, needed)?, None);
        }
        Ok(())
    }

    /// Tells which budgets are low now that transfers of one lease are written.
    pub(super) fn tell_low(&mut self, transfers: &[Transfer], now_ms: u64) -> Result<(), StoreError> {
        let sets_aside = |transfer: &&Transfer| transfer.kind == Kind::Pending && transfer.amount_micros > 0;
        let Some(transfer) = transfers.iter().find(sets_aside) else { return Ok(()) };
        let places = match &transfer.debit {
            Account::Customer(account) => {
                let key: Option<ApiKeyId> = self.payers.get(&transfer.lease).and_then(|payer| payer.key);
                let key = key.map(|id| (BudgetOf::Key { id }, *account));
                [Some((BudgetOf::Account, *account)), key]
            }
            Account::Studio(title) => {
                let owner = self.who.owner(&Holding::Title(title.clone()));
                [owner.map(|owner| (BudgetOf::Title { id: title.clone() }, owner)), None]
            }
            _ => [None, None],
        };
        for (of, account) in places.into_iter().flatten() {
            if let Some(purse) = self.budget(&of, account, &transfer.currency) {
                self.tell_budget(of, account, purse, None, now_ms)?;
            }
        }
        Ok(())
    }

    fn tell_exhausted(&mut self, refused: &Refused) -> Result<(), StoreError> {
        let Some(account) = self.who_pays(refused.payer, &refused.title) else { return Ok(()) };
        let places = match refused.payer {
            Some(payer) => {
                let of_key = payer.key.map(|id| BudgetOf::Key { id });
                of_key.into_iter().chain([BudgetOf::Account]).collect()
            }
            None => vec![BudgetOf::Title { id: refused.title.clone() }],
        };
        for of in places {
            let Some(purse) = self.budget(&of, account, &refused.needed.currency) else { continue };
            let room = purse.limit_micros.map(|limit| limit - purse.committed_micros);
            let lacks = room.is_some_and(|room| room < refused.needed.amount_micros);
            if lacks && purse.currency == refused.needed.currency {
                return self.tell_budget(of, account, purse, Some(refused.needed.clone()), refused.now_ms);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl WebhookStore for MemoryStore {
    async fn add_webhook(&self, row: &WebhookRow) -> Result<bool, StoreError> {
        self.transact(|state| {
            let hooks = &mut state.hooks.webhooks;
            let present = hooks.values().filter(|hook| hook.row.account == row.account && !hook.is_removed);
            if !hooks.contains_key(&row.id) && present.count() as u32 >= MOST_WEBHOOKS {
                return Ok(false);
            }
            let hook = || Hook { row: row.clone(), is_removed: false, paused_until_ms: 0 };
            hooks.entry(row.id).or_insert_with(hook);
            Ok(true)
        })
    }
    async fn webhooks(&self, account: AccountId) -> Result<Vec<WebhookRow>, StoreError> {
        Ok(self.read(|state| {
            let present = |hook: &&Hook| hook.row.account == account && !hook.is_removed;
            let mut rows: Vec<_> =
                state.hooks.webhooks.values().filter(present).map(|hook| hook.row.clone()).collect();
            rows.sort_by_key(|row| (row.created_at_ms, row.id));
            rows
        }))
    }
    async fn change_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let Some(hook) = state.hooks.present(account, id) else { return Ok(false) };
            hook.row.url.clone_from(&change.url);
            hook.row.events.clone_from(&change.events);
            hook.row.disabled =
                if change.enabled { None } else { hook.row.disabled.or(Some(Disabled::Asked)) };
            hook.paused_until_ms = 0;
            Ok(true)
        })
    }
    async fn renew_secret(
        &self,
        account: AccountId,
        id: WebhookId,
        number: u32,
        old_until_ms: u64,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let hook = state.hooks.present(account, id).filter(|hook| hook.row.secret_number == number);
            let renew = |hook: &mut Hook| {
                hook.row.secret_number += 1;
                hook.row.old_secret_until_ms = Some(old_until_ms);
            };
            Ok(hook.map(renew).is_some())
        })
    }
    async fn remove_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        _now_ms: u64,
    ) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.hooks.of(account, id).map(|hook| hook.is_removed = true).is_some()))
    }
    async fn add_event(&self, event: &EventRow, to: Option<WebhookId>) -> Result<u32, StoreError> {
        self.transact(|state| Ok(state.hooks.add(event, to)))
    }
    async fn tell_exhausted(&self, refused: &Refused) -> Result<(), StoreError> {
        self.transact(|state| state.tell_exhausted(refused))
    }
    async fn accounts_that_want(&self, kind: EventKind) -> Result<Vec<AccountId>, StoreError> {
        Ok(self.read(|state| {
            let wanting = state.hooks.webhooks.values().filter(|hook| hook.wants(kind));
            let mut accounts: Vec<_> = wanting.map(|hook| hook.row.account).collect();
            accounts.sort_unstable();
            accounts.dedup();
            accounts
        }))
    }
    async fn claim_deliveries(&self, claim: &DeliveryClaim, most: u32) -> Result<Vec<Due>, StoreError> {
        if self.read(|state| state.hooks.deliveries.is_empty()) {
            return Ok(Vec::new());
        }
        self.transact(|state| Ok(state.hooks.claim(claim, most)))
    }
    async fn settle_delivery(&self, settled: &Settled) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.hooks.settle(settled)))
    }
    async fn deliveries(
        &self,
        webhook: WebhookId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        Ok(self.read(|state| {
            let own = state.hooks.deliveries.iter().filter(|((id, _), _)| *id == webhook);
            let mut rows: Vec<_> = own.map(|(_, way)| way.row.clone()).collect();
            rows.sort_by_key(|row| Reverse((row.at_ms, row.event)));
            if let Some(after) = after {
                let at = rows.iter().position(|row| row.event == after).map_or(rows.len(), |at| at + 1);
                rows.drain(..at);
            }
            rows.truncate(limit as usize);
            rows
        }))
    }
    async fn redeliver(&self, webhook: WebhookId, event: EventId, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let Some(way) = state.hooks.deliveries.get_mut(&(webhook, event)) else { return Ok(false) };
            (way.claim, way.claimed_until_ms) = (None, 0);
            (way.row.state, way.row.due_ms, way.row.tries) = (DeliveryState::Pending, now_ms, 0);
            Ok(true)
        })
    }
    async fn forget_events(&self, before_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.hooks.deliveries.retain(|_, way| way.row.at_ms >= before_ms);
            state.hooks.events.retain(|_, event| event.at_ms >= before_ms);
            Ok(())
        })
    }
}
