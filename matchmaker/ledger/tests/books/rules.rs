//! One rule at a time.

use nearframe_ledger::books::{
    AccountNo, Action, Amount, Answer, Block, BlockError, Books, Checkpoint, CheckpointError, Group,
    HEADER_LEN, Key, Limit, Memo, MemoryKeys, Order, RECORD_LEN, Refusal, ReplayError, SignedHead,
    WriteError,
};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::{Currency, NodeId, NodeKey, TitleId};

const RAIL: AccountNo = AccountNo(0);
const STUDIO: AccountNo = AccountNo(1);
const HOST: AccountNo = AccountNo(2);
const PLATFORM: AccountNo = AccountNo(3);
const DOLLARS: AccountNo = AccountNo(4);
const NOW_MS: u64 = 1_700_000_000_000;

struct House {
    books: Books,
    keys: MemoryKeys,
    blocks: Vec<Block>,
}

fn key(name: &str) -> Key {
    Key::of(name)
}

fn order(name: &str, action: Action) -> Order {
    Order { key: key(name), action, memo: Memo { code: 1, subject: [2; 16], evidence: [3; 32] } }
}

fn pay(name: &str, debit: AccountNo, credit: AccountNo, amount_micros: i128) -> Group {
    vec![order(name, Action::Move { debit, credit, amount_micros })]
}

fn pend(name: &str, amount_micros: i128, timeout_s: u32) -> Group {
    vec![order(name, Action::Pend { debit: STUDIO, credit: HOST, amount_micros, timeout_s })]
}

fn post(name: &str, pending: &str, credit: AccountNo, amount: Amount, close: bool) -> Group {
    vec![order(name, Action::Post { pending: key(pending), credit, amount, close })]
}

fn void(name: &str, pending: &str, amount: Amount) -> Group {
    vec![order(name, Action::Void { pending: key(pending), amount })]
}

impl House {
    /// A studio with one euro.
    fn new() -> Self {
        let mut house = Self { books: Books::new(), keys: MemoryKeys::default(), blocks: vec![] };
        let label = |text| Label::new(text).unwrap();
        let accounts = [
            (Account::Rail(label("bank")), "EUR", Limit::None),
            (Account::Studio(TitleId::new("meteor").unwrap()), "EUR", Limit::Debits),
            (Account::Host(NodeId::from_bytes([7; 16])), "EUR", Limit::Debits),
            (Account::Platform, "EUR", Limit::None),
            (Account::Platform, "USD", Limit::None),
        ];
        for (account, currency, limit) in accounts {
            let name = format!("open {account} {currency}");
            let currency = Currency::new(currency).unwrap();
            let open = vec![order(&name, Action::Open { account, currency, limit })];
            assert_eq!(house.write(open), Answer::Done);
        }
        assert_eq!(house.write(pay("deposit", RAIL, STUDIO, 1_000_000)), Answer::Done);
        house
    }
    fn write_at(&mut self, group: Group, now_ms: u64) -> Answer {
        let written = self.books.write(&[group], &mut self.keys, now_ms).unwrap();
        self.blocks.extend(written.block);
        written.answers[0]
    }
    fn write(&mut self, group: Group) -> Answer {
        self.write_at(group, NOW_MS)
    }
    fn replayed(&self) -> Books {
        let mut books = Books::new();
        self.blocks.iter().for_each(|block| books.replay(block, |_, _| {}).unwrap());
        books
    }
    /// Posted credits less debits, and what is set aside.
    fn free(&self, number: AccountNo) -> (i128, i128) {
        let balance = self.books.account(number).unwrap().balance;
        (balance.credits_micros - balance.debits_micros, balance.debits_pending_micros)
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused { order: 0, refusal }
}

#[test]
fn the_same_order_under_the_same_key_happens_once_and_another_under_it_not_at_all() {
    let mut house = House::new();
    assert_eq!(house.write(pay("k", STUDIO, HOST, 10)), Answer::Done);
    assert_eq!(house.write(pay("k", STUDIO, HOST, 10)), Answer::Again);
    assert_eq!(house.write(pay("k", STUDIO, HOST, 11)), refused(Refusal::KeyReused));
    assert_eq!(house.free(HOST), (10, 0));
    let twice = [pay("l", STUDIO, HOST, 5), pay("l", STUDIO, HOST, 5)];
    let written = house.books.write(&twice, &mut house.keys, NOW_MS).unwrap();
    assert_eq!(written.answers, [Answer::Done, Answer::Again], "also within one write");
}

#[test]
fn a_refused_order_leaves_its_key_free() {
    let mut house = House::new();
    let much = pay("k", STUDIO, HOST, 1_000_001);
    assert_eq!(house.write(much.clone()), refused(Refusal::Limit(STUDIO)));
    assert_eq!(house.write(pay("more", RAIL, STUDIO, 1)), Answer::Done);
    assert_eq!(house.write(much), Answer::Done);
}

#[test]
fn what_is_pending_is_posted_in_parts_and_the_rest_released() {
    let mut house = House::new();
    assert_eq!(house.write(pend("p", 600_000, 0)), Answer::Done);
    assert_eq!(
        house.write(pend("q", 500_000, 0)),
        refused(Refusal::Limit(STUDIO)),
        "it is set aside already"
    );
    assert_eq!(house.write(post("p1", "p", HOST, Amount::Micros(200_000), false)), Answer::Done);
    assert_eq!(house.write(post("p2", "p", PLATFORM, Amount::Micros(50_000), false)), Answer::Done);
    assert_eq!(house.free(STUDIO), (750_000, 350_000));
    let rest_micros = 350_000;
    let more = post("p3", "p", HOST, Amount::Micros(350_001), false);
    assert_eq!(house.write(more), refused(Refusal::MoreThanPending { rest_micros }));
    assert_eq!(house.write(void("v", "p", Amount::Micros(50_000))), Answer::Done);
    assert_eq!(house.write(post("p4", "p", HOST, Amount::Micros(1), true)), Answer::Done);
    assert_eq!(house.free(STUDIO), (749_999, 0));
    assert_eq!(house.free(HOST), (200_001, 0));
    assert_eq!(house.free(PLATFORM), (50_000, 0));
    for group in [post("p5", "p", HOST, Amount::Rest, false), void("w", "p", Amount::Rest)] {
        assert_eq!(house.write(group), refused(Refusal::NotPending));
    }
}

#[test]
fn what_is_pending_expires_by_an_entry_of_its_own() {
    let mut house = House::new();
    assert_eq!(house.write(pend("p", 600_000, 10)), Answer::Done);
    let late = post("p1", "p", HOST, Amount::Rest, false);
    assert_eq!(house.write_at(late, NOW_MS + 10_000), refused(Refusal::NotPending));
    assert_eq!(house.free(STUDIO), (1_000_000, 0));
    assert_eq!(house.replayed().canonical(b""), house.books.canonical(b""));
    let earlier = house.write_at(pend("q", 1, 0), NOW_MS - 5);
    assert_eq!((earlier, house.books.at_ms()), (Answer::Done, NOW_MS + 10_000), "time never runs backwards");
}

#[test]
fn a_group_happens_whole_or_not_at_all() {
    let mut house = House::new();
    let before = house.books.canonical(b"");
    let group = vec![
        order(
            "open",
            Action::Open {
                account: Account::Grants,
                currency: Currency::new("GBP").unwrap(),
                limit: Limit::None,
            },
        ),
        order("a", Action::Move { debit: STUDIO, credit: HOST, amount_micros: 10 }),
        order("b", Action::Pend { debit: STUDIO, credit: HOST, amount_micros: 10, timeout_s: 5 }),
        order("c", Action::Post { pending: key("b"), credit: HOST, amount: Amount::Micros(4), close: false }),
        order("d", Action::Move { debit: HOST, credit: STUDIO, amount_micros: 15 }),
    ];
    let refusal = Refusal::Limit(HOST);
    assert_eq!(house.write(group.clone()), Answer::Refused { order: 4, refusal });
    assert_eq!(house.books.canonical(b""), before);
    assert_eq!(house.write(group[..4].to_vec()), Answer::Done);
    assert_eq!(house.write(group[..4].to_vec()), Answer::Again);
    assert_eq!(house.write(group[..1].to_vec()), Answer::Again, "asking about one of them");
    assert_eq!(house.write(group), refused(Refusal::KeyReused), "a key belongs to the orders it came with");
    let same_key = vec![pay("x", STUDIO, HOST, 1).remove(0), pay("x", STUDIO, HOST, 1).remove(0)];
    assert_eq!(house.write(same_key), refused(Refusal::KeyReused));
}

#[test]
fn senseless_orders_are_refused_with_the_reason() {
    let mut house = House::new();
    let cases = [
        (pay("a", STUDIO, STUDIO, 1), Refusal::SameAccount),
        (pay("b", STUDIO, HOST, 0), Refusal::NotPositive),
        (pay("c", STUDIO, HOST, -1), Refusal::NotPositive),
        (pay("d", STUDIO, DOLLARS, 1), Refusal::Currency),
        (pay("e", STUDIO, AccountNo(99), 1), Refusal::NoAccount(AccountNo(99))),
        (pay("f", RAIL, STUDIO, i128::MAX), Refusal::Overflow),
        (pend("g", i128::MAX, 0), Refusal::Overflow),
        (void("h", "never", Amount::Rest), Refusal::NotPending),
    ];
    for (group, refusal) in cases {
        assert_eq!(house.write(group), refused(refusal));
    }
    let open = Action::Open {
        account: Account::Platform,
        currency: Currency::new("EUR").unwrap(),
        limit: Limit::None,
    };
    assert_eq!(house.write(vec![order("again", open)]), refused(Refusal::AccountExists(PLATFORM)));
    let many: Vec<Group> = (0..8193).map(|n| pay(&format!("{n}"), RAIL, STUDIO, 1)).collect();
    assert_eq!(house.books.write(&many, &mut house.keys, NOW_MS), Err(WriteError::TooMany));
}

#[test]
fn a_cap_holds_against_a_thousand_requests() {
    let mut house = House::new();
    let label = |text| Label::new(text).unwrap();
    let eur = || Currency::new("EUR").unwrap();
    let (grants, cap) = (AccountNo(5), AccountNo(6));
    let opens = vec![
        order("g", Action::Open { account: Account::Grants, currency: eur(), limit: Limit::None }),
        order(
            "c",
            Action::Open { account: Account::Cap(label("key-1")), currency: eur(), limit: Limit::Debits },
        ),
        order("grant", Action::Move { debit: grants, credit: cap, amount_micros: 100_000 }),
    ];
    assert_eq!(house.write(opens), Answer::Done);
    let reserve = |n: usize| {
        vec![
            order(
                &format!("s{n}"),
                Action::Pend { debit: STUDIO, credit: HOST, amount_micros: 700, timeout_s: 0 },
            ),
            order(
                &format!("c{n}"),
                Action::Pend { debit: cap, credit: grants, amount_micros: 700, timeout_s: 0 },
            ),
        ]
    };
    let groups: Vec<Group> = (0..1000).map(reserve).collect();
    let written = house.books.write(&groups, &mut house.keys, NOW_MS).unwrap();
    let done = written.answers.iter().filter(|answer| **answer == Answer::Done).count();
    assert_eq!(done, 142, "142 × 700 is the most that fits into 100,000");
    assert_eq!(house.free(STUDIO).1, 142 * 700, "what the cap refused is not set aside either");
}

#[test]
fn kept_blocks_lead_to_the_same_books_and_any_changed_bit_is_found() {
    let mut house = House::new();
    house.write(pend("p", 600_000, 10));
    house.write(post("p1", "p", HOST, Amount::Micros(5), false));
    assert_eq!(house.replayed().canonical(b""), house.books.canonical(b""));
    let last = house.blocks.last().unwrap().clone();
    let before = || {
        let mut books = Books::new();
        house.blocks[..house.blocks.len() - 1]
            .iter()
            .for_each(|block| books.replay(block, |_, _| {}).unwrap());
        books
    };
    for bit in 0..last.bytes().len() * 8 {
        let mut bytes = last.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = Block::parse(bytes).map_err(ReplayError::Block).and_then(|block| {
            let mut books = before();
            books.replay(&block, |_, _| {})?;
            Ok(books.head())
        });
        // The time of the last block is its own word: only its hash, and so the published head, tells.
        assert_ne!(found, Ok(house.books.head()), "bit {bit}");
    }
}

#[test]
fn missing_reordered_and_foreign_blocks_are_found() {
    let mut house = House::new();
    house.write(pend("p", 600_000, 10));
    let blocks = &house.blocks;
    let replay = |order: &[usize]| {
        let mut books = Books::new();
        order.iter().try_for_each(|at| books.replay(&blocks[*at], |_, _| {}))
    };
    assert_eq!(replay(&[0, 2]), Err(ReplayError::Height { expected: 1, found: 2 }));
    assert_eq!(replay(&[0, 1, 1]), Err(ReplayError::Height { expected: 2, found: 1 }));
    let mut other = House { books: Books::new(), keys: MemoryKeys::default(), blocks: vec![] };
    let eur = Currency::new("EUR").unwrap();
    let open =
        |account| vec![order("open", Action::Open { account, currency: eur.clone(), limit: Limit::None })];
    other.write(open(Account::Platform));
    assert_eq!(other.books.replay(&blocks[1], |_, _| {}), Err(ReplayError::Chain { height: 1 }));
    let truncated = blocks[3].bytes()[..HEADER_LEN + RECORD_LEN - 1].to_vec();
    assert_eq!(Block::parse(truncated), Err(BlockError::Records { height: 3 }));
}

#[test]
fn a_checkpoint_restores_the_books_and_a_changed_one_is_refused() {
    let mut house = House::new();
    house.write(pend("p", 600_000, 10));
    let signer = NodeKey::from_seed([9; 32]);
    let bytes = house.books.checkpoint(&signer, b"appendix");
    let read = Checkpoint::read(&bytes, &signer.public()).unwrap();
    assert_eq!(
        (read.books.canonical(b""), &read.appendix[..]),
        (house.books.canonical(b""), &b"appendix"[..])
    );
    let mut books = read.books;
    let before = house.blocks.len();
    house.write_at(pend("q", 1, 0), NOW_MS + 20_000);
    house.blocks[before..].iter().for_each(|block| books.replay(block, |_, _| {}).unwrap());
    assert_eq!(
        books.canonical(b""),
        house.books.canonical(b""),
        "the pending amount expires after it as well"
    );
    for at in [0, 9, 100, 300, bytes.len() - 70, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(Checkpoint::read(&changed, &signer.public()).unwrap_err(), CheckpointError::Signature);
    }
    let stranger = NodeKey::from_seed([8; 32]).public();
    assert_eq!(Checkpoint::read(&bytes, &stranger).unwrap_err(), CheckpointError::Signature);
}

#[test]
fn a_published_head_cannot_be_denied_or_moved() {
    let house = House::new();
    let signer = NodeKey::from_seed([9; 32]);
    let head = SignedHead::sign(&house.books, &signer);
    assert!(head.verify(&signer.public()).is_ok());
    assert!(SignedHead { blocks: head.blocks - 1, ..head.clone() }.verify(&signer.public()).is_err());
    assert!(SignedHead { at_ms: 0, ..head }.verify(&signer.public()).is_err());
}
