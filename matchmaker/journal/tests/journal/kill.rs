//! A process that is killed in the middle of its work.

use crate::orders::{SMALL, opening, paid, payment, signer};
use nearframe_journal::{Folder, Journal, verify};
use nearframe_ledger::books::Answer;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "NEARFRAME_JOURNAL_TO_WRITE";
/// Answers that are heard before each kill.
const HEARD: [usize; 6] = [1, 7, 40, 3, 90, 25];

/// Works through the payments and says each number once it was answered.
#[test]
#[ignore = "started, and killed, by the test below"]
fn a_writer_that_says_what_was_answered() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let (mut journal, _) = Journal::open(Folder::open(Path::new(&folder)).unwrap(), signer(), SMALL).unwrap();
    journal.write(&opening(), 1).unwrap();
    for n in 0.. {
        let answer = journal.write(&[payment(n)], 2).unwrap()[0];
        assert!(matches!(answer, Answer::Done | Answer::Again));
        use std::io::Write;
        writeln!(std::io::stdout(), "answered {n}").unwrap();
    }
}

#[test]
fn what_was_answered_before_a_kill_is_there_and_nothing_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    for heard in HEARD {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::a_writer_that_says_what_was_answered", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The first answer may stand behind the harness's own words.
        let answers = lines.filter_map(|line| line.split_once("answered ")?.1.parse::<u32>().ok());
        let last = answers.take(heard).last().unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();

        let (journal, _) = Journal::open(Folder::open(folder.path()).unwrap(), signer(), SMALL).unwrap();
        // Every payment is a number larger than the one before: the sum tells how many there are.
        let count = (0..).find(|count| crate::orders::due(*count) >= paid(&journal)).unwrap();
        assert_eq!(crate::orders::due(count), paid(&journal), "a payment is missing, or there twice");
        assert!(count > last, "{last} was answered");
        let head = journal.head();
        drop(journal);
        verify(&Folder::inspect(folder.path()).unwrap(), &signer().public(), &[head]).unwrap();
    }
}
