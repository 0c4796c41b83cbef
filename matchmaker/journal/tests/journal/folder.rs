//! The real folder.

use crate::orders::{SMALL, due, opening, paid, payment, signer};
use nearframe_journal::{Folder, Journal, verify};
use nearframe_ledger::books::Answer;

#[test]
fn what_was_written_is_there_after_opening_again_and_can_be_inspected_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = Journal::open(Folder::open(folder.path()).unwrap(), signer(), SMALL).unwrap();
        journal.write(&opening(), 1).unwrap();
        (0..200).for_each(|n| drop(journal.write(&[payment(n)], 2).unwrap()));
        let verified =
            verify(&Folder::inspect(folder.path()).unwrap(), &signer().public(), &[journal.head()]);
        let verified = verified.unwrap();
        assert_eq!((verified.checkpoints, verified.unfinished_bytes), (2, 0));
    }
    let (mut journal, opened) = Journal::open(Folder::open(folder.path()).unwrap(), signer(), SMALL).unwrap();
    assert!(opened.compared && opened.replayed_blocks < 10, "{opened:?}");
    assert_eq!(paid(&journal), due(200));
    assert!((0..200).all(|n| journal.write(&[payment(n)], 3).unwrap() == [Answer::Again]));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(files < 24, "{files} files: merged runs and old checkpoints are removed");
}

#[test]
fn a_second_writer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Folder::open(folder.path()).unwrap();
    let second = Folder::open(folder.path()).unwrap_err().to_string();
    assert!(second.contains("another process writes the ledger"), "{second}");
    drop(first);
    Folder::open(folder.path()).unwrap();
}
