//! Blocks and checkpoints whose hashes and signatures are right and whose content is not: what somebody could write who
//! has the disk, or the key.

use super::books::{CAP, House, NOW_MS, RAIL, order, pay};
use nearframe_ledger::books::{
    Action, Amount, Block, BlockError, Books, Checkpoint, CheckpointError, HEADER_LEN, Header, Key,
    MAX_RECORDS, RECORD_LEN, RecordError, Refusal, ReplayError,
};
use nearframe_protocol::NodeKey;
use sha2::{Digest, Sha256};

/// A house with 100 on an account, of which 40 are set aside in the last block but one and 30 of these posted in the last.
fn house() -> House {
    let mut house = House::new();
    house.write(pay("in", RAIL, CAP, 100));
    let pend = Action::Pend { debit: CAP, credit: RAIL, amount_micros: 40, timeout_s: 10 };
    house.write(vec![order("p", pend)]);
    let void = Action::Void { pending: Key::of("p"), amount: Amount::Micros(10) };
    let post = Action::Post { pending: Key::of("p"), credit: RAIL, amount: Amount::Rest, close: true };
    house.write(vec![order("v", void), order("post", post)]);
    house
}

/// The last block with other bytes, and with hashes that fit them.
fn forged(house: &House, change: impl FnOnce(&mut Header, &mut [u8])) -> Result<Block, BlockError> {
    let bytes = house.blocks.last().unwrap().bytes();
    let (head, records) = bytes.split_first_chunk::<HEADER_LEN>().unwrap();
    let (mut header, mut records) = (Header::decode(head).unwrap(), records.to_vec());
    change(&mut header, &mut records);
    header.records_hash = Sha256::digest(&records).into();
    Block::parse([&header.encode()[..], &records].concat())
}

fn replays(house: &House, block: &Block) -> Result<(), ReplayError> {
    let mut books = Books::new();
    for before in &house.blocks[..house.blocks.len() - 1] {
        books.replay(before, |_, _| {}).unwrap();
    }
    books.replay(block, |_, _| {})
}

fn found(change: impl FnOnce(&mut Header, &mut [u8])) -> ReplayError {
    let house = house();
    let block = forged(&house, change);
    block.map_err(ReplayError::Block).and_then(|block| replays(&house, &block)).unwrap_err()
}

#[test]
fn what_is_not_forged_is_taken() {
    let house = house();
    let block = forged(&house, |_, _| {}).unwrap();
    assert_eq!(replays(&house, &block), Ok(()));
    assert_eq!(block.header().body_len(), 2 * RECORD_LEN);
    assert_eq!(block.bytes().len(), HEADER_LEN + 2 * RECORD_LEN);
}

#[test]
fn a_block_that_counts_wrongly_or_goes_back_in_time_is_found() {
    let height = 5;
    assert_eq!(found(|header, _| header.records_before += 1), ReplayError::Count { height });
    assert_eq!(found(|header, _| header.records_before -= 1), ReplayError::Count { height });
    assert_eq!(found(|header, _| header.at_ms -= 1), ReplayError::Count { height });
    let (expected, found_height) = (height, height + 1);
    assert_eq!(found(|header, _| header.height += 1), ReplayError::Height { expected, found: found_height });
    let chain = found(|header, _| header.previous = house().blocks[0].header().hash());
    assert_eq!(chain, ReplayError::Chain { height });
    let late = found(|header, _| header.at_ms = NOW_MS + 10_000);
    let refusal = Refusal::NotPending;
    assert_eq!(late, ReplayError::Refused { height, record: 0, refusal }, "it had expired by then");
}

#[test]
fn a_record_that_says_another_amount_or_account_than_its_order_does_is_found() {
    let height = 5;
    // The post of the rest, which is 30: its amount lies at 48 of the second record, its accounts at 4 and 8.
    for (at, value) in [(48, 29), (48, 31), (4, 0)] {
        let other = found(|_, records| records[RECORD_LEN + at] = value);
        assert_eq!(other, ReplayError::Differs { height, record: 1 }, "{at}");
    }
    let refusal = Refusal::MoreThanPending { rest_micros: 40 };
    let more = found(|_, records| records[48] = 41);
    assert_eq!(more, ReplayError::Refused { height, record: 0, refusal });
    let negative = found(|_, records| records[48..64].copy_from_slice(&(-1_i128).to_le_bytes()));
    let error = RecordError::Amount;
    assert_eq!(negative, ReplayError::Block(BlockError::Record { height, error }));
}

#[test]
fn bytes_that_no_record_has_are_found() {
    // Kinds that there are not, flags that mean nothing, and bytes that are always zero.
    for (at, value) in [(0, 0), (0, 7), (1, 4), (112, 1), (127, 1), (12, 1)] {
        let wrong = found(|_, records| records[at] = value);
        assert!(
            matches!(wrong, ReplayError::Block(BlockError::Record { height: 5, .. })),
            "{at} {value}: {wrong:?}"
        );
    }
}

#[test]
fn a_header_has_its_mark_its_zeros_and_a_number_of_records_that_can_be() {
    let house = house();
    let header = *house.blocks.last().unwrap().header();
    let read = |header: &Header| Header::decode(&header.encode());
    assert_eq!(read(&header).as_ref(), Ok(&header));
    assert!(read(&Header { records: 0, ..header }).is_err());
    assert!(read(&Header { records: MAX_RECORDS as u32, ..header }).is_ok());
    assert!(read(&Header { records: MAX_RECORDS as u32 + 1, ..header }).is_err());
    for at in [0, 36, 39] {
        let mut bytes = header.encode();
        bytes[at] ^= 1;
        assert!(Header::decode(&bytes).is_err(), "{at}");
    }
    let short = Block::parse(vec![0; HEADER_LEN - 1]);
    assert!(matches!(short, Err(BlockError::Header(_))), "{short:?}");
}

fn signer() -> NodeKey {
    NodeKey::from_seed([9; 32])
}

/// A checkpoint with other bytes, signed by the ledger's own key.
fn signed(body: &[u8]) -> Vec<u8> {
    let words = [&b"nearframe/checkpoint/v1\0"[..], &Sha256::digest(body)].concat();
    [body, signer().sign(&words).as_bytes()].concat()
}

/// Where the sums of an account lie, after the head of the bytes.
fn sums_of(account: usize) -> usize {
    72 + account * (RECORD_LEN + 64) + RECORD_LEN
}

#[test]
fn a_checkpoint_whose_balances_cannot_be_is_refused_though_it_is_signed() {
    let mut house = House::new();
    house.write(pay("in", RAIL, CAP, 100));
    let pend = Action::Pend { debit: CAP, credit: RAIL, amount_micros: 40, timeout_s: 0 };
    house.write(vec![order("p", pend)]);
    let body = house.books.canonical(b"appendix");
    let read = |body: &[u8]| Checkpoint::read(&signed(body), &signer().public());
    let whole = read(&body).unwrap();
    assert_eq!(
        (whole.books.canonical(b""), &whole.appendix[..]),
        (house.books.canonical(b""), &b"appendix"[..])
    );
    let with = |at: usize, value: &[u8]| {
        let mut body = body.clone();
        body[at..at + value.len()].copy_from_slice(value);
        read(&body).unwrap_err()
    };
    let (cap, one) = (sums_of(1), i128::to_le_bytes);
    assert_eq!(with(cap, &one(101)), CheckpointError::Balances, "more was spent than came in");
    assert_eq!(with(cap, &one(-1)), CheckpointError::Balances);
    assert_eq!(with(cap + 32, &one(101)), CheckpointError::Balances, "more is set aside than is there");
    assert_eq!(with(cap + 16, &one((i128::MAX >> 40) + 1)), CheckpointError::Balances);
    let pending = sums_of(2) + 64;
    assert_eq!(&body[pending..pending + 16], Key::of("p").as_bytes());
    assert_eq!(
        with(pending + 16, &RAIL.0.to_le_bytes()),
        CheckpointError::Balances,
        "of one account to itself"
    );
    assert_eq!(with(pending + 24, &one(0)), CheckpointError::Balances);
    assert_eq!(with(pending + 16, &99_u32.to_le_bytes()), CheckpointError::Balances);
    assert!(matches!(with(0, b"X"), CheckpointError::Wire(_)));
    assert!(matches!(with(72, &[2]), CheckpointError::Wire(_)), "no account is opened by a movement");
    for length in [0, 63, 64, 70, body.len() - 1] {
        let cut = read(&body[..length]);
        assert!(matches!(cut, Err(CheckpointError::Wire(_))), "{length}");
    }
    assert!(read(&[&body[..], &[0]].concat()).is_err(), "something follows it");
    assert!(matches!(Checkpoint::read(&[0; 63], &signer().public()), Err(CheckpointError::Wire(_))));
    assert_eq!(Checkpoint::read(&[0; 64], &signer().public()).unwrap_err(), CheckpointError::Signature);
    let empty = Checkpoint::read(&Books::new().checkpoint(&signer(), b""), &signer().public()).unwrap();
    assert_eq!(empty.books.canonical(b""), Books::new().canonical(b""));
}
