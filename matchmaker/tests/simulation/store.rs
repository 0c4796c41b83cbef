//! A store of one replica: the shared one in memory, with delays, outages, lost answers and sudden death between.

use super::dice::Dice;
use async_trait::async_trait;
use nearframe_journal::Following;
use nearframe_ledger::auction::Entry;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::payout::{Rail, State};
use nearframe_ledger::rates::RateCard;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_ledger::{Account, Transfer};
use nearframe_matchmaker::bus::words::{HeldSlots, ReplicaId};
use nearframe_matchmaker::store::accounts::{
    AccountRow, AccountStore, Arrival, Arrived, Changed, Holding, KeyRow, LinkRow, MemberRow,
};
use nearframe_matchmaker::store::aside::{AsideRow, AsideStore, Feed};
use nearframe_matchmaker::store::billing::{CardRow, CardSource, LeaseUsageRow, UsageBy, UsageOf, UsageRow};
use nearframe_matchmaker::store::checks::{CheckRow, CheckerRow, DayRow, Filed, Take};
use nearframe_matchmaker::store::deeds::{AnswerRow, Asked, Claim, Deed, DeedStore, TrailRow};
use nearframe_matchmaker::store::ledger::{BlockRow, LedgerStore};
use nearframe_matchmaker::store::market::{
    AuctionRow, CapOf, CapRow, MachineRow, MarketStore, NewStandBy, ReservationRow, Reserved, Stood,
};
use nearframe_matchmaker::store::payouts::{DestinationRow, PayoutRow, PayoutStore, Spent};
use nearframe_matchmaker::store::placement::{
    BookingRow, BookingTerms, InterruptibleRow, OrderKind, OrderRow, PastRow, PlacementStore, RuleKind,
    RuleRow,
};
use nearframe_matchmaker::store::plans::{ChargeRow, PlanRow, PlanStore, Subscribed, SubscriptionRow};
use nearframe_matchmaker::store::service::{Closing, MonthRow, PaidRow, ReachRow, Reached, ServiceStore};
use nearframe_matchmaker::store::sign_in::{
    Added, IdentityRow, NewCookie, Newcomer, Outsider, PasskeyRow, PendingRow,
};
use nearframe_matchmaker::store::stake::{
    CreditRow, LeaseCredit, NewCredit, RuleTable, RulesRow, StakeRow, StakeStore,
};
use nearframe_matchmaker::store::trust::{
    CaseRow, CaseVerdict, CorrectionRow, Decided, DisputeRow, HeldRow, Opened, PlayedRow, ServedRow,
    Settling, Testimony, Trial, TrustStore,
};
use nearframe_matchmaker::store::webhooks::{
    DeliveryClaim, DeliveryRow, Due, EventRow, Refused, Settled, WebhookChange, WebhookRow, WebhookStore,
};
use nearframe_matchmaker::store::{
    Admission, BillingStore, BudgetRow, CheckStore, Created, Ended, Hash, MemoryStore, NewSave, NewSession,
    NodeRow, PostedRow, Replicas, SaveOwner, SaveRow, Saved, SessionRow, SignInStore, Store, StoreError,
    Stranded, Taken,
};
use nearframe_placement::assign::reserve::NoRoom;
use nearframe_protocol::account::MemberRole;
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::auction::{OpenBid, SealedBid};
use nearframe_protocol::check::SignedCheck;
use nearframe_protocol::check::draw::Audit;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::payout::PayoutId;
use nearframe_protocol::plan::ChargeKind;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{
    AccountId, ApiKeyId, AuctionId, CaseId, Currency, DisputeId, EndReason, EventId, Generation, GuestId,
    IdentityId, LeaseId, MemberId, NodeId, PasskeyId, PublicKey, ReservationId, SessionId, SpendLimit,
    TitleId, WebhookId,
};
use nearframe_trust::seen::Mark;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with the database, for all replicas.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) inner: MemoryStore,
    pub(crate) is_away: AtomicBool,
    /// Answers in a thousand that are lost after the commit.
    pub(crate) lost_answers_permille: AtomicU32,
}

/// One replica's way to it.
pub(crate) struct Way {
    pub(crate) database: Arc<Database>,
    pub(crate) is_dead: AtomicBool,
    /// Only this replica cannot reach it.
    pub(crate) is_cut: AtomicBool,
    pub(crate) dice: Mutex<Dice>,
}

impl Way {
    pub(crate) fn new(database: Arc<Database>, dice: Dice) -> Self {
        let (is_dead, is_cut) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { database, is_dead, is_cut, dice: Mutex::new(dice) }
    }

    async fn pass(&self) -> Result<(), StoreError> {
        if self.is_dead.load(Ordering::Relaxed) {
            // A process that is no more does not go on.
            std::future::pending::<()>().await;
        }
        let delay = self.dice.lock().unwrap().below(4);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let away = self.database.is_away.load(Ordering::Relaxed) || self.is_cut.load(Ordering::Relaxed);
        if away { Err(StoreError::Crashed) } else { Ok(()) }
    }

    async fn back(&self) -> Result<(), StoreError> {
        let lost = u64::from(self.database.lost_answers_permille.load(Ordering::Relaxed));
        if self.dice.lock().unwrap().below(1000) < lost {
            return Err(StoreError::Crashed);
        }
        self.pass().await
    }
}

macro_rules! through {
    ($store:ident { $($name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)* } $($own:tt)*) => {
        #[async_trait]
        impl $store for Way {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$result, StoreError> {
                self.pass().await?;
                let result = self.database.inner.$name($($arg),*).await?;
                self.back().await?;
                Ok(result)
            })*
            $($own)*
        }
    };
}

through! { TrustStore {
    testify(testimony: &Testimony) -> ();
    testimonies(since_ms: u64) -> Vec<Testimony>;
    forget_testimonies(before_ms: u64) -> ();
    played(since_ms: u64, limit: u32) -> Vec<PlayedRow>;
    add_case(case: &CaseRow) -> bool;
    cases(open: bool, after: Option<CaseId>, limit: u32) -> Vec<CaseRow>;
    decide_case(id: CaseId, verdict: &CaseVerdict, disputes: &[DisputeRow]) -> Decided<CaseRow>;
    open_dispute(dispute: &DisputeRow) -> Opened;
    disputes(open: bool, after: Option<DisputeId>, limit: u32) -> Vec<DisputeRow>;
    disputes_of(session: SessionId) -> Vec<DisputeRow>;
    decide_dispute(id: DisputeId, settling: &Settling) -> Decided<DisputeRow>;
    corrections_of(session: SessionId) -> Vec<CorrectionRow>;
    corrections_after(after: u64, limit: u32) -> Vec<PostedRow>;
    held_earnings(before_ms: u64, trial: Trial, among: Option<&[NodeId]>) -> Vec<HeldRow>;
    corrected(among: Option<&[NodeId]>) -> Totals;
    settle(root: &SignedRoot, withheld: &Totals) -> ();
    served(ended: Range<u64>) -> Vec<ServedRow>;
    withheld(epoch: u32, among: Option<&[NodeId]>) -> Totals;
} }

through! { Store {
    secret(name: &str, fresh: [u8; 32]) -> [u8; 32];
    add_enrolment(code: Hash, expires_at_ms: u64) -> ();
    admit_node(key: &PublicKey, code: Option<Hash>, offer: &NodeOffer, now_ms: u64) -> Admission;
    nodes(after: Option<NodeId>, limit: u32) -> Vec<NodeRow>;
    nodes_of(ids: &[NodeId]) -> Vec<NodeRow>;
    node_count() -> u64;
    node_key(node: NodeId) -> Option<PublicKey>;
    add_operator_link(token: Hash, expires_at_ms: u64) -> ();
    redeem_operator_link(token: Hash, now_ms: u64, cookie: Hash, cookie_expires_at_ms: u64) -> bool;
    is_operator(cookie: Hash, now_ms: u64) -> bool;
    session(id: SessionId) -> Option<SessionRow>;
    sessions_of(guest: GuestId, after: Option<SessionId>, limit: u32) -> Vec<SessionRow>;
    active_sessions() -> Vec<SessionRow>;
    sessions_on(node: NodeId) -> Vec<SessionRow>;
    starting_sessions() -> Vec<SessionRow>;
    orphaned_sessions() -> Vec<SessionRow>;
    busy() -> HashMap<NodeId, u32>;
    set_live(id: SessionId, generation: Generation) -> bool;
    end_session(id: SessionId, reason: EndReason, now_ms: u64) -> Option<Ended>;
    end_over_budget(id: SessionId, limit: SpendLimit, now_ms: u64) -> Option<Ended>;
    take_receipt(receipt: &SignedReceipt, now_ms: u64) -> Taken;
    receipts(session: SessionId, offset: u32, limit: u32) -> Vec<StoredReceipt>;
    close_accounts(now_ms: u64) -> u32;
    journal() -> Vec<Transfer>;
    add_save(new: &NewSave) -> Saved;
    saves_of(guest: GuestId) -> Vec<SaveRow>;
    saves_of_title(owner: &SaveOwner) -> Vec<SaveRow>;
    remove_saves(owner: &SaveOwner, now_ms: u64) -> u32;
    note_asset(asset: Hash, now_ms: u64) -> ();
    unreferenced_assets(before_ms: u64, limit: u32) -> Vec<Hash>;
    forget_asset(asset: Hash) -> ();
    clock_ms() -> u64;
    beat(replica: ReplicaId, first: bool) -> Option<Replicas>;
    bury(replica: ReplicaId, beat: u64) -> bool;
    claim_region(region: &str, replica: ReplicaId, over: Option<u64>) -> Option<u64>;
    open_link(node: NodeId, replica: ReplicaId) -> u64;
    close_link(node: NodeId, link: u64) -> bool;
    stranded() -> Vec<Stranded>;
    links_of(replica: ReplicaId) -> Vec<Stranded>;
    held() -> Vec<HeldSlots>;
    ping() -> ();
    evidence(title: Option<&TitleId>, after: Option<LeaseId>, limit: u32) -> Vec<Evidence>;
    posted_after(after: u64, limit: u32) -> Vec<PostedRow>;
    host_totals(before_ms: u64, among: Option<&[NodeId]>) -> Totals;
    last_settlement() -> Option<SignedRoot>;
    set_budget(title: &TitleId, currency: &Currency, limit_micros: Option<i128>) -> ();
    budgets() -> Vec<BudgetRow>;
}

    async fn create_session(&self, new: &NewSession) -> Result<Created, StoreError> {
        self.pass().await?;
        let created = self.database.inner.create_session(new).await?;
        let busy = self.database.inner.busy().await?;
        for node in self.database.inner.nodes(None, u32::MAX).await? {
            let held = busy.get(&node.id).copied().unwrap_or(0);
            assert!(held <= node.slots, "double booking: {held} leases on {} slots", node.slots);
        }
        self.back().await?;
        Ok(created)
    }
    async fn close(&self) {}
}

through! { BillingStore {
    usage(of: &UsageOf, by: UsageBy) -> Vec<UsageRow>;
    lease_usage(of: &UsageOf, after: Option<LeaseId>, limit: u32) -> Vec<LeaseUsageRow>;
    evidence_of(session: SessionId) -> Vec<Evidence>;
    add_card(card: &RateCard, source: CardSource, over: u32, now_ms: u64) -> bool;
    newest_card(source: Option<CardSource>) -> Option<CardRow>;
    card(version: u32) -> Option<CardRow>;
}}

through! { PlacementStore {
    latency_sites(sites: &[String]) -> Vec<u32>;
    known_latency_sites() -> Vec<(u32, String)>;
    merge_latency(pasts: &[PastRow], now_ms: u64) -> ();
    latency_since(since_ms: u64, limit: u32) -> Vec<(u64, PastRow)>;
    prune_latency(epoch: u32, most: u32) -> u64;
    add_order(order: &OrderRow) -> ();
    lift_order(node: NodeId, kind: OrderKind, now_ms: u64) -> bool;
    standing_orders() -> Vec<OrderRow>;
    orders_of(node: NodeId) -> Vec<OrderRow>;
    put_rule(kind: RuleKind, subject: &str, body: Option<&str>) -> ();
    rules() -> Vec<RuleRow>;
    book(booking: &BookingRow, terms: BookingTerms) -> Result<(), NoRoom>;
    cancel_booking(id: [u8; 16], now_ms: u64) -> bool;
    bookings(now_ms: u64) -> Vec<BookingRow>;
    use_booking(id: [u8; 16], session: SessionId) -> bool;
    booking_use() -> Vec<([u8; 16], u32)>;
    add_interruptible(session: SessionId) -> ();
    interruptible() -> Vec<InterruptibleRow>;
    give_notice(session: SessionId, ends_ms: u64) -> bool;
}}

through! { AccountStore {
    add_account(account: &AccountRow) -> ();
    accounts() -> Vec<AccountRow>;
    account(id: AccountId) -> Option<AccountRow>;
    set_account_limit(id: AccountId, limit_micros: Option<i128>) -> bool;
    add_link(link: &LinkRow) -> ();
    arrive(arrival: &Arrival) -> Arrived;
    member_of_cookie(cookie: Hash, now_ms: u64) -> Option<(MemberRow, AccountRow)>;
    sign_out(cookie: Hash) -> ();
    note_device(account: AccountId, device: Mark, now_ms: u64) -> ();
    devices(account: AccountId, since_ms: u64) -> Vec<Mark>;
    forget_devices(before_ms: u64) -> ();
    members(account: AccountId) -> Vec<MemberRow>;
    set_role(account: AccountId, member: MemberId, role: MemberRole) -> Changed;
    remove_member(account: AccountId, member: MemberId, now_ms: u64) -> Changed;
    add_key(key: &KeyRow, secret: Hash) -> bool;
    keys(account: AccountId) -> Vec<KeyRow>;
    key_of_secret(secret: Hash) -> Option<KeyRow>;
    note_key_use(id: ApiKeyId, now_ms: u64) -> ();
    set_key_limit(account: AccountId, id: ApiKeyId, limit_micros: Option<i128>) -> bool;
    revoke_key(account: AccountId, id: ApiKeyId, now_ms: u64) -> bool;
    set_owner(holding: &Holding, account: Option<AccountId>) -> ();
    owner(holding: &Holding) -> Option<AccountId>;
    holdings(account: AccountId) -> Vec<Holding>;
    sessions_of_account(account: AccountId, after: Option<SessionId>, limit: u32) -> Vec<SessionRow>;
    evidence_of_account(account: AccountId, title: &TitleId, after: Option<LeaseId>, limit: u32) -> Vec<Evidence>;
}}

through! { WebhookStore {
    add_webhook(row: &WebhookRow) -> bool;
    webhooks(account: AccountId) -> Vec<WebhookRow>;
    change_webhook(account: AccountId, id: WebhookId, change: &WebhookChange) -> bool;
    renew_secret(account: AccountId, id: WebhookId, number: u32, old_until_ms: u64) -> bool;
    remove_webhook(account: AccountId, id: WebhookId, now_ms: u64) -> bool;
    add_event(event: &EventRow, to: Option<WebhookId>) -> u32;
    tell_exhausted(refused: &Refused) -> ();
    accounts_that_want(kind: EventKind) -> Vec<AccountId>;
    claim_deliveries(claim: &DeliveryClaim, most: u32) -> Vec<Due>;
    settle_delivery(settled: &Settled) -> bool;
    deliveries(webhook: WebhookId, after: Option<EventId>, limit: u32) -> Vec<DeliveryRow>;
    redeliver(webhook: WebhookId, event: EventId, now_ms: u64) -> bool;
    forget_events(before_ms: u64) -> ();
}}

through! { PlanStore {
    add_plan(plan: &PlanRow) -> bool;
    plans() -> Vec<PlanRow>;
    subscription(account: AccountId) -> Option<SubscriptionRow>;
    subscribe(account: AccountId, plan: &PlanRow, now_ms: u64) -> Subscribed;
    cancel_subscription(account: AccountId) -> Option<SubscriptionRow>;
    renew_subscriptions(now_ms: u64) -> u32;
    charges(account: AccountId, range: Range<u64>, limit: u32) -> Vec<ChargeRow>;
    charge_sums(account: AccountId, range: Range<u64>) -> Vec<(ChargeKind, Currency, i128)>;
    charges_after(after: u64, limit: u32) -> Vec<ChargeRow>;
}}

through! { PayoutStore {
    set_destination(row: &DestinationRow) -> ();
    destinations(account: Option<AccountId>) -> Vec<DestinationRow>;
    spent() -> Spent;
    add_payouts(rows: &[(PayoutRow, EventRow)], spent: Spent) -> bool;
    set_payout_state(id: PayoutId, state: State, now_ms: u64, event: Option<&EventRow>) -> ();
    payouts(account: Option<AccountId>, after: Option<PayoutId>, limit: u32) -> Vec<PayoutRow>;
    payouts_of_run(run: u64) -> Vec<PayoutRow>;
    open_payouts() -> Vec<PayoutRow>;
    paid(among: Option<&[NodeId]>) -> Vec<(NodeId, Currency, Rail, i128)>;
    failed_payouts(epoch: u32) -> Vec<(NodeId, Currency, u32)>;
}}

through! { AsideStore {
    set_aside(row: &AsideRow) -> bool;
    asides(limit: u32) -> Vec<AsideRow>;
    taken_up(feed: Feed, seq: u64, now_ms: u64) -> ();
}}

through! { StakeStore {
    add_rules(table: RuleTable, row: &RulesRow) -> RulesRow;
    rule_tables(table: RuleTable) -> Vec<RulesRow>;
    add_stake_entry(row: &StakeRow, credits: &[NewCredit], event: Option<&EventRow>) -> bool;
    stake_earnings(row: &StakeRow, spent: Spent) -> bool;
    stake_entries(node: Option<NodeId>) -> Vec<StakeRow>;
    stake_entries_after(after: u64, limit: u32) -> Vec<StakeRow>;
    case(id: CaseId) -> Option<CaseRow>;
    unpunished() -> Vec<CaseRow>;
    credits_after(after: u64, limit: u32) -> Vec<CreditRow>;
    credits_to(accounts: &[Account], range: Range<u64>) -> Vec<CreditRow>;
    credits_of_session(session: SessionId) -> Vec<LeaseCredit>;
    deducted(among: Option<&[NodeId]>) -> Totals;
    released() -> Totals;
}}

through! { ServiceStore {
    note_reached(subjects: &[Reached], now_ms: u64, gap_ms: u64) -> ();
    reached(range: Range<u64>) -> Vec<ReachRow>;
    paid_for(ended: Range<u64>) -> Vec<PaidRow>;
    undecided(ended: Range<u64>) -> u64;
    close_month(closing: &Closing) -> bool;
    month(month: &str) -> Option<MonthRow>;
}}

through! { SignInStore {
    add_pending(pending: &PendingRow, most: u32, now_ms: u64) -> ();
    pending(key: Hash, now_ms: u64) -> Option<String>;
    take_pending(key: Hash, now_ms: u64) -> Option<String>;
    members_of_identity(issuer: &str, subject: &str) -> Vec<(MemberRow, AccountRow)>;
    link_identity(identity: &IdentityRow) -> Added;
    identities(member: MemberId) -> Vec<IdentityRow>;
    unlink_identity(member: MemberId, id: IdentityId) -> bool;
    sign_in_by_identity(who: &Outsider, member: MemberId, cookie: NewCookie) -> bool;
    add_newcomer(newcomer: &Newcomer, cookie: NewCookie) -> bool;
    add_passkey(passkey: &PasskeyRow) -> Added;
    passkeys(member: MemberId) -> Vec<PasskeyRow>;
    passkey(credential: &[u8]) -> Option<(PasskeyRow, MemberRow, AccountRow)>;
    sign_in_by_passkey(read: &PasskeyRow, body: &str, cookie: NewCookie) -> bool;
    flag_passkey(id: PasskeyId, now_ms: u64) -> ();
    remove_passkey(member: MemberId, id: PasskeyId) -> bool;
}}

through! { CheckStore {
    enrol_checker(key: &PublicKey, name: &str, now_ms: u64) -> bool;
    revoke_checker(key: &PublicKey, now_ms: u64) -> bool;
    checkers() -> Vec<CheckerRow>;
    checker(key: &PublicKey) -> Option<CheckerRow>;
    file_check(check: &SignedCheck, now_ms: u64) -> Filed;
    checks_of(node: NodeId, limit: u32) -> Vec<CheckRow>;
    checks_since(since_ms: u64, limit: u32) -> Vec<CheckRow>;
    check_day(fresh: &DayRow) -> DayRow;
    check_days(before: u32, limit: u32) -> Vec<DayRow>;
    enrolled() -> Vec<(NodeId, u64)>;
    closed_audits(from_day: u32, stale_before_ms: u64) -> Vec<(Audit, NodeId)>;
    take_audit(take: &Take) -> bool;
}}

through! { MarketStore {
    reserve(new: &ReservationRow) -> Reserved;
    reservation(id: ReservationId) -> Option<ReservationRow>;
    reservations(account: Option<AccountId>, after: Option<ReservationId>, limit: u32) -> Vec<ReservationRow>;
    reservations_alive() -> Vec<ReservationRow>;
    auction(id: AuctionId) -> Option<AuctionRow>;
    seal_bid(node: NodeId, sealed: &SealedBid, now_ms: u64) -> bool;
    open_bid(node: NodeId, open: &OpenBid, now_ms: u64) -> bool;
    bids(auction: AuctionId) -> Vec<Entry>;
    close_auction(id: ReservationId, now_ms: u64) -> Option<ReservationRow>;
    machines(id: ReservationId) -> Vec<MachineRow>;
    stand_by(new: &NewStandBy) -> Stood;
    let_go(id: ReservationId, node: NodeId, gone: bool) -> Option<HeldSlots>;
    cancel_reservation(id: ReservationId, now_ms: u64) -> Option<ReservationRow>;
    finish_reservation(id: ReservationId, now_ms: u64) -> bool;
    stood_micros(id: ReservationId) -> i128;
    kept_ms(id: ReservationId, during: Range<u64>) -> u64;
    set_cap(of: &CapOf, cap: Option<&CapRow>) -> ();
    cap(of: &CapOf) -> Option<CapRow>;
}}

through! { LedgerStore {
    add_block(block: &BlockRow) -> bool;
    blocks_after(blocks: u64) -> Following;
}}

through! { DeedStore {
    add_deed(deed: &Deed) -> ();
    trail(account: Option<AccountId>, before: Option<u64>, limit: u32) -> Vec<TrailRow>;
    claim(asked: &Asked) -> Claim;
    keep_answer(asked: &Asked, answer: &AnswerRow) -> ();
    give_claim_up(asked: &Asked) -> ();
    forget_answers(before_ms: u64) -> ();
}}
