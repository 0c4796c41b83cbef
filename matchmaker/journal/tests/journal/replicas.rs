//! Several writers with one table of blocks: they die in any operation, outrun each other, and their table loses words.

use crate::disk::Disk;
use crate::orders::{SMALL, due, opening, paid, payment, signer};
use crate::table::{Fault, Table};
use nearframe_journal::{Journal, JournalError, Replicated, SharedError, verify, verify_shared};
use nearframe_ledger::books::{Answer, SignedHead};

const PAYMENTS: u32 = 90;
const EACH: u32 = 3;
/// More than any simulation takes.
const MOST_STEPS: u32 = 5_000;

type Chain = Journal<Replicated<Disk>>;

fn open(table: &Table, disk: &Disk) -> Result<Chain, JournalError> {
    let storage = Replicated::copy_of(Box::new(table.clone()), disk.clone());
    let (mut journal, _) = Journal::open(storage, signer(), SMALL)?;
    journal.catch_up(SMALL)?;
    Ok(journal)
}

fn write(
    journal: &mut Chain,
    groups: &[nearframe_ledger::books::Group],
) -> Result<Vec<Answer>, JournalError> {
    for _ in 0..9 {
        journal.catch_up(SMALL)?;
        match journal.write(groups, 2) {
            Err(JournalError::Shared(SharedError::Outrun)) => {}
            done => return done,
        }
    }
    panic!("outrun by nobody")
}

/// Numbers that are as good as random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A replica that works through all payments as a job that does not know how far others came.
struct Replica {
    disk: Disk,
    journal: Option<Chain>,
    next: u32,
}

impl Replica {
    fn new() -> Self {
        Self { disk: Disk::default(), journal: None, next: 0 }
    }

    /// One step; it may die in it. What was answered, as a head.
    fn step(&mut self, table: &Table, dice: &mut Dice) -> Result<Option<SignedHead>, JournalError> {
        if dice.below(12) == 0 {
            self.disk.die_after(dice.below(6) as usize);
        }
        match dice.below(12) {
            0 => table.fail_next(Fault::Request),
            1 => table.fail_next(Fault::Answer),
            _ => {}
        }
        if self.journal.is_none() {
            self.journal = Some(open(table, &self.disk)?);
        }
        let journal = self.journal.as_mut().unwrap();
        // Sometimes it works on what it knew a while ago.
        if journal.is_poisoned() || dice.below(3) == 0 {
            journal.catch_up(SMALL)?;
        }
        let groups = match self.next {
            0 => opening(),
            next => (next - 1..next - 1 + EACH).map(payment).collect(),
        };
        let answers = journal.write(&groups, 2)?;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Done | Answer::Again)), "{answers:?}");
        self.next += if self.next == 0 { 1 } else { EACH };
        Ok(Some(journal.head()))
    }

    /// What was not safe is partly lost; the process begins again.
    fn revive(&mut self, dice: &mut Dice) {
        self.disk.revive(dice.below(1001) as usize, dice.below(2) == 0);
        self.journal = None;
    }

    fn is_done(&self) -> bool {
        self.next > PAYMENTS
    }
}

/// Runs replicas until each went through all payments; gives how often one was outrun and how often one failed.
fn simulate(seed: u64, count: usize) -> (u32, u32) {
    let (table, mut dice) = (Table::default(), Dice(seed));
    let mut replicas: Vec<_> = (0..count).map(|_| Replica::new()).collect();
    let (mut heads, mut outrun, mut failed) = (vec![], 0, 0);
    for _ in 0..MOST_STEPS {
        if replicas.iter().all(Replica::is_done) {
            break;
        }
        let replica = &mut replicas[dice.below(count as u64) as usize];
        if replica.is_done() {
            continue;
        }
        match replica.step(&table, &mut dice) {
            Ok(head) => heads.extend(head),
            Err(JournalError::Shared(SharedError::Outrun)) => outrun += 1,
            Err(JournalError::Shared(_) | JournalError::Io(_) | JournalError::Keys(_)) => {
                failed += 1;
                replica.revive(&mut dice);
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
        table.heal();
    }
    assert!(replicas.iter().all(Replica::is_done), "seed {seed}: does not come to an end");
    let verified = verify_shared(&table, &signer().public(), &heads).unwrap();
    let paid: i128 =
        verified.books.accounts().iter().skip(1).map(|account| account.balance.credits_micros).sum();
    assert_eq!(paid, due(PAYMENTS), "seed {seed}: nothing lost and nothing twice");
    for mut replica in replicas {
        replica.revive(&mut dice);
        let journal = open(&table, &replica.disk).unwrap();
        assert_eq!(journal.books().canonical(&[]), verified.books.canonical(&[]), "seed {seed}");
        let copy = verify(&replica.disk, &signer().public(), &heads).unwrap();
        assert_eq!(copy.books.head(), verified.books.head(), "seed {seed}: every head is in every copy");
    }
    (outrun, failed)
}

#[test]
fn replicas_that_die_and_outrun_each_other_write_one_history_and_pay_once() {
    let (mut outrun, mut failed) = (0, 0);
    for seed in 1..200 {
        for count in [1, 2, 3] {
            let (fast, dead) = simulate(seed * 0x9E37_79B9, count);
            (outrun, failed) = (outrun + fast, failed + dead);
        }
    }
    assert!(outrun > 1_000 && failed > 1_000, "the dice were too kind: {outrun}, {failed}");
}

#[test]
fn a_crash_in_any_operation_of_one_is_made_up_for_by_the_other() {
    let whole = (Table::default(), Disk::default());
    let work = |table: &Table, disk: &Disk| -> Result<(), JournalError> {
        let mut journal = open(table, disk)?;
        write(&mut journal, &opening())?;
        for first in (0..30).step_by(EACH as usize) {
            write(&mut journal, &(first..first + EACH).map(payment).collect::<Vec<_>>())?;
        }
        Ok(())
    };
    work(&whole.0, &whole.1).unwrap();
    for at in 0..whole.1.operations() {
        let (table, mortal, other) = (Table::default(), Disk::default(), Disk::default());
        mortal.die_after(at);
        let _ = work(&table, &mortal);
        work(&table, &other).unwrap();
        for (keep, wrong) in [(0, false), (700, true), (1000, false)] {
            mortal.revive(keep, wrong);
            work(&table, &mortal).unwrap_or_else(|error| panic!("operation {at}, {keep} ‰: {error}"));
        }
        assert_eq!(paid(&open(&table, &other).unwrap()), due(30), "operation {at}");
        assert_eq!(paid(&open(&table, &mortal).unwrap()), due(30), "operation {at}");
        assert_eq!(table.height(), 11, "operation {at}");
    }
}

#[test]
fn what_was_inserted_before_a_crash_is_there_and_is_not_written_again() {
    let (table, disk) = (Table::default(), Disk::default());
    let mut journal = open(&table, &disk).unwrap();
    write(&mut journal, &opening()).unwrap();
    let head = journal.head();
    // Between the insertion and the file.
    disk.die_after(0);
    assert!(matches!(journal.write(&[payment(0)], 2), Err(JournalError::Io(_))));
    assert_eq!(table.height(), 2, "it is in the table");
    disk.revive(0, false);
    let mut other = open(&table, &Disk::default()).unwrap();
    assert_eq!(paid(&other), due(1));
    assert_eq!(write(&mut other, &[payment(0)]).unwrap(), [Answer::Again]);
    drop(journal);
    let mut journal = open(&table, &disk).unwrap();
    assert_eq!(write(&mut journal, &[payment(0)]).unwrap(), [Answer::Again]);
    verify(&disk, &signer().public(), &[head, other.head()]).unwrap();
}

#[test]
fn an_answer_that_is_lost_is_found_out_without_a_restart() {
    for (fault, answer) in [(Fault::Request, Answer::Done), (Fault::Answer, Answer::Again)] {
        let (table, disk) = (Table::default(), Disk::default());
        let mut journal = open(&table, &disk).unwrap();
        write(&mut journal, &opening()).unwrap();
        table.fail_next(fault);
        let failed = journal.write(&[payment(0)], 2);
        assert!(matches!(failed, Err(JournalError::Shared(SharedError::Failed(_)))), "{failed:?}");
        assert!(matches!(journal.write(&[payment(0)], 2), Err(JournalError::Poisoned)));
        assert_eq!(write(&mut journal, &[payment(0)]).unwrap(), [answer]);
        assert_eq!(paid(&journal), due(1));
    }
}

#[test]
fn an_empty_copy_fetches_everything_and_one_that_is_behind_the_rest() {
    let (table, disk) = (Table::default(), Disk::default());
    let mut journal = open(&table, &disk).unwrap();
    write(&mut journal, &opening()).unwrap();
    let behind = Disk::default();
    drop(open(&table, &behind).unwrap());
    (0..PAYMENTS).for_each(|n| drop(write(&mut journal, &[payment(n)]).unwrap()));
    for copy in [Disk::default(), behind] {
        let copied = open(&table, &copy).unwrap();
        assert_eq!(copied.head(), journal.head());
        assert_eq!(paid(&copied), due(PAYMENTS));
        let verified = verify(&copy, &signer().public(), &[journal.head()]).unwrap();
        assert!(verified.checkpoints > 0, "keys do not stay in memory while it is fetched");
    }
}

#[test]
fn a_copy_of_another_history_is_refused_with_both_hashes_and_what_to_do() {
    let (table, disk) = (Table::default(), Disk::default());
    let mut journal = open(&table, &disk).unwrap();
    write(&mut journal, &opening()).unwrap();
    write(&mut journal, &[payment(0)]).unwrap();
    let other = Table::default();
    let mut beside = open(&other, &Disk::default()).unwrap();
    write(&mut beside, &opening()).unwrap();
    write(&mut beside, &[payment(1)]).unwrap();
    write(&mut beside, &[payment(2)]).unwrap();
    let own = journal.head().hash;
    drop(journal);
    let refused = open(&other, &disk).unwrap_err();
    let JournalError::OtherHistory { height: 1, own: said, .. } = refused else { panic!("{refused}") };
    assert_eq!(said, own);
    let mut theirs = String::new();
    other.damage(|blocks| theirs = blocks[1].0.to_string());
    let told = refused.to_string();
    assert!(told.contains(&own.to_string()) && told.contains(&theirs), "{told}");
    assert!(told.contains("move the folder away"), "{told}");
    open(&table, &disk).unwrap();

    table.damage(|blocks| drop(blocks.pop()));
    let ahead = open(&table, &disk).unwrap_err();
    assert!(matches!(ahead, JournalError::Ahead { height: 1, .. }), "{ahead}");
    assert!(ahead.to_string().contains(&own.to_string()) && ahead.to_string().contains("Restore"), "{ahead}");
}

#[test]
fn a_table_that_was_changed_is_taken_by_nobody_and_verified_by_nobody() {
    let (table, disk) = (Table::default(), Disk::default());
    let mut journal = open(&table, &disk).unwrap();
    write(&mut journal, &opening()).unwrap();
    (0..4).for_each(|n| drop(write(&mut journal, &[payment(n)]).unwrap()));
    let head = journal.head();
    verify_shared(&table, &signer().public(), std::slice::from_ref(&head)).unwrap();
    table.damage(|blocks| *blocks[2].1.last_mut().unwrap() ^= 1);
    assert!(matches!(open(&table, &Disk::default()), Err(JournalError::Block { .. })));
    assert!(matches!(verify_shared(&table, &signer().public(), &[]), Err(JournalError::Block { .. })));
    table.damage(|blocks| {
        *blocks[2].1.last_mut().unwrap() ^= 1;
        blocks.truncate(4);
    });
    verify_shared(&table, &signer().public(), &[]).unwrap();
    let missing = verify_shared(&table, &signer().public(), &[head]);
    assert!(matches!(missing, Err(JournalError::Missing { blocks: 5 })), "{missing:?}");
}
