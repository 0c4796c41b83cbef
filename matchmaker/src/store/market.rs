//! Auctions and reservations as the store keeps them, and what players may spend.

use super::{NewSession, Payer, SessionRow, StoreError};
use crate::bus::words::HeldSlots;
use async_trait::async_trait;
use nearframe_ledger::auction::{Cleared, Entry, Wanted, clear};
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::{LedgerError, Tariff};
use nearframe_protocol::auction::{OpenBid, SealedBid};
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::{
    AccountId, ApiKeyId, AuctionId, Currency, GuestId, LeaseId, NodeId, PublicKey, ReservationId, SessionId,
    SpendLimit, TitleHash, TitleId,
};
use std::ops::Range;

/// Reservations that are bidden for or booked at once.
pub const MOST_ALIVE: u32 = 1_000;
/// Set aside beside the time of a machine, in µs: its last receipt may come that much later.
pub const SLACK_US: u64 = 5_000_000;
/// Once machines stand by, they are paid for at least this long, in ms.
pub const LEAST_MS: u64 = 15 * 60 * 1000;

/// An auction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuctionRow {
    /// What is wanted.
    pub wanted: Wanted,
    /// The buyer's part of the draw; told when it is over.
    pub seed: Hash32,
    /// When it was closed, Unix ms.
    pub closed_at_ms: Option<u64>,
    /// What an hour costs, in micro-units; `None`: open, or too few have bid.
    pub price_micros: Option<i64>,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRow {
    /// Its id.
    pub id: ReservationId,
    /// Who pays.
    pub account: AccountId,
    /// The key that asked; `None`: a member did.
    pub key: Option<ApiKeyId>,
    /// What may be played on its machines.
    pub title: TitleId,
    /// The version of the rate card that its ceiling and fee are from.
    pub rate_card: u32,
    /// The platform's share, in thousandths.
    pub fee_permille: u16,
    /// Where it stands.
    pub state: ReservationState,
    /// Set aside for what has not begun to stand by yet, in micro-units.
    pub held_micros: i128,
    /// Unix ms.
    pub created_at_ms: u64,
    /// When it ends before its time, Unix ms.
    pub stops_at_ms: Option<u64>,
    /// Its auction.
    pub auction: AuctionRow,
}

impl ReservationRow {
    /// When its machines stand by no more, Unix ms.
    pub fn until_ms(&self) -> u64 {
        let until_ms = self.auction.wanted.until_ms;
        self.stops_at_ms.map_or(until_ms, |stops_at_ms| stops_at_ms.min(until_ms))
    }

    /// Whether its machines stand by now.
    pub fn runs_at(&self, now_ms: u64) -> bool {
        let during = self.auction.wanted.from_ms..self.until_ms();
        self.state == ReservationState::Booked && during.contains(&now_ms)
    }

    /// What an hour of a machine costs; before the auction is over, at most.
    pub fn tariff(&self) -> Tariff {
        let wanted = &self.auction.wanted;
        Tariff {
            price_micros_per_hour: self.auction.price_micros.unwrap_or(wanted.ceiling_micros_per_hour),
            fee_permille: self.fee_permille,
            currency: wanted.currency.clone(),
        }
    }

    /// What all machines cost for the whole time, in micro-units.
    pub fn whole_micros(&self) -> Result<i128, LedgerError> {
        let wanted = &self.auction.wanted;
        let one = self.standing_micros(wanted.from_ms, wanted.until_ms)?;
        one.checked_mul(wanted.machines.into()).ok_or(LedgerError::Overflow)
    }

    /// What is set aside for a machine that stands by from one time to another.
    pub(super) fn standing_micros(&self, from_ms: u64, until_ms: u64) -> Result<i128, LedgerError> {
        let us = until_ms.saturating_sub(from_ms).saturating_mul(1000).saturating_add(SLACK_US);
        // One micro-unit more than the floor: the rounding of the cumulative cost may need it.
        Ok(self.tariff().cost_micros(us)? + 1)
    }

    /// What a cancellation makes of it; `None`: nothing any more.
    pub(super) fn cancelled(&self, now_ms: u64) -> Option<Self> {
        let from_ms = self.auction.wanted.from_ms;
        match self.state {
            ReservationState::Bidding => Some(Self { state: ReservationState::Cancelled, ..self.clone() }),
            ReservationState::Booked if now_ms < from_ms => {
                Some(Self { state: ReservationState::Cancelled, ..self.clone() })
            }
            ReservationState::Booked if now_ms < self.until_ms() => {
                let stops_at_ms = now_ms.max(from_ms + LEAST_MS).min(self.until_ms());
                Some(Self { stops_at_ms: Some(stops_at_ms), ..self.clone() })
            }
            _ => None,
        }
    }

    /// How it stands once its auction is over, and what came out.
    pub(super) fn closed(&self, entries: &[Entry], now_ms: u64) -> Result<(Self, Cleared), StoreError> {
        let auction = &self.auction;
        let cleared =
            clear(&auction.wanted, entries, &auction.seed).map_err(|_| StoreError::Corrupt("seed"))?;
        let price_micros = cleared.price_micros_per_hour;
        let auction = AuctionRow { price_micros, closed_at_ms: Some(now_ms), ..auction.clone() };
        let state = if price_micros.is_some() { ReservationState::Booked } else { ReservationState::Failed };
        Ok((Self { auction, state, ..self.clone() }, cleared))
    }
}

/// What became of a wish to reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The money for the whole time is set aside, and bids are taken.
    Bidding,
    /// The budget of the account or the key does not hold it.
    OverBudget,
    /// [`MOST_ALIVE`] are bidden for or booked already.
    TooMany,
}

/// How much of a time lies within another, in ms; what has not ended lasts.
pub(super) fn within_ms(during: &Range<u64>, started_at_ms: u64, ended_at_ms: Option<u64>) -> u64 {
    let until = ended_at_ms.unwrap_or(u64::MAX).min(during.end);
    until.saturating_sub(started_at_ms.max(during.start))
}

/// Where a machine of a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// It was not needed or not there yet.
    Waiting,
    /// One of its slots is the reservation's.
    Held,
    /// It went away while it was held.
    Gone,
    /// It is over.
    Done,
}

impl MachineState {
    /// The form that databases keep.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Gone => "gone",
            Self::Done => "done",
        }
    }
    /// The state with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Held, Self::Gone, Self::Done].into_iter().find(|state| state.as_str() == text)
    }
}

/// A machine of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRow {
    /// Which.
    pub node: NodeId,
    /// Its place among all that are paid the price, the cheapest bid first.
    pub place: u32,
    /// Whether it takes the place of another that goes.
    pub is_next: bool,
    /// Where it stands.
    pub state: MachineState,
    /// What runs on it for the reservation now, and whether that is standing by.
    pub runs: Option<(SessionId, bool)>,
}

/// A machine that is to stand by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStandBy {
    /// For which reservation.
    pub reservation: ReservationId,
    /// Which machine.
    pub node: NodeId,
    /// Which bytes of the title it holds.
    pub title_hash: TitleHash,
    /// Where the machine stands, and what it is.
    pub region: String,
    /// Its GPU tier.
    pub gpu_tier: u8,
    /// What the time that it stands by is called.
    pub session: SessionId,
    /// Its lease.
    pub lease: LeaseId,
    /// The key that countersigns its receipts.
    pub witness: PublicKey,
    /// Now, Unix ms.
    pub now_ms: u64,
}

impl NewStandBy {
    /// The time that it stands by, as a session that nobody plays.
    pub(super) fn session_of(&self, reservation: &ReservationRow) -> NewSession {
        let basis = Basis {
            rate_card: reservation.rate_card,
            work: Work::Reserve,
            region: self.region.clone(),
            gpu_tier: self.gpu_tier,
        };
        NewSession {
            id: self.session,
            guest: GuestId::from_bytes(*self.reservation.as_bytes()),
            guest_limit: u32::MAX,
            title: reservation.title.clone(),
            title_hash: self.title_hash,
            node: self.node,
            player_key: self.witness,
            lease: self.lease,
            tariff: reservation.tariff(),
            payer: Some(Payer { account: reservation.account, key: reservation.key }),
            basis: Some(basis),
            now_ms: self.now_ms,
            idempotency: None,
            fence: None,
            reservation: Some(self.reservation),
            player: None,
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Stood {
    /// It stands by from now on.
    New(Box<SessionRow>),
    /// Something runs on it for the reservation already, or it is not the reservation's turn.
    Already,
    /// It has no free slot.
    Full,
    /// Nothing is left of what was set aside.
    NoMoney,
}

/// Whose spending is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CapOf {
    /// Each player of a title.
    Title(TitleId),
    /// An account.
    Account(AccountId),
}

impl CapOf {
    /// Kind and subject, as databases keep them.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::Title(title) => ("title", title.to_string()),
            Self::Account(account) => ("account", account.to_string()),
        }
    }

    /// What is reached where it does not hold another hour.
    pub fn limit(&self) -> SpendLimit {
        match self {
            Self::Title(_) => SpendLimit::PlayerCap,
            Self::Account(_) => SpendLimit::AccountCap,
        }
    }
}

/// The most that may be spent in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapRow {
    /// What it is counted in.
    pub currency: Currency,
    /// The most, in micro-units.
    pub limit_micros: i128,
}

/// The part of the store that knows of markets. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait MarketStore: Send + Sync + 'static {
    /// Writes a reservation with its auction, if budgets hold all of it; one with this id that is there stays.
    async fn reserve(&self, new: &ReservationRow) -> Result<Reserved, StoreError>;
    /// The reservation.
    async fn reservation(&self, id: ReservationId) -> Result<Option<ReservationRow>, StoreError>;
    /// Reservations of one account or of all, newest first, at most `limit`, after `after` where given.
    async fn reservations(
        &self,
        account: Option<AccountId>,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<ReservationRow>, StoreError>;
    /// Those that are bidden for or booked, at most [`MOST_ALIVE`], the oldest first.
    async fn reservations_alive(&self) -> Result<Vec<ReservationRow>, StoreError>;
    /// The auction.
    async fn auction(&self, id: AuctionId) -> Result<Option<AuctionRow>, StoreError>;
    /// Keeps a seal; the first of a machine stands. False: it is another, or the auction takes none now.
    async fn seal_bid(&self, node: NodeId, sealed: &SealedBid, now_ms: u64) -> Result<bool, StoreError>;
    /// Keeps what was opened; the first stands. False: it is another, or no seal can be opened now.
    async fn open_bid(&self, node: NodeId, open: &OpenBid, now_ms: u64) -> Result<bool, StoreError>;
    /// All bids of an auction, by node.
    async fn bids(&self, auction: AuctionId) -> Result<Vec<Entry>, StoreError>;
    /// Closes the auction of a reservation, once: who won, at which price, and what is set aside from now on.
    async fn close_auction(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError>;
    /// The machines of a reservation, by place.
    async fn machines(&self, id: ReservationId) -> Result<Vec<MachineRow>, StoreError>;
    /// Takes a slot of a machine for its reservation, if that has none there, and lets it stand by.
    async fn stand_by(&self, new: &NewStandBy) -> Result<Stood, StoreError>;
    /// The slot of a machine is the reservation's no more. What plays on it keeps it until it ends.
    async fn let_go(
        &self,
        id: ReservationId,
        node: NodeId,
        gone: bool,
    ) -> Result<Option<HeldSlots>, StoreError>;
    /// Cancels a reservation, or lets it end before its time.
    async fn cancel_reservation(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError>;
    /// A reservation whose time is over ends, once none of its slots is held: what is left of its money is free.
    async fn finish_reservation(&self, id: ReservationId, now_ms: u64) -> Result<bool, StoreError>;
    /// What was posted for standing by under a reservation, in micro-units.
    async fn stood_micros(&self, id: ReservationId) -> Result<i128, StoreError>;

    /// For how long machines stood by or were played on under a reservation within a time, all of them together, in ms.
    async fn kept_ms(&self, id: ReservationId, during: Range<u64>) -> Result<u64, StoreError>;

    /// From now on, no more than this is spent in a month; `None`: without a limit.
    async fn set_cap(&self, of: &CapOf, cap: Option<&CapRow>) -> Result<(), StoreError>;
    /// What may be spent in a month.
    async fn cap(&self, of: &CapOf) -> Result<Option<CapRow>, StoreError>;
}
