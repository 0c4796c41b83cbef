//! Blocks, runs and checkpoints that are not what was written.

use crate::disk::Disk;
use crate::orders::{SMALL, due, opening, paid, payment, signer};
use nearframe_journal::{Journal, JournalError, KeysError, Settings, Verified, verify};
use nearframe_ledger::books::{Answer, BlockError, HEADER_LEN, RECORD_LEN, SignedHead};
use nearframe_protocol::NodeKey;

const PAYMENTS: u32 = 60;

fn written(settings: Settings) -> (Disk, SignedHead) {
    let disk = Disk::default();
    let (mut journal, _) = Journal::open(disk.clone(), signer(), settings).unwrap();
    journal.write(&opening(), 1).unwrap();
    (0..PAYMENTS).for_each(|n| drop(journal.write(&[payment(n)], 2).unwrap()));
    let head = journal.head();
    (disk, head)
}

fn check(disk: &Disk, heads: &[SignedHead]) -> Result<Verified, JournalError> {
    verify(disk, &signer().public(), heads)
}

#[test]
fn a_changed_byte_anywhere_but_in_the_last_block_is_found() {
    let (disk, _) = written(Settings::default());
    let mut length = 0;
    disk.damage(|blocks| length = blocks.len());
    for at in (0..length - HEADER_LEN - RECORD_LEN).step_by(37) {
        disk.damage(|blocks| blocks[at] ^= 4);
        let verified = check(&disk, &[]);
        assert!(
            matches!(verified, Err(JournalError::Block { .. } | JournalError::Replay(_))),
            "{at}: {verified:?}"
        );
        let opened = Journal::open(disk.clone(), signer(), Settings::default());
        assert!(matches!(opened, Err(JournalError::Block { .. } | JournalError::Replay(_))), "{at}");
        disk.damage(|blocks| blocks[at] ^= 4);
    }
    check(&disk, &[]).unwrap();
}

#[test]
fn blocks_that_were_removed_are_missed_by_checkpoint_and_published_head() {
    let (disk, head) = written(SMALL);
    disk.damage(|blocks| blocks.truncate(blocks.len() / 2));
    assert!(matches!(Journal::open(disk.clone(), signer(), SMALL), Err(JournalError::Missing { .. })));
    assert!(matches!(check(&disk, &[]), Err(JournalError::Missing { .. })));
    disk.remove_files("");
    assert!(check(&disk, &[]).is_ok(), "without any signed word nothing says that there was more");
    let missing = check(&disk, &[head]);
    assert!(matches!(missing, Err(JournalError::Missing { blocks: 61 })), "{missing:?}");
}

#[test]
fn a_journal_that_was_written_anew_is_not_the_published_one() {
    let (_, head) = written(SMALL);
    let other = Disk::default();
    let (mut journal, _) = Journal::open(other.clone(), signer(), SMALL).unwrap();
    journal.write(&opening(), 1).unwrap();
    (0..PAYMENTS).rev().for_each(|n| drop(journal.write(&[payment(n)], 2).unwrap()));
    let found = check(&other, std::slice::from_ref(&head));
    assert!(matches!(found, Err(JournalError::NotPublished { block: 60 })), "{found:?}");
    let stranger = SignedHead::sign(journal.books(), &NodeKey::from_seed([4; 32]));
    assert!(matches!(check(&other, &[stranger]), Err(JournalError::ForeignHead)));
}

#[test]
fn damaged_runs_are_named_and_made_again_from_the_blocks() {
    let (disk, head) = written(SMALL);
    disk.damage_file("keys-", 40);
    let (mut journal, _) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
    let answers: Result<Vec<_>, _> = (0..PAYMENTS).map(|n| journal.write(&[payment(n)], 3)).collect();
    assert!(matches!(answers, Err(JournalError::Keys(KeysError::Damaged(_)))), "{answers:?}");
    disk.remove_files("keys-");
    let opened = Journal::open(disk.clone(), signer(), SMALL);
    assert!(matches!(opened, Err(JournalError::Keys(KeysError::Damaged(_)))));
    disk.remove_files("checkpoint-");
    let (mut journal, opened) = Journal::open(disk.clone(), signer(), SMALL).unwrap();
    assert_eq!((opened.replayed_blocks, opened.compared), (61, false));
    for n in 0..PAYMENTS {
        assert_eq!(journal.write(&[payment(n)], 3).unwrap(), [Answer::Again]);
    }
    assert_eq!(paid(&journal), due(PAYMENTS));
    check(&disk, &[head]).unwrap();
}

#[test]
fn a_checkpoint_of_another_key_is_refused() {
    let (disk, _) = written(SMALL);
    let stranger = NodeKey::from_seed([4; 32]);
    let opened = Journal::open(disk.clone(), stranger, SMALL);
    assert!(matches!(opened, Err(JournalError::Checkpoint { .. })));
    disk.damage_file("checkpoint-", 200);
    let opened = Journal::open(disk, signer(), SMALL);
    assert!(matches!(opened, Err(JournalError::Checkpoint { .. })));
}

#[test]
fn a_block_that_does_not_follow_is_named_with_its_place() {
    let (disk, _) = written(Settings::default());
    let mut first = 0;
    disk.damage(|blocks| {
        first = HEADER_LEN + 5 * RECORD_LEN;
        let again = blocks[first..first + HEADER_LEN + RECORD_LEN].to_vec();
        blocks.splice(first..first, again);
    });
    assert!(matches!(check(&disk, &[]), Err(JournalError::Replay(_))));
    disk.damage(|blocks| blocks[first + HEADER_LEN + 3] ^= 1);
    let found = check(&disk, &[]);
    let Err(JournalError::Block { at, error: BlockError::Records { height: 1 } }) = found else {
        panic!("{found:?}")
    };
    assert_eq!(at, first as u64);
}
