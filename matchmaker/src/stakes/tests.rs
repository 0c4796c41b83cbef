//! Stakes with a general ledger beside them, on a store that can crash.

use super::*;
use crate::audit::{KeptIn, audit, audit_ledger};
use crate::config::TrustConfig;
use crate::general::Kept;
use crate::state::Parts;
use crate::store::accounts::{AccountRow, Purse};
use crate::store::payouts::DestinationRow;
use crate::store::service::{Closing, MonthRow};
use crate::store::stake::{CreditKind, CreditRow, RuleTable};
use crate::store::trust::{CaseBody, CaseVerdict, Decided, DisputeRow, Settling};
use crate::store::webhooks::WebhookRow;
use crate::store::{
    AccountStore, Admission, AsideStore, Created, MemoryStore, NewSession, PayoutStore, ServiceStore,
    StakeStore, Store, Taken, TrustStore, WebhookStore,
};
use crate::{Config, LEDGER, SECRET, payouts, random};
use nearframe_ledger::payout::Destination;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::trust::{Party, Verdict};
use nearframe_protocol::{
    AccountId, DisputeId, EndReason, Generation, MemberId, NodeKey, SessionId, TitleHash, TitleId,
};
use nearframe_trust::fraud::{Exhibit, Grade, Kind};
use nearframe_trust::stake::Rules;
use nearframe_trust::witness::Witness;
use std::sync::Arc;

fn key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}
fn eur(amount_micros: i128) -> Money {
    Money { amount_micros, currency: Currency::new("EUR").unwrap() }
}
fn member(n: u8) -> Actor {
    Actor::Member { id: MemberId::from_bytes([n; 16]) }
}

/// A machine of a host that earned 8 euros five days ago, in a session that cost the studio 10.
struct House {
    shared: Shared,
    store: Arc<MemoryStore>,
    node: NodeId,
    session: SessionId,
    folder: tempfile::TempDir,
}

fn offer() -> NodeOffer {
    NodeOffer {
        name: "n".into(),
        region: String::new(),
        slots: 9,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    }
}

async fn enrol(store: &MemoryStore, n: u8, at_ms: u64) -> NodeId {
    store.add_enrolment([n; 32], u64::MAX).await.unwrap();
    let key = NodeKey::from_seed([n; 32]).public();
    let admitted = store.admit_node(&key, Some([n; 32]), &offer(), at_ms).await.unwrap();
    let Admission::Admitted(node) = admitted else { panic!("{admitted:?}") };
    node
}

/// A host's account, which owns a machine.
async fn host(store: &MemoryStore, n: u8, node: NodeId) -> AccountId {
    let purse = Purse::new(Config::default().currency, Some(0));
    let id = AccountId::from_bytes([n; 16]);
    let row = AccountRow { id, kind: AccountKind::Host, name: "h".into(), created_at_ms: 0, purse };
    store.add_account(&row).await.unwrap();
    store.set_owner(&Holding::Node(node), Some(id)).await.unwrap();
    id
}

/// A matchmaker on a store, with a ledger.
pub(crate) fn matchmaker(store: &Arc<MemoryStore>, stake: Rules, kept: Kept) -> Shared {
    let trust = TrustConfig { new_host_hours: 0, new_host_sessions: 0, stake, ..TrustConfig::default() };
    let config = Config { price_micros_per_hour: 3_600_000_000, trust, ..Config::default() };
    let shared = Shared::new(config, Parts::alone(Arc::clone(store) as Arc<dyn Store>, [7; 32]));
    shared.general.choose(kept);
    shared
}

/// A machine of a host earns 8 euros five days ago, in a session that costs the studio 10.
pub(crate) async fn earn(shared: &Shared, store: &MemoryStore) -> (NodeId, SessionId) {
    store.secret(SECRET, [7; 32]).await.unwrap();
    let then = shared.now_ms() - 5 * DAY_MS;
    let node = enrol(store, 1, then).await;
    open(shared).await.unwrap();
    let id = host(store, 5, node).await;
    let destination = Destination::bank("Ada", "NL91ABNA0417164300".parse().unwrap(), None).unwrap();
    let currency = shared.config.currency.clone();
    let row = DestinationRow { account: id, currency, destination, since_ms: 0 };
    store.set_destination(&row).await.unwrap();
    let session = play(shared, node, then).await;
    settlement::settle(shared, shared.now_ms()).await.unwrap();
    (node, session)
}

async fn house(stake: Rules) -> House {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let kept = Kept { folder: folder.path().join(LEDGER), is_copy: false };
    let shared = matchmaker(&store, stake, kept);
    let (node, session) = earn(&shared, &store).await;
    House { shared, store, node, session, folder }
}

async fn play(shared: &Shared, node: NodeId, at_ms: u64) -> SessionId {
    play_on(shared, node, &key(), at_ms).await
}

/// Ten seconds, which cost 10 euros, on a machine with this key.
async fn play_on(shared: &Shared, node: NodeId, key: &NodeKey, at_ms: u64) -> SessionId {
    let new = NewSession {
        id: random::session_id(),
        guest: random::guest_id(),
        guest_limit: 1,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node,
        player_key: key.public(),
        lease: random::lease_id(),
        tariff: shared.config.tariff(),
        basis: None,
        now_ms: at_ms - 10_000,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    };
    assert!(matches!(shared.store.create_session(&new).await.unwrap(), Created::New(_)));
    let receipt = Receipt {
        session: new.id,
        generation: Generation(0),
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    let taken = shared.store.take_receipt(&SignedReceipt::sign(key, receipt), at_ms).await.unwrap();
    assert!(matches!(taken, Taken::Counted { .. }));
    shared.store.end_session(new.id, EndReason::PlayerLeft, at_ms).await.unwrap();
    new.id
}

impl House {
    async fn uphold(&self, n: u8, witnesses: Vec<Witness>, grade: Grade) -> CaseRow {
        let exhibit = Exhibit { session: Some(self.session), what: "it claims too much".into() };
        let row = CaseRow {
            id: CaseId::from_bytes([n; 16]),
            node: self.node,
            kind: Kind::InflatedTime,
            grade,
            body: CaseBody { witnesses, exhibits: vec![exhibit] },
            opened_at_ms: 7,
            changed_at_ms: 7,
            verdict: None,
        };
        assert!(self.store.add_case(&row).await.unwrap());
        let verdict =
            CaseVerdict { verdict: Verdict::Upheld, reason: "seen".into(), actor: member(1), at_ms: 8 };
        self.store.decide_case(row.id, &verdict, &[]).await.unwrap();
        self.store.case(row.id).await.unwrap().unwrap()
    }

    async fn proved(&self, n: u8) -> CaseRow {
        self.uphold(n, vec![Witness::Player, Witness::Checker], Grade::Slash).await
    }

    /// What an account of the general ledger may still be debited.
    async fn ledger(&self, account: &Account) -> i128 {
        general::post(&self.shared).await.unwrap();
        let ledger = self.shared.general.ledger().unwrap();
        let (account, currency) = (account.clone(), self.shared.config.currency.clone());
        ledger.with(move |general| Ok(general.free_micros(&account, &currency))).await.unwrap()
    }

    /// Pays everything back that was paid for a session.
    async fn refund(&self, n: u8, session: SessionId) {
        let (store, now_ms) = (&self.store, self.shared.now_ms());
        let row = DisputeRow {
            id: DisputeId::from_bytes([n; 16]),
            session,
            party: Party::Player,
            reason: "it froze".into(),
            evidence: String::new(),
            case: None,
            opened_at_ms: now_ms,
            settled: None,
        };
        store.open_dispute(&row).await.unwrap();
        store.close_accounts(now_ms).await.unwrap();
        let settling =
            Settling { refund_permille: 1000, note: "n".into(), actor: Actor::Operator, at_ms: now_ms };
        let decided = store.decide_dispute(row.id, &settling).await.unwrap();
        assert!(matches!(decided, Decided::Now(_)));
    }

    async fn paid(&self) -> i128 {
        let run = payouts::run(&self.shared).await.unwrap();
        run.iter().map(|row| row.payout.amount_micros).sum()
    }

    /// The record and the ledger, read from their beginning, agree.
    async fn verify(self) {
        general::post(&self.shared).await.unwrap();
        audit(&*self.store).await.unwrap();
        let store: Arc<dyn Store> = self.store;
        drop(self.shared);
        let folder = KeptIn::Folder(self.folder.path());
        let audited = audit_ledger(&store, folder, &[]).await.unwrap().unwrap();
        assert!(audited.records > 0 && audited.unfinished_bytes == 0, "{audited:?}");
    }
}

#[tokio::test]
async fn what_is_staked_is_not_paid_out_and_what_is_released_is_paid_once() {
    let house = house(Rules { notice_days: 0, ..Rules::default() }).await;
    let (shared, node) = (&house.shared, house.node);
    let held = post(shared, node, &eur(5_000_000), Some(member(9))).await.unwrap();
    assert_eq!(held.stake.staked_micros, 5_000_000);
    let too_much = post(shared, node, &eur(3_000_001), None).await;
    assert!(matches!(too_much, Err(StakingError::NotEnough(most)) if most == eur(3_000_000)));
    let [host, stake] = [Account::Host(node), Account::Stake(node)];
    assert_eq!((house.ledger(&host).await, house.ledger(&stake).await), (3_000_000, 5_000_000));
    assert_eq!(house.paid().await, 3_000_000);
    let nothing = post(shared, node, &eur(1), None).await;
    assert!(matches!(nothing, Err(StakingError::NotEnough(most)) if most == eur(0)), "it is being paid out");

    notice(shared, node, None).await.unwrap();
    tick(shared).await.unwrap();
    tick(shared).await.unwrap();
    assert_eq!(of_node(shared, node).await.unwrap().stake.staked_micros, 0);
    assert_eq!(house.ledger(&stake).await, 0);
    settlement::settle(shared, shared.now_ms() + DAY_MS).await.unwrap();
    assert_eq!(house.paid().await, 5_000_000, "with the next day");
    settlement::settle(shared, shared.now_ms() + 2 * DAY_MS).await.unwrap();
    assert_eq!(house.paid().await, 0);
    assert_eq!(house.ledger(&host).await, 0);
    house.verify().await;
}

#[tokio::test]
async fn a_correction_that_the_ledger_refuses_is_set_aside_holds_up_nothing_and_is_taken_once_it_can_be() {
    let house = house(Rules::default()).await;
    let (shared, node) = (&house.shared, house.node);
    let then = shared.now_ms() - 5 * DAY_MS;
    let other = enrol(&house.store, 2, then).await;
    let session = play_on(shared, other, &NodeKey::from_seed([2; 32]), then).await;
    let studio = Account::Studio(TitleId::new("meteor").unwrap());
    assert_eq!((house.paid().await, house.ledger(&studio).await), (8_000_000, -20_000_000));
    house.refund(1, house.session).await;
    house.refund(2, session).await;

    assert_eq!(house.ledger(&studio).await, -8_000_000, "all but what the first host has no more");
    assert_eq!(house.ledger(&Account::Host(other)).await, 0);
    let rows = house.store.asides(9).await.unwrap();
    let [row] = &rows[..] else { panic!("one is refused: {rows:?}") };
    assert_eq!((&row.debit, row.amount_micros), (&Account::Host(node), 8_000_000));
    assert!(row.reason.contains("has not enough"), "{row:?}");
    let counted = |n: u32| {
        let metric = format!("\nnearframe_ledger_refused_entries {n}\n");
        assert!(crate::metrics::render(shared).contains(&metric));
    };
    counted(1);
    house.ledger(&studio).await;
    assert_eq!(house.store.asides(9).await.unwrap(), rows, "it stands there once");

    play(shared, node, shared.now_ms()).await;
    assert_eq!(house.ledger(&studio).await, -10_000_000, "its next session cost 10, and the 8 are back");
    assert_eq!((house.ledger(&Account::Host(node)).await, house.store.asides(9).await.unwrap()), (0, vec![]));
    counted(0);
    house.verify().await;
}

#[tokio::test]
async fn a_refund_after_a_credit_takes_from_what_is_left_and_the_ledger_agrees() {
    let house = house(Rules::default()).await;
    let (store, ended) = (&house.store, 0..u64::MAX);
    let paid = store.paid_for(ended.clone()).await.unwrap();
    let studio = Account::Studio(TitleId::new("meteor").unwrap());
    let quarter = NewCredit {
        row: CreditRow {
            seq: 0,
            kind: CreditKind::Service,
            about: "2026-10".into(),
            debit: Account::Platform,
            credit: studio.clone(),
            amount_micros: 2_500_000,
            currency: house.shared.config.currency.clone(),
            key: "service:2026-10".into(),
            at_ms: house.shared.now_ms(),
        },
        shares: vec![(paid[0].lease, 2_500_000)],
    };
    let month = MonthRow { month: "2026-10".into(), body: "{}".into(), at_ms: 0 };
    assert!(store.close_month(&Closing { month, ended, paid, credits: vec![quarter] }).await.unwrap());
    let left = [house.ledger(&studio).await, house.ledger(&Account::Platform).await];
    assert_eq!(left, [-7_500_000, -500_000], "the platform earned 2 and bore 2.5");
    house.refund(1, house.session).await;
    for account in [studio, Account::Host(house.node), Account::Platform] {
        assert_eq!(house.ledger(&account).await, 0, "{account}");
    }
    house.verify().await;
}

#[tokio::test]
async fn what_was_set_aside_is_known_after_a_restart_and_a_stakes_own_steps_wait_for_each_other() {
    let house = house(Rules { notice_days: 0, ..Rules::default() }).await;
    let (shared, node, currency) = (&house.shared, house.node, house.shared.config.currency.clone());
    assert_eq!(house.paid().await, 8_000_000);
    // The record says so, whatever the ledger thinks of it.
    let held = of_node(shared, node).await.unwrap();
    let entry = held.stake.post(5_000_000, Source::Earnings, None, shared.now_ms()).unwrap();
    assert!(add(shared, &held, &entry, &[]).await.unwrap());
    notice(shared, node, None).await.unwrap();
    tick(shared).await.unwrap();
    general::post(shared).await.unwrap();
    let refused = async |store: &MemoryStore| {
        store.asides(9).await.unwrap().into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    let keys = [format!("stake:{node}:1"), format!("stake:{node}:3")];
    assert_eq!(refused(&house.store).await, keys, "what is not there is not released either");

    let House { shared, store, node, folder, .. } = house;
    let config = shared.config.clone();
    drop(shared);
    let shared = Shared::new(config, Parts::alone(Arc::clone(&store) as Arc<dyn Store>, [7; 32]));
    shared.general.choose(Kept { folder: folder.path().join(LEDGER), is_copy: false });
    general::post(&shared).await.unwrap();
    assert_eq!(refused(&store).await, keys);
    play(&shared, node, shared.now_ms()).await;
    general::post(&shared).await.unwrap();
    assert_eq!(refused(&store).await, [""; 0]);
    let ledger = shared.general.ledger().unwrap();
    let free = ledger.with(move |general| Ok(general.free_micros(&Account::Host(node), &currency))).await;
    assert_eq!(free.unwrap(), 8_000_000, "staked and released again");
}

#[tokio::test]
async fn a_deposit_is_booked_once_and_paid_back_however_little_was_earned() {
    let house = house(Rules { notice_days: 0, ..Rules::default() }).await;
    let (shared, node) = (&house.shared, house.node);
    for _ in 0..2 {
        let held = deposit(shared, node, &eur(20_000_000), "bank 4", None).await.unwrap();
        assert_eq!(held.stake.staked_micros, 20_000_000);
    }
    let other = deposit(shared, node, &eur(1), "bank 4", None).await;
    assert!(matches!(other, Err(StakingError::ReferenceUsed)));
    let dollars = Money { amount_micros: 1, currency: Currency::new("USD").unwrap() };
    assert!(matches!(deposit(shared, node, &dollars, "x", None).await, Err(StakingError::OtherCurrency(_))));
    assert_eq!(house.ledger(&Account::Stake(node)).await, 20_000_000);
    notice(shared, node, None).await.unwrap();
    tick(shared).await.unwrap();
    assert_eq!(house.paid().await, 28_000_000);
    house.verify().await;
}

#[tokio::test]
async fn what_a_proved_case_costs_goes_first_to_whoever_paid_then_to_the_platform() {
    let house = house(Rules { appeal_days: 0, ..Rules::default() }).await;
    let (shared, node) = (&house.shared, house.node);
    deposit(shared, node, &eur(100_000_000), "bank 4", None).await.unwrap();
    let webhook = WebhookRow {
        id: random::webhook_id(),
        account: AccountId::from_bytes([5; 16]),
        url: "https://hooks.example".into(),
        events: vec![EventKind::StakePending, EventKind::StakeSlashed],
        disabled: None,
        secret_number: 1,
        old_secret_until_ms: None,
        created_at_ms: 0,
        created_by: None,
        delivered_at_ms: None,
    };
    assert!(house.store.add_webhook(&webhook).await.unwrap());
    house.uphold(1, vec![Witness::Checker], Grade::Slash).await;
    house.uphold(2, vec![Witness::Player, Witness::Player], Grade::Review).await;
    tick(shared).await.unwrap();
    assert_eq!(of_node(shared, node).await.unwrap().entries.len(), 1, "a lone checker costs nobody anything");
    house.proved(3).await;
    set_aside(shared).await.unwrap();
    set_aside(shared).await.unwrap();
    assert_eq!(house.ledger(&Account::Stake(node)).await, 50_000_000, "half is set aside");
    let studio = Account::Studio(TitleId::new("meteor").unwrap());
    let before = (house.ledger(&studio).await, house.ledger(&Account::Platform).await);
    tick(shared).await.unwrap();
    let after = (house.ledger(&studio).await, house.ledger(&Account::Platform).await);
    assert_eq!((after.0 - before.0, after.1 - before.1), (10_000_000, 40_000_000));
    assert_eq!(
        (house.ledger(&general::slashed()).await, house.ledger(&Account::Stake(node)).await),
        (0, 50_000_000)
    );
    let held = of_node(shared, node).await.unwrap();
    let deeds: Vec<_> = held.entries.iter().map(|entry| entry.deed.as_str()).collect();
    assert_eq!(deeds, ["posted", "set_aside", "taken"]);
    let mut told: Vec<_> = house.store.deliveries(webhook.id, None, 9).await.unwrap();
    told.sort_by_key(|row| row.kind);
    assert_eq!(told.iter().map(|row| row.kind).collect::<Vec<_>>(), webhook.events, "each once");
    house.verify().await;
}

#[tokio::test]
async fn an_allowed_appeal_frees_what_was_set_aside_in_the_ledger_too() {
    let house = house(Rules::default()).await;
    let (shared, node) = (&house.shared, house.node);
    post(shared, node, &eur(8_000_000), None).await.unwrap();
    let case = house.proved(1).await;
    set_aside(shared).await.unwrap();
    tick(shared).await.unwrap();
    assert_eq!(house.ledger(&Account::Stake(node)).await, 4_000_000, "its time has not come");
    appeal(shared, &case, "my line was copied", Some(member(9))).await.unwrap();
    rule(shared, &case, true, "it was", member(1)).await.unwrap();
    assert_eq!(house.ledger(&Account::Stake(node)).await, 8_000_000);
    let aside = of_node(shared, node).await.unwrap().stake.asides.remove(&case.id).unwrap();
    assert_eq!(aside.appeal.unwrap().ruling.unwrap().by, Some(member(1)), "there is no other operator");
    house.verify().await;
}

/// The process dies at each commit in turn; whoever looks next goes on from there.
#[tokio::test]
async fn a_crash_at_any_commit_sets_aside_takes_and_credits_once() {
    for commits in 0..8 {
        let house = house(Rules { appeal_days: 0, notice_days: 0, ..Rules::default() }).await;
        let (shared, node) = (&house.shared, house.node);
        deposit(shared, node, &eur(30_000_000), "bank 4", None).await.unwrap();
        house.proved(1).await;
        notice(shared, node, None).await.unwrap();
        house.store.crash_after(commits);
        let crashed = tick(shared).await.is_err();
        assert_eq!(crashed, commits < 3, "three commits: {commits}");
        house.store.crash_after(u32::MAX);
        tick(shared).await.unwrap();
        let held = of_node(shared, node).await.unwrap();
        let deeds: Vec<_> = held.entries.iter().map(|entry| entry.deed.as_str()).collect();
        assert_eq!(deeds, ["posted", "noticed", "set_aside", "taken", "released"], "{commits}");
        let credits = house.store.credits_after(0, 9).await.unwrap();
        assert_eq!(credits.iter().map(|row| row.amount_micros).collect::<Vec<_>>(), [10_000_000, 5_000_000]);
        house.verify().await;
    }
}

#[tokio::test]
async fn what_is_missing_of_the_least_stake_waits_while_the_machine_is_there() {
    let house = house(Rules { least_micros: 6_000_000, ..Rules::default() }).await;
    let (shared, node) = (&house.shared, house.node);
    shared.store.note_reached(&[Reached::Node(node)], shared.now_ms(), 1).await.unwrap();
    assert_eq!(house.paid().await, 2_000_000);
    post(shared, node, &eur(6_000_000), None).await.unwrap();
    house.verify().await;
}

#[tokio::test]
async fn another_table_under_the_same_version_is_refused_by_its_key() {
    let house = house(Rules::default()).await;
    let configured = |stake: Rules| {
        let trust = TrustConfig { stake, ..TrustConfig::default() };
        Shared::new(
            Config { trust, ..Config::default() },
            Parts::alone(Arc::clone(&house.store) as Arc<dyn Store>, [7; 32]),
        )
    };
    open(&configured(Rules::default())).await.unwrap();
    let other = Rules { notice_days: 30, ..Rules::default() };
    let refused = open(&configured(other.clone())).await.unwrap_err().to_string();
    assert!(refused.starts_with("trust.stake.version"), "{refused}");
    let next = configured(Rules { version: 2, ..other });
    open(&next).await.unwrap();
    assert_eq!(rules_at(&next, u64::MAX).await.unwrap().notice_days, 30);
    assert_eq!(rules_at(&next, 0).await.unwrap().notice_days, 14, "what was opened before goes by the first");
    assert_eq!(next.store.rule_tables(RuleTable::Stake).await.unwrap().len(), 2);
    let back = open(&configured(Rules::default())).await.unwrap_err().to_string();
    assert!(back.starts_with("trust.stake.version"), "{back}");
}

/// Reached from six days ago until then, without a break.
async fn reached(house: &House, node: NodeId, until_ms: u64) {
    let begun_ms = house.shared.now_ms() - 6 * DAY_MS;
    for at_ms in [begun_ms, until_ms] {
        let both = [Reached::Service, Reached::Node(node)];
        house.store.note_reached(&both, at_ms, 9 * DAY_MS).await.unwrap();
    }
}

#[tokio::test]
async fn a_machine_that_leaves_without_notice_is_one_case_and_with_notice_none() {
    for gives_notice in [false, true] {
        let house = house(Rules::default()).await;
        let (shared, node) = (&house.shared, house.node);
        let now_ms = shared.now_ms();
        deposit(shared, node, &eur(40_000_000), "bank 4", None).await.unwrap();
        for n in [6, 7] {
            let other = enrol(&house.store, n, now_ms - 5 * DAY_MS).await;
            host(&house.store, n, other).await;
            reached(&house, other, now_ms).await;
        }
        reached(&house, node, now_ms - 4 * DAY_MS).await;
        if gives_notice {
            notice(shared, node, None).await.unwrap();
        }
        look(shared).await.unwrap();
        look(shared).await.unwrap();
        let cases = house.store.cases(true, None, 9).await.unwrap();
        if gives_notice {
            assert_eq!(cases, []);
            continue;
        }
        let [case] = &cases[..] else { panic!("one case: {cases:?}") };
        assert_eq!((case.kind, case.grade, case.node), (Kind::LeftEarly, Grade::Slash, node));
        let verdict = CaseVerdict {
            verdict: Verdict::Upheld,
            reason: "it is gone".into(),
            actor: Actor::Operator,
            at_ms: now_ms,
        };
        house.store.decide_case(case.id, &verdict, &[]).await.unwrap();
        set_aside(shared).await.unwrap();
        look(shared).await.unwrap();
        assert_eq!(
            house.store.cases(true, None, 9).await.unwrap(),
            [],
            "the same absence is not a case again"
        );
        let stake = of_node(shared, node).await.unwrap().stake;
        assert_eq!((stake.staked_micros, stake.aside_micros()), (40_000_000, 10_000_000));
    }
}

#[tokio::test]
async fn what_is_linked_is_noted_with_the_matchmaker_itself() {
    let house = house(Rules::default()).await;
    let (shared, node) = (&house.shared, house.node);
    let noted = async || {
        note(shared).await.unwrap();
        let rows = house.store.reached(0..u64::MAX).await.unwrap();
        rows.iter().map(|row| row.subject).collect::<Vec<_>>()
    };
    assert_eq!(noted().await, [Reached::Service], "nobody is linked");
    assert!(shared.fleet().join(node, 1, offer(), shared.uptime_ms()));
    assert_eq!(noted().await, [Reached::Service, Reached::Node(node)]);
}
