//! The general ledger: what the record posted, once more, in a journal that nobody can change unseen.
//!
//! Every posted transfer of the leases' journal, and every charge beside them, becomes an order under its own key, in the order in which it was
//! written, so that doing it again does nothing. Kept where the record is a file on this machine: several matchmakers
//! with one database would sign several histories.

mod aside;
mod stakes;

pub(crate) use stakes::slashed;

use crate::state::Shared;
use crate::store::aside::{AsideRow, Feed};
use crate::store::plans::ChargeRow;
use crate::store::stake::CreditRow;
use crate::store::{PostedRow, StoreError};
use nearframe_journal::{Folder, Journal, JournalError, Settings, Storage};
use nearframe_ledger::books::{
    AccountNo, Action, Answer, Books, Group, Key, Limit, Memo, Order, Refusal, SignedHead,
};
use nearframe_ledger::payout::{Event, Payout, State};
use nearframe_ledger::{Account, Transfer};
use nearframe_protocol::{Currency, NodeKey};
use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Transfers read and written at once: with the accounts that they open, well below what a write takes.
const AT_ONCE: u32 = 2_000;
/// How far the leases' journal was read: only saves time, keys decide.
const CURSOR: &str = "read-until";
/// How far charges were.
const CHARGES_CURSOR: &str = "charges-until";
/// What these orders are marked with.
const CODE: u16 = 1;

/// The journal, and how far the leases' journal is in it.
#[derive(Debug)]
pub(crate) struct General {
    journal: Journal<Folder>,
    read_until: u64,
    charges_until: u64,
    /// The same of what was paid back. Not kept: there is little of it, and keys decide.
    corrected_until: u64,
    /// The same of stakes and of credits.
    stakes_until: u64,
    credited_until: u64,
    /// Keys of what is known to be refused, and set aside in the record.
    asides: HashSet<Key>,
}

/// What becomes an order.
struct Posting<'a> {
    feed: Feed,
    seq: u64,
    debit: &'a Account,
    credit: &'a Account,
    amount_micros: i128,
    currency: &'a Currency,
    key: &'a str,
    subject: [u8; 16],
}

impl<'a> Posting<'a> {
    /// A transfer of a lease, or a correction of one.
    fn of_lease(feed: Feed, PostedRow { seq, transfer }: &'a PostedRow) -> Self {
        let Transfer { debit, credit, amount_micros, currency, key, lease, .. } = transfer;
        let (seq, amount_micros, subject) = (*seq, *amount_micros, *lease.as_bytes());
        Self { feed, seq, debit, credit, amount_micros, currency, key, subject }
    }

    fn of_charge(row: &'a ChargeRow) -> Self {
        let ChargeRow { seq, debit, credit, amount_micros, currency, key, account, .. } = row;
        let (seq, amount_micros, subject) = (*seq, *amount_micros, *account.as_bytes());
        Self { feed: Feed::Charges, seq, debit, credit, amount_micros, currency, key, subject }
    }

    fn of_credit(row: &'a CreditRow) -> Self {
        let CreditRow { seq, debit, credit, amount_micros, currency, key, .. } = row;
        let (seq, amount_micros, subject) = (*seq, *amount_micros, [0; 16]);
        Self { feed: Feed::Credits, seq, debit, credit, amount_micros, currency, key, subject }
    }

    fn refused(&self, refusal: Refusal, now_ms: u64) -> AsideRow {
        AsideRow {
            feed: self.feed,
            seq: self.seq,
            key: self.key.to_owned(),
            debit: self.debit.clone(),
            credit: self.credit.clone(),
            amount_micros: self.amount_micros,
            currency: self.currency.clone(),
            reason: refusal.to_string(),
            at_ms: now_ms,
        }
    }
}

/// The journal, after a write that failed, such as on a full disk, with what is surely on the disk.
fn recovered(journal: &mut Journal<Folder>) -> Result<&mut Journal<Folder>, JournalError> {
    if journal.is_poisoned() {
        let opened = journal.recover(Settings::default())?;
        tracing::warn!(cut_bytes = opened.cut_bytes, "the ledger goes on after a write that failed");
    }
    Ok(journal)
}

impl General {
    /// Opens or begins the ledger in a folder.
    pub(crate) fn open(path: &Path, key: NodeKey) -> Result<Self, JournalError> {
        let folder = Folder::open(path)?;
        let read_until = cursor(&folder, CURSOR)?;
        let charges_until = cursor(&folder, CHARGES_CURSOR)?;
        let (journal, opened) = Journal::open(folder, key, Settings::default())?;
        if opened.cut_bytes > 0 {
            tracing::warn!(bytes = opened.cut_bytes, "a write to the ledger had not ended and was cut off");
        }
        Ok(Self {
            journal,
            read_until,
            charges_until,
            corrected_until: 0,
            stakes_until: 0,
            credited_until: 0,
            asides: HashSet::new(),
        })
    }

    /// How far it goes, signed: never further than what is surely on the disk.
    pub(crate) fn head(&mut self) -> Result<SignedHead, JournalError> {
        Ok(recovered(&mut self.journal)?.head())
    }

    /// Gives what the ledger refuses and nobody set aside: as long as there is any, it does not read on.
    fn post(&mut self, rows: &[PostedRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let postings: Vec<_> = rows.iter().map(|row| Posting::of_lease(Feed::Leases, row)).collect();
        let refused = self.write(&postings, now_ms)?;
        if refused.is_empty() {
            self.read_until = last.seq;
            self.keep(CURSOR, last.seq)?;
        }
        Ok(refused)
    }

    fn post_charges(&mut self, rows: &[ChargeRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let refused = self.write(&rows.iter().map(Posting::of_charge).collect::<Vec<_>>(), now_ms)?;
        if refused.is_empty() {
            self.charges_until = last.seq;
            self.keep(CHARGES_CURSOR, last.seq)?;
        }
        Ok(refused)
    }

    /// After what they correct: a host never pays back what it has not.
    fn correct(&mut self, rows: &[PostedRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let postings: Vec<_> = rows.iter().map(|row| Posting::of_lease(Feed::Corrections, row)).collect();
        let refused = self.write(&postings, now_ms)?;
        if refused.is_empty() {
            self.corrected_until = last.seq;
        }
        Ok(refused)
    }

    /// Last of all: what hosts bear of credits was left to them by everything else.
    fn credit(&mut self, rows: &[CreditRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let refused = self.write(&rows.iter().map(Posting::of_credit).collect::<Vec<_>>(), now_ms)?;
        if refused.is_empty() {
            self.credited_until = last.seq;
        }
        Ok(refused)
    }

    /// Gives what is refused and not known to be.
    fn write(&mut self, postings: &[Posting<'_>], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let mut refused = self.try_all(postings, now_ms)?;
        refused.retain(|row| !self.asides.contains(&Key::of(&row.key)));
        Ok(refused)
    }

    /// Gives what is refused.
    fn try_all(&mut self, postings: &[Posting<'_>], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let postings: Vec<_> = postings.iter().filter(|posting| posting.amount_micros > 0).collect();
        let (openings, moves) = orders(recovered(&mut self.journal)?.books(), &postings);
        let refused = self.carry_out(openings, moves, now_ms)?;
        Ok(refused.into_iter().map(|(at, refusal)| postings[at].refused(refusal, now_ms)).collect())
    }

    /// Opens accounts and does what is to be done; gives what of the latter was refused, by its place.
    fn carry_out(
        &mut self,
        openings: Vec<Group>,
        moves: Vec<Group>,
        now_ms: u64,
    ) -> Result<Vec<(usize, Refusal)>, JournalError> {
        let opened = openings.len();
        let groups: Vec<Group> = openings.into_iter().chain(moves).collect();
        let answers = recovered(&mut self.journal)?.write(&groups, now_ms)?;
        let mut refused = vec![];
        for (at, answer) in answers.into_iter().enumerate() {
            let Answer::Refused { refusal, .. } = answer else { continue };
            match at.checked_sub(opened) {
                Some(at) => refused.push((at, refusal)),
                // Without its account nothing of it can be taken: that is no single row's fault.
                None => return Err(JournalError::Io(Error::other(refusal))),
            }
        }
        Ok(refused)
    }

    /// Carries a step of a payout out, its creation where there is no event. False: the books refuse it.
    pub(crate) fn pay(
        &mut self,
        payout: &Payout,
        event: Option<Event>,
        now_ms: u64,
    ) -> Result<bool, JournalError> {
        let journal = recovered(&mut self.journal)?;
        let (books, currency) = (journal.books(), &payout.currency);
        let Some(host) = books.number(&Account::Host(payout.host), currency) else { return Ok(false) };
        let account = Account::Rail(payout.destination.rail().label());
        let mut groups = vec![];
        let rail = books.number(&account, currency).unwrap_or_else(|| {
            groups.push(opening(&account, currency));
            books.next_number()
        });
        groups.push(match event {
            None => payout.creation(host, rail),
            Some(event) => payout.orders(event, host, rail),
        });
        let answers = journal.write(&groups, now_ms)?;
        Ok(answers.iter().all(|answer| !matches!(answer, Answer::Refused { .. })))
    }

    /// How far a payout came; `None`: it was never set aside.
    pub(crate) fn payout_state(&mut self, payout: &Payout) -> Result<Option<State>, JournalError> {
        let journal = recovered(&mut self.journal)?;
        payout.state(journal.books(), |key| journal.find(key))
    }

    fn keep(&self, cursor: &str, seq: u64) -> Result<(), JournalError> {
        let mut bytes = Some(seq.to_le_bytes().to_vec());
        Ok(self.journal.storage().put(cursor, &mut || Ok(bytes.take()))?)
    }
}

fn cursor(folder: &Folder, name: &str) -> Result<u64, JournalError> {
    let mut bytes = [0; 8];
    if folder.names()?.iter().any(|known| known == name) {
        folder.read(name, 0, &mut bytes)?;
    }
    Ok(u64::from_le_bytes(bytes))
}

/// Numbers of accounts, with the orders that open those that are not there.
struct Numbers<'a> {
    books: &'a Books,
    opened: HashMap<(Account, Currency), AccountNo>,
    openings: Vec<Group>,
}

impl<'a> Numbers<'a> {
    fn new(books: &'a Books) -> Self {
        Self { books, opened: HashMap::new(), openings: vec![] }
    }

    fn of(&mut self, account: &Account, currency: &Currency) -> AccountNo {
        let place = (account.clone(), currency.clone());
        let known = self.books.number(account, currency).or_else(|| self.opened.get(&place).copied());
        known.unwrap_or_else(|| {
            let number = AccountNo(self.books.next_number().0 + self.openings.len() as u32);
            self.openings.push(opening(account, currency));
            self.opened.insert(place, number);
            number
        })
    }
}

/// The orders that open accounts, and those for transfers between them.
fn orders(books: &Books, postings: &[&Posting<'_>]) -> (Vec<Group>, Vec<Group>) {
    let mut numbers = Numbers::new(books);
    let mut moves = Vec::with_capacity(postings.len());
    for posting in postings {
        let debit = numbers.of(posting.debit, posting.currency);
        let credit = numbers.of(posting.credit, posting.currency);
        moves.push(movement(posting, debit, credit));
    }
    (numbers.openings, moves)
}

fn opening(account: &Account, currency: &Currency) -> Group {
    // A host is never paid what it has not earned, and loses no more than it staked; a studio may owe.
    let limit =
        if matches!(account, Account::Host(_) | Account::Stake(_)) { Limit::Debits } else { Limit::None };
    let key = Key::of(&format!("open:{account}:{currency}"));
    let action = Action::Open { account: account.clone(), currency: currency.clone(), limit };
    vec![Order { key, action, memo: Memo { code: CODE, ..Memo::default() } }]
}

fn movement(posting: &Posting<'_>, debit: AccountNo, credit: AccountNo) -> Group {
    let memo = Memo { code: CODE, subject: posting.subject, evidence: [0; 32] };
    let action = Action::Move { debit, credit, amount_micros: posting.amount_micros };
    vec![Order { key: Key::of(posting.key), action, memo }]
}

/// Where this matchmaker keeps a general ledger, if it does, and the ledger once it is open.
#[derive(Debug, Default)]
pub(crate) struct Place {
    path: OnceLock<PathBuf>,
    open: OnceLock<Arc<Mutex<General>>>,
    /// Held while it is opened: who comes meanwhile would find it held by another.
    opening: tokio::sync::Mutex<()>,
}

impl Place {
    /// From now on it is kept here.
    pub(crate) fn choose(&self, path: PathBuf) {
        // Chosen once, when the matchmaker is opened.
        let _ = self.path.set(path);
    }
    /// The ledger, once it is open.
    pub(crate) fn ledger(&self) -> Option<&Arc<Mutex<General>>> {
        self.open.get()
    }
}

/// Opens the ledger where one is kept and it is not open: its balances are compared with its blocks. `None` where none
/// is kept, or where another still holds it: one that stops may take a moment.
pub(crate) async fn open(shared: &Shared) -> Result<Option<&Arc<Mutex<General>>>, JournalError> {
    let place = &shared.general;
    let (None, Some(path)) = (place.open.get(), place.path.get().cloned()) else {
        return Ok(place.open.get());
    };
    let _opening = place.opening.lock().await;
    if let Some(general) = place.open.get() {
        return Ok(Some(general));
    }
    let key = shared.ledger_key.clone();
    let opened = tokio::task::spawn_blocking(move || General::open(&path, key)).await;
    match opened.unwrap_or_else(|error| Err(JournalError::Io(Error::other(error)))) {
        Ok(general) => Ok(Some(place.open.get_or_init(|| Arc::new(Mutex::new(general))))),
        Err(JournalError::Io(error)) if error.kind() == ErrorKind::ResourceBusy => {
            tracing::warn!(%error, "the ledger is held by another; tried again soon");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Posts what the record has and the ledger has not.
pub(crate) async fn post(shared: &Shared) -> Result<(), StoreError> {
    let general = match open(shared).await {
        Ok(Some(general)) => general,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be opened");
            return Ok(());
        }
    };
    loop {
        let after = lock(general).read_until;
        let rows = shared.store.posted_after(after, AT_ONCE).await?;
        let charges_after = lock(general).charges_until;
        let charges = shared.store.charges_after(charges_after, AT_ONCE).await?;
        if rows.is_empty() && charges.is_empty() {
            break;
        }
        let write = move |general: &mut General, now_ms| {
            let mut refused = general.post(&rows, now_ms)?;
            refused.extend(general.post_charges(&charges, now_ms)?);
            Ok(refused)
        };
        if !written(shared, general, write).await? {
            return Ok(());
        }
    }
    // What was just earned may be what was missing.
    if aside::try_again(shared, general).await? && stakes::bring(shared, general).await? {
        beside_leases(shared, general).await?;
    }
    Ok(())
}

/// What was paid back, and what was credited.
async fn beside_leases(shared: &Shared, general: &Arc<Mutex<General>>) -> Result<(), StoreError> {
    loop {
        let after = lock(general).corrected_until;
        let rows = shared.store.corrections_after(after, AT_ONCE).await?;
        let done = rows.is_empty();
        if !written(shared, general, move |general, now_ms| general.correct(&rows, now_ms)).await? {
            return Ok(());
        }
        if done {
            break;
        }
    }
    loop {
        let after = lock(general).credited_until;
        let rows = shared.store.credits_after(after, AT_ONCE).await?;
        let done = rows.is_empty();
        if !written(shared, general, move |general, now_ms| general.credit(&rows, now_ms)).await? || done {
            return Ok(());
        }
    }
}

/// Writes beside the runtime; what is refused is set aside, and the rest goes on. False where it cannot be written, which
/// is tried again soon.
async fn written(
    shared: &Shared,
    general: &Arc<Mutex<General>>,
    write: impl Fn(&mut General, u64) -> Result<Vec<AsideRow>, JournalError> + Send + Sync + 'static,
) -> Result<bool, StoreError> {
    let write = Arc::new(write);
    loop {
        let (general_too, write, now_ms) = (Arc::clone(general), Arc::clone(&write), shared.now_ms());
        let done = tokio::task::spawn_blocking(move || write(&mut lock(&general_too), now_ms)).await;
        match done.unwrap_or_else(|error| Err(JournalError::Io(Error::other(error)))) {
            Ok(refused) if refused.is_empty() => return Ok(true),
            // What is set aside is not refused a second time.
            Ok(refused) => aside::keep(shared, general, &refused).await?,
            Err(error) => {
                tracing::error!(%error, "the ledger could not be written");
                return Ok(false);
            }
        }
    }
}

/// The lock is never held across an await.
pub(crate) fn lock(general: &Mutex<General>) -> MutexGuard<'_, General> {
    general.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_journal::verify;
    use nearframe_ledger::Kind;
    use nearframe_protocol::{LeaseId, NodeId, TitleId, TransferId};

    fn key() -> NodeKey {
        NodeKey::from_seed([3; 32])
    }

    fn row(seq: u64, host: u8, amount_micros: i128) -> PostedRow {
        let transfer = Transfer {
            id: TransferId::from_bytes([1; 16]),
            lease: LeaseId::from_bytes([2; 16]),
            kind: Kind::Post,
            debit: Account::Studio(TitleId::new("meteor").unwrap()),
            credit: Account::Host(NodeId::from_bytes([host; 16])),
            amount_micros,
            currency: Currency::new("EUR").unwrap(),
            key: format!("lease:host:{seq}"),
        };
        PostedRow { seq, transfer }
    }

    fn earned(general: &General, host: u8) -> i128 {
        let account = Account::Host(NodeId::from_bytes([host; 16]));
        let books = general.journal.books();
        let number = books.number(&account, &Currency::new("EUR").unwrap()).unwrap();
        books.account(number).unwrap().balance.credits_micros
    }

    #[test]
    fn what_was_posted_is_in_the_ledger_once_however_often_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut general = General::open(folder.path(), key()).unwrap();
        general.post(&[row(1, 1, 10), row(2, 2, 20), row(3, 1, 0)], 1).unwrap();
        general.post(&[row(4, 1, 5)], 2).unwrap();
        assert_eq!(general.read_until, 4);
        drop(general);

        let mut general = General::open(folder.path(), key()).unwrap();
        assert_eq!(general.read_until, 4);
        let all = [row(1, 1, 10), row(2, 2, 20), row(4, 1, 5), row(5, 3, 7)];
        general.post(&all, 3).unwrap();
        assert_eq!([1, 2, 3].map(|host| earned(&general, host)), [15, 20, 7]);
        let head = general.head().unwrap();
        let verified = verify(&Folder::inspect(folder.path()).unwrap(), &key().public(), &[head]).unwrap();
        assert_eq!(verified.books.accounts().len(), 4);
    }

    #[test]
    fn a_transfer_that_was_changed_since_does_not_pass_and_holds_up_nothing_once_it_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut general = General::open(folder.path(), key()).unwrap();
        assert_eq!(general.post(&[row(1, 1, 10)], 1).unwrap(), []);
        let rows = [row(1, 1, 11), row(2, 1, 5)];
        let refused = general.post(&rows, 2).unwrap();
        let [changed] = &refused[..] else { panic!("one was changed: {refused:?}") };
        assert_eq!((changed.feed, changed.seq, changed.amount_micros), (Feed::Leases, 1, 11));
        assert!(changed.reason.contains("another order"), "{changed:?}");
        assert_eq!(
            (general.read_until, earned(&general, 1)),
            (1, 15),
            "it does not read on before it is kept"
        );
        general.asides.insert(Key::of(&changed.key));
        assert_eq!(general.post(&rows, 3).unwrap(), []);
        assert_eq!((general.read_until, earned(&general, 1)), (2, 15));
    }
}
