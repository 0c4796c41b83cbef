//! Payouts of several matchmakers on one store, each with a copy of the ledger; the store can crash before any commit.

use super::*;
use crate::audit::{AuditError, KeptIn, audit, audit_ledger};
use crate::general::Kept;
use crate::stakes::tests::{earn, matchmaker};
use crate::stakes::{self, StakingError};
use crate::store::{MemoryStore, PayoutStore, StakeStore, Store};
use nearframe_journal::{Folder, SharedError};
use nearframe_ledger::payout::PayoutError;
use nearframe_protocol::api::LedgerHead;
use nearframe_trust::stake::Rules;
use std::sync::Arc;

const DUE: i128 = 8_000_000;

struct Replica {
    shared: Shared,
    folder: tempfile::TempDir,
}

impl Replica {
    fn new(store: &Arc<MemoryStore>) -> Self {
        Self::in_folder(store, tempfile::tempdir().unwrap())
    }

    fn in_folder(store: &Arc<MemoryStore>, folder: tempfile::TempDir) -> Self {
        let kept = Kept { folder: folder.path().to_owned(), is_copy: true };
        Self { shared: matchmaker(store, Rules::default(), kept), folder }
    }

    /// The process ends and begins again.
    fn restarted(self, store: &Arc<MemoryStore>) -> Self {
        drop(self.shared);
        Self::in_folder(store, self.folder)
    }

    async fn head(&self) -> LedgerHead {
        general::post(&self.shared).await.unwrap();
        let head = self.shared.general.ledger().unwrap().head();
        LedgerHead {
            blocks: head.blocks,
            records: head.records,
            at_ms: head.at_ms,
            hash: head.hash.to_string(),
            signature: head.signature,
            ledger_key: self.shared.ledger_key.public(),
        }
    }
}

async fn two() -> (Arc<MemoryStore>, Replica, Replica, NodeId) {
    let store = Arc::new(MemoryStore::new());
    let (a, b) = (Replica::new(&store), Replica::new(&store));
    let (node, _) = earn(&a.shared, &store).await;
    (store, a, b, node)
}

fn sum(rows: &[PayoutRow]) -> i128 {
    rows.iter().filter(|row| row.state != State::Failed).map(|row| row.payout.amount_micros).sum()
}

/// Everything that was published is in the table, the record agrees with it, and each copy is the table's.
async fn verify(store: &Arc<MemoryStore>, replicas: &[&Replica], heads: &[LedgerHead]) {
    audit(&**store).await.unwrap();
    let shared: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    let audited = audit_ledger(&shared, KeptIn::Store, heads).await.unwrap().unwrap();
    for replica in replicas {
        assert_eq!(replica.head().await.blocks, audited.blocks);
        let copy = Folder::inspect(replica.folder.path()).unwrap();
        let verified = nearframe_journal::verify(&copy, &replica.shared.ledger_key.public(), &[]).unwrap();
        assert_eq!(verified.books.head().to_string(), replica.head().await.hash);
    }
    let heads: Vec<_> = futures_util::future::join_all(replicas.iter().map(|replica| replica.head())).await;
    assert!(heads.windows(2).all(|pair| pair[0].hash == pair[1].hash), "one history");
}

#[tokio::test]
async fn replicas_post_to_one_history_and_who_finds_nothing_to_do_writes_nothing() {
    let (store, a, b, _) = two().await;
    let first = a.head().await;
    assert!(first.blocks > 0);
    let second = b.head().await;
    assert_eq!((second.blocks, &second.hash), (first.blocks, &first.hash));
    let (one, other) = tokio::join!(general::post(&a.shared), general::post(&b.shared));
    assert!(one.is_ok() && other.is_ok());
    verify(&store, &[&a, &b], &[first.clone(), second]).await;
    assert_eq!(a.head().await.blocks, first.blocks);
}

#[tokio::test]
async fn whoever_is_asked_pays_and_two_at_once_pay_once() {
    let (store, a, b, _) = two().await;
    let (one, other) = tokio::join!(run(&a.shared), run(&b.shared));
    let mut heads = vec![a.head().await, b.head().await];
    let collected: Vec<_> = one.unwrap().into_iter().chain(other.unwrap()).collect();
    let [payout] = &collected[..] else { panic!("one payout: {collected:?}") };
    assert_eq!(payout.payout.amount_micros, DUE);
    let (number, id) = (payout.run, payout.id());
    let (one, other) = tokio::join!(submit(&a.shared, number), submit(&b.shared, number));
    assert!(one.unwrap().iter().chain(&other.unwrap()).all(|row| row.state == State::Submitted));
    heads.extend([a.head().await, b.head().await]);

    let (yes, no) = tokio::join!(outcome(&a.shared, number, id, true), outcome(&b.shared, number, id, false));
    // Whichever came first counts, and the other is told so.
    let (said, contradicted) = if let Ok(row) = yes { (row, no) } else { (no.unwrap(), yes) };
    assert!(
        matches!(contradicted, Err(PayError::State(PayoutError::Contradiction { .. }))),
        "{contradicted:?}"
    );
    let rows = store.payouts(None, None, 9).await.unwrap();
    assert_eq!((rows.len(), rows[0].state), (1, said.state));
    run(&a.shared).await.unwrap();
    assert_eq!(
        sum(&store.payouts(None, None, 9).await.unwrap()),
        DUE,
        "what failed is due again, and nothing else"
    );
    verify(&store, &[&a, &b], &heads).await;
}

/// The one pays at each moment of the other's staking in turn: so many visits to its ledger later.
#[tokio::test]
async fn what_one_stakes_while_another_pays_is_not_paid_as_well() {
    for visits in 0..40 {
        let (store, a, b, node) = two().await;
        general::post(&b.shared).await.unwrap();
        let amount = Money { amount_micros: 5_000_000, currency: a.shared.config.currency.clone() };
        let later = async {
            for _ in 0..visits {
                b.shared.general.ledger().unwrap().with(|_| Ok(())).await.unwrap();
            }
            run(&b.shared).await.unwrap()
        };
        let (staked, paid) = tokio::join!(stakes::post(&a.shared, node, &amount, None), later);
        let staked = match staked {
            Ok(held) => held.stake.staked_micros,
            Err(StakingError::NotEnough(_)) => 0,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(staked + sum(&paid), DUE, "{visits}: nothing twice, and nothing is left");
        assert_eq!(store.stake_entries(None).await.unwrap().len(), usize::from(staked > 0));
        verify(&store, &[&a, &b], &[]).await;
    }
}

/// Collects, submits and settles, as a person who asks again until it is done.
async fn pays(replica: &Replica) -> Result<(), PayError> {
    run(&replica.shared).await?;
    for row in replica.shared.store.open_payouts().await? {
        submit(&replica.shared, row.run).await?;
        outcome(&replica.shared, row.run, row.id(), true).await?;
    }
    Ok(())
}

/// The process dies at each commit in turn, those of blocks included; another goes on, and then the first again.
#[tokio::test]
async fn a_crash_at_any_commit_of_one_is_made_up_for_by_the_other_and_paid_once() {
    let mut crashes = 0;
    for commits in 0.. {
        let (store, a, b, _) = two().await;
        store.crash_after(commits);
        let died = pays(&a).await.is_err();
        crashes += u32::from(died);
        store.crash_after(u32::MAX);
        let head = a.shared.general.ledger().map(|ledger| ledger.head().blocks);
        pays(&b).await.unwrap();
        let a = a.restarted(&store);
        pays(&a).await.unwrap();
        let rows = store.payouts(None, None, 9).await.unwrap();
        let [payout] = &rows[..] else { panic!("{commits}: {rows:?}") };
        assert_eq!((payout.state, payout.payout.amount_micros), (State::Settled, DUE), "{commits}");
        assert!(b.head().await.blocks >= head.unwrap_or(0), "{commits}");
        verify(&store, &[&a, &b], &[]).await;
        if !died && commits > 3 {
            break;
        }
    }
    assert!(crashes > 6, "{crashes}: rows, blocks and states are commits of their own");
}

#[tokio::test]
async fn a_run_is_handed_out_once_all_of_it_is_submitted_and_without_what_the_ledger_refused() {
    let (store, a, b, _) = two().await;
    let first = run(&a.shared).await.unwrap().remove(0);
    let mut more = PayoutRow { payout: first.payout.clone(), ..first.clone() };
    (more.payout.attempt, more.payout.amount_micros) = (7, 99 * DUE);
    let told = event(&more).unwrap().unwrap();
    let spent = store.spent().await.unwrap();
    assert!(store.add_payouts(&[(more.clone(), told)], spent).await.unwrap());
    let handed_out = async || {
        let rows = store.payouts_of_run(first.run).await.unwrap();
        manifest(&b.shared, &rows).await.unwrap().payouts
    };
    reconcile(&b.shared).await.unwrap();
    let open = store.open_payouts().await.unwrap();
    assert!(open.iter().all(|row| row.id() == first.id()) && open.len() == 1, "the host never had so much");
    assert!(handed_out().await.is_empty());
    submit(&a.shared, first.run).await.unwrap();
    let handed = handed_out().await;
    assert!(handed.len() == 1 && handed[0] == first.payout);
    outcome(&b.shared, first.run, first.id(), false).await.unwrap();
    assert_eq!(handed_out().await, handed, "the same whatever became of it");
}

/// One judged it before the money was posted, the other after: its row says failed, and the ledger holds it.
#[tokio::test]
async fn what_one_gave_up_while_another_set_it_aside_is_not_handed_out_and_due_again() {
    let (store, a, b, _) = two().await;
    let first = run(&a.shared).await.unwrap().remove(0);
    let told = event(&PayoutRow { state: State::Failed, ..first.clone() }).unwrap();
    store.set_payout_state(first.id(), State::Failed, a.shared.now_ms(), told.as_ref()).await.unwrap();
    let handed_out = async |number| {
        let rows = store.payouts_of_run(number).await.unwrap();
        manifest(&b.shared, &rows).await.unwrap().payouts
    };
    assert_eq!(handed_out(first.run).await, [], "it was never sent");

    let second = run(&b.shared).await.unwrap().remove(0);
    assert_eq!(
        (second.state, second.payout.amount_micros),
        (State::Created, DUE),
        "what it held is free again"
    );
    submit(&a.shared, second.run).await.unwrap();
    outcome(&b.shared, second.run, second.id(), true).await.unwrap();
    assert_eq!(handed_out(first.run).await, []);
    assert_eq!(handed_out(second.run).await, [second.payout]);
    assert_eq!(sum(&store.payouts(None, None, 9).await.unwrap()), DUE);
    verify(&store, &[&a, &b], &[]).await;
}

async fn refused(store: &Arc<MemoryStore>, folder: tempfile::TempDir) -> String {
    let replica = Replica::in_folder(store, folder);
    general::open(&replica.shared).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_empty_folder_is_filled_and_one_of_another_history_is_refused() {
    let (store, a, _, _) = two().await;
    let head = a.head().await;
    assert_eq!(Replica::new(&store).head().await.hash, head.hash);

    let (theirs, other, _, _) = two().await;
    let foreign = other.head().await;
    drop(other.shared);
    let told = refused(&store, other.folder).await;
    assert!(told.contains(&foreign.hash) && told.contains(&head.hash), "{told}");
    assert!(told.contains("move the folder away"), "{told}");

    let empty = Arc::new(MemoryStore::new());
    let late = Replica::new(&theirs);
    late.head().await;
    drop(late.shared);
    let told = refused(&empty, late.folder).await;
    assert!(told.contains(&foreign.hash) && told.contains("Restore"), "{told}");
}

#[tokio::test]
async fn a_head_that_was_published_and_is_in_no_table_is_missed() {
    let (store, a, b, _) = two().await;
    let head = a.head().await;
    let mut later = head.clone();
    later.blocks += 1;
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    audit_ledger(&shared, KeptIn::Store, &[head]).await.unwrap();
    let forged = audit_ledger(&shared, KeptIn::Store, &[later]).await;
    assert!(matches!(forged, Err(AuditError::Ledger(JournalError::ForeignHead))), "{forged:?}");
    let nothing: Arc<dyn Store> = Arc::new(MemoryStore::new());
    assert_eq!(audit_ledger(&nothing, KeptIn::Store, &[]).await.unwrap(), None);
    drop(b);
}

#[tokio::test]
async fn a_table_that_is_away_is_told_as_such_and_found_again() {
    let (store, a, _, _) = two().await;
    a.head().await;
    let rows = run(&a.shared).await.unwrap();
    store.crash_after(0);
    let away = submit(&a.shared, rows[0].run).await;
    assert!(
        matches!(&away, Err(PayError::Journal(JournalError::Shared(SharedError::Failed(_))))),
        "{away:?}"
    );
    let submitted = submit(&a.shared, rows[0].run).await.unwrap();
    assert_eq!(submitted[0].state, State::Submitted);
}
