//! The general ledger: what the record posted, once more, in a journal that nobody can change unseen.
//!
//! Every posted transfer of the leases' journal, and every charge beside them, becomes an order under its own key, in the order in which it was
//! written, so that doing it again does nothing. Where several matchmakers share a database, each of them posts, and
//! their blocks are one history there, of which each keeps a copy.
//!
//! **Architecture invariant:** who writes has all blocks that anybody wrote, and decides by them.

mod aside;
mod place;
mod stakes;
mod table;

pub(crate) use place::{Kept, Ledger, Place, open};
pub(crate) use stakes::slashed;
pub(crate) use table::Table;

use crate::state::Shared;
use crate::store::aside::{AsideRow, Feed};
use crate::store::plans::ChargeRow;
use crate::store::stake::CreditRow;
use crate::store::{PostedRow, StoreError};
use nearframe_journal::{Folder, Journal, JournalError, Replicated, Settings, SharedError, Storage};
use nearframe_ledger::books::{
    AccountNo, Action, Answer, Books, Group, Key, Limit, Memo, Order, Refusal, SignedHead,
};
use nearframe_ledger::payout::{Event, Payout, State};
use nearframe_ledger::{Account, Transfer};
use nearframe_protocol::{Currency, NodeKey};
use std::collections::{HashMap, HashSet};
use std::io::Error;
use std::sync::Arc;
use tokio::sync::watch;

/// Transfers read and written at once: with the accounts that they open, well below what a write takes.
const AT_ONCE: u32 = 2_000;
/// How far the leases' journal was read: only saves time, keys decide.
const CURSOR: &str = "read-until";
/// How far charges were.
const CHARGES_CURSOR: &str = "charges-until";
/// What these orders are marked with.
const CODE: u16 = 1;
/// Whoever is outrun by others tries again so often. Each time one of them has written; they write every few seconds.
const TRIES: u32 = 32;

type Chain = Journal<Replicated<Folder>>;

/// The journal, and how far the record is in it.
#[derive(Debug)]
pub(crate) struct General {
    journal: Chain,
    read: Read,
    head: watch::Sender<SignedHead>,
    /// Keys of what is known to be refused, and set aside in the record.
    asides: HashSet<Key>,
}

/// How far each part of the record was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    posted: u64,
    charges: u64,
    /// What was paid back. Not kept: there is little of it, and keys decide. The same of stakes and of credits.
    corrected: u64,
    stakes: u64,
    credited: u64,
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

    fn refused(&self, refusal: &Refusal, now_ms: u64) -> AsideRow {
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

/// What an order is carried out by: what opens its accounts, and what is to be done.
#[derive(Debug, Default)]
struct Orders {
    openings: Vec<Group>,
    moves: Vec<Group>,
}

impl General {
    /// Opens or begins the ledger.
    pub(crate) fn open(storage: Replicated<Folder>, key: NodeKey) -> Result<Self, JournalError> {
        let read = Read {
            posted: cursor(&storage, CURSOR)?,
            charges: cursor(&storage, CHARGES_CURSOR)?,
            ..Read::default()
        };
        let (journal, opened) = Journal::open(storage, key, Settings::default())?;
        if opened.cut_bytes > 0 {
            tracing::warn!(bytes = opened.cut_bytes, "a write to the ledger had not ended and was cut off");
        }
        let head = watch::Sender::new(journal.head());
        let mut general = Self { journal, read, head, asides: HashSet::new() };
        general.catch_up()?;
        Ok(general)
    }

    /// Tells how far it goes, signed: never further than what is surely kept.
    fn heads(&self) -> watch::Receiver<SignedHead> {
        self.head.subscribe()
    }

    /// Goes on after a write that failed, such as on a full disk, with what is surely kept, and takes what others wrote.
    pub(crate) fn catch_up(&mut self) -> Result<(), JournalError> {
        let failed = self.journal.is_poisoned();
        let caught_up = self.journal.catch_up(Settings::default());
        self.publish();
        let cut_bytes = caught_up?.cut_bytes;
        if failed {
            tracing::warn!(cut_bytes, "the ledger goes on after a write that failed");
        }
        Ok(())
    }

    fn publish(&self) {
        // While memory may be ahead of what is kept, the last head stays.
        if !self.journal.is_poisoned() && self.head.borrow().blocks != self.journal.books().next_height() {
            self.head.send_replace(self.journal.head());
        }
    }

    /// Does the work on books that are as far as anybody's; again, on those as they are then, where another was faster.
    fn up_to_date<T>(
        &mut self,
        mut work: impl FnMut(&mut Chain) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        for _ in 0..TRIES {
            self.catch_up()?;
            let done = work(&mut self.journal);
            self.publish();
            if !matches!(done, Err(JournalError::Shared(SharedError::Outrun))) {
                return done;
            }
        }
        Err(SharedError::Outrun.into())
    }

    /// How far the record was read.
    pub(crate) fn read(&self) -> Read {
        self.read
    }

    /// Gives what the ledger refuses and nobody set aside: as long as there is any, it does not read on.
    fn post(&mut self, rows: &[PostedRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let postings: Vec<_> = rows.iter().map(|row| Posting::of_lease(Feed::Leases, row)).collect();
        let refused = self.write(&postings, now_ms)?;
        if refused.is_empty() {
            self.read.posted = last.seq;
            self.keep(CURSOR, last.seq)?;
        }
        Ok(refused)
    }

    fn post_charges(&mut self, rows: &[ChargeRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let refused = self.write(&rows.iter().map(Posting::of_charge).collect::<Vec<_>>(), now_ms)?;
        if refused.is_empty() {
            self.read.charges = last.seq;
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
            self.read.corrected = last.seq;
        }
        Ok(refused)
    }

    /// Last of all: what hosts bear of credits was left to them by everything else.
    fn credit(&mut self, rows: &[CreditRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let refused = self.write(&rows.iter().map(Posting::of_credit).collect::<Vec<_>>(), now_ms)?;
        if refused.is_empty() {
            self.read.credited = last.seq;
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
        let refused = self.carry_out(|books| orders(books, &postings), now_ms)?;
        Ok(refused.into_iter().map(|(at, refusal)| postings[at].refused(&refusal, now_ms)).collect())
    }

    /// Carries out what `orders` makes of the books as they stand; gives what of it was refused, by its place.
    fn carry_out(
        &mut self,
        orders: impl Fn(&Books) -> Orders,
        now_ms: u64,
    ) -> Result<Vec<(usize, Refusal)>, JournalError> {
        self.up_to_date(|journal| {
            let Orders { openings, moves } = orders(journal.books());
            let opened = openings.len();
            let groups: Vec<Group> = openings.into_iter().chain(moves).collect();
            let answers = journal.write(&groups, now_ms)?;
            let mut refused = vec![];
            for (at, answer) in answers.into_iter().enumerate() {
                let Answer::Refused { refusal, .. } = answer else { continue };
                match at.checked_sub(opened) {
                    Some(at) => refused.push((at, refusal)),
                    // Without its account nothing of it can be taken: that is no single row's fault.
                    None => return Err(Error::other(refusal).into()),
                }
            }
            Ok(refused)
        })
    }

    /// Carries a step of a payout out. False: the books refuse it.
    pub(crate) fn pay(&mut self, payout: &Payout, event: Event, now_ms: u64) -> Result<bool, JournalError> {
        self.up_to_date(|journal| step(journal, payout, Some(event), now_ms))
    }

    /// How far a payout came; one that was never set aside is set aside now. `None`: the books refuse that.
    pub(crate) fn bring(&mut self, payout: &Payout, now_ms: u64) -> Result<Option<State>, JournalError> {
        self.up_to_date(|journal| {
            if let Some(state) = payout.state(journal.books(), |key| journal.find(key))? {
                return Ok(Some(state));
            }
            Ok(step(journal, payout, None, now_ms)?.then_some(State::Created))
        })
    }

    /// Those that were ever handed to their rails.
    pub(crate) fn sent(&mut self, payouts: Vec<Payout>) -> Result<Vec<Payout>, JournalError> {
        self.catch_up()?;
        let mut sent = vec![];
        for payout in payouts {
            if payout.was_sent(|key| self.journal.find(key))? {
                sent.push(payout);
            }
        }
        Ok(sent)
    }

    /// Takes back what is set aside for these and was not sent; gives how many that were.
    pub(crate) fn take_back(&mut self, payouts: &[Payout], now_ms: u64) -> Result<usize, JournalError> {
        let mut taken = 0;
        for payout in payouts {
            taken += usize::from(self.up_to_date(|journal| {
                let state = payout.state(journal.books(), |key| journal.find(key))?;
                Ok(state == Some(State::Created) && step(journal, payout, Some(Event::Withdrawn), now_ms)?)
            })?);
        }
        Ok(taken)
    }

    fn keep(&self, cursor: &str, seq: u64) -> Result<(), JournalError> {
        let mut bytes = Some(seq.to_le_bytes().to_vec());
        self.journal.storage().put(cursor, &mut || Ok(bytes.take()))?;
        Ok(())
    }
}

fn cursor(storage: &impl Storage, name: &str) -> Result<u64, JournalError> {
    let mut bytes = [0; 8];
    if storage.names()?.iter().any(|known| known == name) {
        storage.read(name, 0, &mut bytes)?;
    }
    Ok(u64::from_le_bytes(bytes))
}

/// A step of a payout, its creation where there is no event. False: the books refuse it.
fn step(
    journal: &mut Chain,
    payout: &Payout,
    event: Option<Event>,
    now_ms: u64,
) -> Result<bool, JournalError> {
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
fn orders(books: &Books, postings: &[&Posting<'_>]) -> Orders {
    let mut numbers = Numbers::new(books);
    let mut moves = Vec::with_capacity(postings.len());
    for posting in postings {
        let debit = numbers.of(posting.debit, posting.currency);
        let credit = numbers.of(posting.credit, posting.currency);
        moves.push(movement(posting, debit, credit));
    }
    Orders { openings: numbers.openings, moves }
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

/// Why the ledger is not where the record is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger cannot be opened or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Posts what the record has and the ledger has not. Where the ledger fails, that is tried again soon.
pub(crate) async fn post(shared: &Shared) -> Result<(), StoreError> {
    match posted(shared).await {
        Ok(_) => Ok(()),
        Err(PostError::Store(error)) => Err(error),
        Err(PostError::Journal(error)) => {
            tracing::error!(%error, "the ledger is behind the record");
            Ok(())
        }
    }
}

/// The ledger with what the record has, but for what it refuses and is set aside. `None` where none is open.
pub(crate) async fn posted(shared: &Shared) -> Result<Option<&Ledger>, PostError> {
    let Some(ledger) = open(shared).await? else { return Ok(None) };
    // What others wrote counts here as well, and is published, whether or not there is something to post.
    ledger.with(General::catch_up).await?;
    loop {
        let read = ledger.with(|general| Ok(general.read())).await?;
        let rows = shared.store.posted_after(read.posted, AT_ONCE).await?;
        let charges = shared.store.charges_after(read.charges, AT_ONCE).await?;
        if rows.is_empty() && charges.is_empty() {
            break;
        }
        let write = move |general: &mut General, now_ms| {
            let mut refused = general.post(&rows, now_ms)?;
            refused.extend(general.post_charges(&charges, now_ms)?);
            Ok(refused)
        };
        written(shared, ledger, write).await?;
    }
    // What was just earned may be what was missing.
    aside::try_again(shared, ledger).await?;
    stakes::bring(shared, ledger).await?;
    beside_leases(shared, ledger).await?;
    Ok(Some(ledger))
}

/// What was paid back, and what was credited.
async fn beside_leases(shared: &Shared, ledger: &Ledger) -> Result<(), PostError> {
    loop {
        let read = ledger.with(|general| Ok(general.read())).await?;
        let rows = shared.store.corrections_after(read.corrected, AT_ONCE).await?;
        let done = rows.is_empty();
        written(shared, ledger, move |general, now_ms| general.correct(&rows, now_ms)).await?;
        if done {
            break;
        }
    }
    loop {
        let read = ledger.with(|general| Ok(general.read())).await?;
        let rows = shared.store.credits_after(read.credited, AT_ONCE).await?;
        let done = rows.is_empty();
        written(shared, ledger, move |general, now_ms| general.credit(&rows, now_ms)).await?;
        if done {
            return Ok(());
        }
    }
}

/// Writes at the time of now; what is refused is set aside, and the rest goes on.
async fn written(
    shared: &Shared,
    ledger: &Ledger,
    write: impl Fn(&mut General, u64) -> Result<Vec<AsideRow>, JournalError> + Send + Sync + 'static,
) -> Result<(), PostError> {
    let write = Arc::new(write);
    loop {
        let (write, now_ms) = (Arc::clone(&write), shared.now_ms());
        let refused = ledger.with(move |general| write(general, now_ms)).await?;
        if refused.is_empty() {
            return Ok(());
        }
        // What is set aside is not refused a second time.
        aside::keep(shared, ledger, &refused).await?;
    }
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

    fn open_in(folder: &tempfile::TempDir) -> General {
        General::open(Replicated::alone(Folder::open(folder.path()).unwrap()), key()).unwrap()
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
        let mut general = open_in(&folder);
        assert_eq!(general.post(&[row(1, 1, 10), row(2, 2, 20), row(3, 1, 0)], 1).unwrap(), []);
        assert_eq!(general.post(&[row(4, 1, 5)], 2).unwrap(), []);
        assert_eq!(general.read.posted, 4);
        drop(general);

        let mut general = open_in(&folder);
        assert_eq!(general.read.posted, 4);
        let all = [row(1, 1, 10), row(2, 2, 20), row(4, 1, 5), row(5, 3, 7)];
        assert_eq!(general.post(&all, 3).unwrap(), []);
        assert_eq!([1, 2, 3].map(|host| earned(&general, host)), [15, 20, 7]);
        let head = general.heads().borrow().clone();
        let verified = verify(&Folder::inspect(folder.path()).unwrap(), &key().public(), &[head]).unwrap();
        assert_eq!(verified.books.accounts().len(), 4);
    }

    #[test]
    fn a_transfer_that_was_changed_since_does_not_pass_and_holds_up_nothing_once_it_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut general = open_in(&folder);
        assert_eq!(general.post(&[row(1, 1, 10)], 1).unwrap(), []);
        let rows = [row(1, 1, 11), row(2, 1, 5)];
        let refused = general.post(&rows, 2).unwrap();
        let [changed] = &refused[..] else { panic!("one was changed: {refused:?}") };
        assert_eq!((changed.feed, changed.seq, changed.amount_micros), (Feed::Leases, 1, 11));
        assert!(changed.reason.contains("another order"), "{changed:?}");
        let so_far = (general.read.posted, earned(&general, 1));
        assert_eq!(so_far, (1, 15), "it does not read on before it is kept");
        general.asides.insert(Key::of(&changed.key));
        assert_eq!(general.post(&rows, 3).unwrap(), []);
        assert_eq!((general.read.posted, earned(&general, 1)), (2, 15));
    }
}
