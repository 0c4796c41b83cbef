//! A crash in every single operation on the disk.

use crate::disk::Disk;
use crate::orders::{SMALL, due, opening, paid, payment, signer};
use nearframe_journal::{Journal, JournalError, verify};
use nearframe_ledger::books::Answer;

const WRITES: u32 = 40;
const EACH: u32 = 3;

/// Works through all payments from the first on, as a client that does not know how far it came.
fn work(disk: &Disk) -> Result<(), JournalError> {
    let (mut journal, _) = Journal::open(disk.clone(), signer(), SMALL)?;
    journal.write(&opening(), 1)?;
    for write in 0..WRITES {
        let groups: Vec<_> = (write * EACH..(write + 1) * EACH).map(payment).collect();
        for answer in journal.write(&groups, 2)? {
            assert!(matches!(answer, Answer::Done | Answer::Again), "{answer:?}");
        }
    }
    Ok(())
}

fn assert_paid_once(disk: &Disk) {
    let (journal, _) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
    assert_eq!(paid(&journal), due(WRITES * EACH));
    let verified = verify(disk, &signer().public(), &[journal.head()]).unwrap();
    assert_eq!(verified.books.canonical(&[]), journal.books().canonical(&[]));
}

#[test]
fn after_a_crash_in_any_operation_every_payment_is_made_once() {
    let whole = Disk::default();
    work(&whole).unwrap();
    assert_paid_once(&whole);
    let operations = whole.operations();
    assert!(operations > 150, "{operations}");
    for at in 0..operations {
        for (keep, wrong) in [(0, false), (500, false), (1000, false), (1000, true)] {
            let disk = Disk::default();
            disk.die_after(at);
            let died = work(&disk);
            assert!(died.is_err() || disk.operations() <= at + 1);
            disk.revive(keep, wrong);
            work(&disk).unwrap_or_else(|error| panic!("operation {at}, {keep} ‰, {wrong}: {error}"));
            assert_paid_once(&disk);
        }
    }
}

#[test]
fn a_crash_while_a_crash_is_mended_changes_nothing_either() {
    for first in (1..150).step_by(11) {
        for second in 0..12 {
            let disk = Disk::default();
            disk.die_after(first);
            let _ = work(&disk);
            disk.revive(700, false);
            disk.die_after(second);
            let _ = work(&disk);
            disk.revive(300, true);
            work(&disk).unwrap();
            assert_paid_once(&disk);
        }
    }
}

#[test]
fn a_disk_that_fails_in_any_operation_and_comes_back_is_gone_on_with() {
    let whole = Disk::default();
    work(&whole).unwrap();
    for at in 1..whole.operations() {
        for keep in [0, 500, 1000] {
            let disk = Disk::default();
            let (mut journal, _) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
            journal.write(&opening(), 1).unwrap();
            disk.die_after(at);
            for write in 0..WRITES {
                let groups: Vec<_> = (write * EACH..(write + 1) * EACH).map(payment).collect();
                let mut answers = journal.write(&groups, 2);
                if answers.is_err() {
                    disk.revive(keep, false);
                    if journal.is_poisoned() {
                        // It fails once more, in what mending begins with.
                        disk.die_after(0);
                        assert!(journal.recover(SMALL).is_err() && journal.is_poisoned());
                        disk.revive(keep, false);
                        journal.recover(SMALL).unwrap();
                    }
                    answers = journal.write(&groups, 2);
                }
                for answer in answers.unwrap() {
                    assert!(matches!(answer, Answer::Done | Answer::Again), "{answer:?}");
                }
            }
            assert_eq!(paid(&journal), due(WRITES * EACH), "operation {at}, {keep} ‰");
            drop(journal);
            assert_paid_once(&disk);
        }
    }
}

#[test]
fn what_a_failed_write_left_behind_is_cut_off_even_where_it_is_whole() {
    let disk = Disk::default();
    let (mut journal, _) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
    journal.write(&opening(), 1).unwrap();
    let head = journal.head();
    disk.die_after(1);
    assert!(matches!(journal.write(&[payment(0)], 2), Err(JournalError::Io(_))));
    disk.revive(1000, false);
    let opened = journal.recover(SMALL).unwrap();
    assert!(opened.cut_bytes > 0 && !journal.is_poisoned());
    assert_eq!(journal.head(), head, "as if it had never been asked for");
    assert_eq!(journal.write(&[payment(0)], 3).unwrap(), [Answer::Done]);
    verify(&disk, &signer().public(), &[head, journal.head()]).unwrap();
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let disk = Disk::default();
    let (mut journal, _) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
    journal.write(&opening(), 1).unwrap();
    disk.die_after(1);
    assert!(matches!(journal.write(&[payment(0)], 2), Err(JournalError::Io(_))));
    disk.revive(1000, false);
    assert!(matches!(journal.write(&[payment(0)], 2), Err(JournalError::Poisoned)));
    let (mut journal, opened) = Journal::open(disk, signer(), SMALL).unwrap();
    assert_eq!(opened.cut_bytes, 0);
    assert_eq!(journal.write(&[payment(0)], 2).unwrap(), [Answer::Again], "it had reached the disk");
}
