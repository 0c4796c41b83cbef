//! Orders for the tests: a bank, and studios that it pays into.

use nearframe_journal::{Journal, Settings, Storage};
use nearframe_ledger::books::{AccountNo, Action, Group, Key, Limit, Memo, Order};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::{Currency, NodeKey, TitleId};

pub(crate) const STUDIOS: u32 = 4;
/// So small that runs are written and merged all the time.
pub(crate) const SMALL: Settings = Settings { keys_in_memory: 8 };

pub(crate) fn signer() -> NodeKey {
    NodeKey::from_seed([3; 32])
}

fn order(key: &str, action: Action) -> Group {
    vec![Order { key: Key::of(key), action, memo: Memo::default() }]
}

/// The bank has number 0, the studios those after it.
pub(crate) fn opening() -> Vec<Group> {
    let currency = Currency::new("EUR").unwrap();
    let open = |account: Account, limit| {
        let key = format!("open {account}");
        order(&key, Action::Open { account, currency: currency.clone(), limit })
    };
    let bank = open(Account::Rail(Label::new("bank").unwrap()), Limit::None);
    let studios = (1..=STUDIOS)
        .map(|n| open(Account::Studio(TitleId::new(&format!("studio-{n}")).unwrap()), Limit::Debits));
    std::iter::once(bank).chain(studios).collect()
}

/// The payment with this number: of so many micro-units, to one of the studios.
pub(crate) fn payment(n: u32) -> Group {
    let (debit, credit) = (AccountNo(0), AccountNo(1 + n % STUDIOS));
    order(&format!("pay {n}"), Action::Move { debit, credit, amount_micros: i128::from(n) + 1 })
}

/// What all studios have.
pub(crate) fn paid<S: Storage>(journal: &Journal<S>) -> i128 {
    journal.books().accounts().iter().skip(1).map(|account| account.balance.credits_micros).sum()
}

/// What they should have after so many payments.
pub(crate) fn due(payments: u32) -> i128 {
    (1..=i128::from(payments)).sum()
}
