//! A studio's life at random: grants, payments, sessions that reserve and post, payouts, repeated and forged orders,
//! and a process that dies in the middle of its writes.

use crate::dice::Dice;
use crate::model::Model;
use nearframe_ledger::books::{
    AccountNo, Action, Amount, Answer, Block, Books, Checkpoint, Fingerprint, Group, Key, KeyMap, Keys,
    Limit, Memo, Order, Record, Refusal,
};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::{Currency, NodeId, NodeKey, TitleId};

const CURRENCIES: [&str; 2] = ["EUR", "USDC"];
const STUDIOS: usize = 6;
const HOSTS: usize = 12;
/// Accounts of one currency: rail, grants, platform, tax, and for each studio its own and its cap.
const PER_CURRENCY: usize = 4 + 2 * STUDIOS + HOSTS;
const REMEMBERED: usize = 64;

/// When the process dies, seen from the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crashes {
    /// In about one of so many writes.
    OneIn(usize),
    /// Twice in each write: once before its block is on the disk and once after, before anybody was answered.
    EveryWrite,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) postings: u64,
    pub(crate) refused: u64,
    pub(crate) again: u64,
    pub(crate) crashes: u64,
    pub(crate) drift_units: i128,
}

/// What outlives the process.
#[derive(Default)]
struct Disk {
    blocks: Vec<Vec<u8>>,
    checkpoint: Option<(Vec<u8>, usize)>,
}

struct World {
    dice: Dice,
    books: Books,
    keys: SimulatedKeys,
    model: Model,
    disk: Disk,
    now_ms: u64,
    open: Vec<Key>,
    done: Vec<Group>,
    serial: u64,
    outcome: Outcome,
}

/// Runs until so many postings are in the books.
pub(crate) fn run(seed: u64, postings: u64, groups_each: usize, crashes: Crashes) -> Outcome {
    let mut world = World::new(seed);
    while world.books.records() < postings {
        world.step(groups_each, crashes);
    }
    world.books.assert_balanced();
    world.assert_keys();
    world.outcome.postings = world.books.records();
    world.outcome.drift_units = world.model.drift_units(&world.books);
    world.outcome
}

fn signer() -> NodeKey {
    NodeKey::from_seed([5; 32])
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice::new(seed),
            books: Books::new(),
            keys: SimulatedKeys::default(),
            model: Model::default(),
            disk: Disk::default(),
            now_ms: 1_000_000,
            open: vec![],
            done: vec![],
            serial: 0,
            outcome: Outcome::default(),
        };
        let groups: Vec<Group> = (0..CURRENCIES.len()).flat_map(|at| world.openings(at)).collect();
        let written = world.books.write(&groups, &mut world.keys, world.now_ms).unwrap();
        assert!(written.answers.iter().all(|answer| *answer == Answer::Done));
        world.disk.blocks.push(written.block.unwrap().bytes().to_vec());
        world
    }

    fn openings(&mut self, at: usize) -> Vec<Group> {
        let currency = Currency::new(CURRENCIES[at]).unwrap();
        let label = |text: &str| Label::new(text).unwrap();
        let mut accounts = vec![
            (Account::Rail(label("bank")), Limit::None),
            (Account::Grants, Limit::None),
            (Account::Platform, Limit::None),
            (Account::Tax(label("de")), Limit::None),
        ];
        for studio in 0..STUDIOS {
            let name = format!("studio-{studio}");
            accounts.push((Account::Studio(TitleId::new(&name).unwrap()), Limit::Debits));
            accounts.push((Account::Cap(label(&name)), Limit::Debits));
        }
        let hosts =
            (0..HOSTS).map(|host| (Account::Host(NodeId::from_random([host as u8; 16])), Limit::Debits));
        accounts.extend(hosts);
        assert_eq!(accounts.len(), PER_CURRENCY);
        let opening = |(account, limit)| {
            self.model.open(limit, at);
            vec![self.order(Action::Open { account, currency: currency.clone(), limit })]
        };
        accounts.into_iter().map(opening).collect()
    }

    fn order(&mut self, action: Action) -> Order {
        self.serial += 1;
        let memo = Memo { code: 7, subject: [1; 16], evidence: [self.serial as u8; 32] };
        Order { key: Key::of(&format!("order {}", self.serial)), action, memo }
    }

    fn step(&mut self, groups_each: usize, crashes: Crashes) {
        self.now_ms += self.dice.below(4_000) as u64;
        self.model.pass_to(self.now_ms);
        let mut groups = Vec::with_capacity(groups_each);
        let mut expected = Vec::with_capacity(groups_each);
        for _ in 0..groups_each {
            let (group, answer) = self.draw();
            groups.push(group);
            expected.push(answer);
        }
        let answers = self.write(&groups, &mut expected, crashes);
        for (group, (answer, expected)) in groups.iter().zip(answers.iter().zip(&expected)) {
            // After a crash the client asks again and learns that it was done before.
            let same = answer == expected || (*answer == Answer::Again && *expected == Answer::Done);
            assert!(same, "{group:?}: {answer:?} instead of {expected:?}");
            match answer {
                Answer::Refused { .. } => self.outcome.refused += 1,
                Answer::Again => self.outcome.again += 1,
                Answer::Done => {}
            }
        }
        self.model.assert_limits();
        if self.dice.one_in(8) {
            let at = self.disk.blocks.len();
            self.disk.checkpoint = Some((self.books.checkpoint(&signer(), b"simulated"), at));
        }
    }

    fn draw(&mut self) -> (Group, Answer) {
        if !self.done.is_empty() && self.dice.one_in(12) {
            let at = self.dice.below(self.done.len());
            let group = self.done[at].clone();
            return if self.dice.one_in(3) { (forged(group), reused()) } else { (group, Answer::Again) };
        }
        let group = self.fresh();
        let answer = self.model.answer(&group);
        if answer == Answer::Done {
            let pends = group.iter().filter(|order| matches!(order.action, Action::Pend { .. }));
            self.open.extend(pends.map(|order| order.key));
            let slot = self.dice.below(REMEMBERED);
            if self.done.len() < REMEMBERED {
                self.done.push(group.clone());
            } else {
                self.done[slot] = group.clone();
            }
        }
        (group, answer)
    }

    fn fresh(&mut self) -> Group {
        let base = self.dice.below(CURRENCIES.len()) * PER_CURRENCY;
        let no = |offset: usize| AccountNo((base + offset) as u32);
        let (rail, grants, platform, tax) = (no(0), no(1), no(2), no(3));
        let studio_at = self.dice.below(STUDIOS);
        let (studio, cap) = (no(4 + 2 * studio_at), no(5 + 2 * studio_at));
        let host = no(4 + 2 * STUDIOS + self.dice.below(HOSTS));
        let amount_micros = self.dice.below(900_000) as i128 - 3;
        let pending = self.some_open();
        let part = if self.dice.one_in(4) { Amount::Rest } else { Amount::Micros(amount_micros / 3) };
        let timeout_s = if self.dice.one_in(2) { 0 } else { self.dice.below(20) as u32 };
        let pay = |debit, credit, amount_micros| Action::Move { debit, credit, amount_micros };
        let pend = |debit, credit| Action::Pend { debit, credit, amount_micros, timeout_s };
        let close = self.dice.one_in(5);
        let actions = match self.dice.below(16) {
            0 => vec![pay(rail, studio, amount_micros * 3)],
            1 => vec![pay(grants, cap, amount_micros * 3)],
            2 => vec![pay(host, rail, amount_micros)],
            3 => vec![pay(platform, tax, amount_micros / 5)],
            4 => vec![pay(studio, AccountNo(self.dice.below(2 * PER_CURRENCY + 3) as u32), amount_micros)],
            5..=8 => vec![pend(studio, host), pend(cap, grants)],
            9..=11 => vec![Action::Post { pending, credit: host, amount: part, close }],
            12 => vec![
                Action::Post { pending, credit: host, amount: part, close: false },
                Action::Post { pending, credit: platform, amount: Amount::Micros(amount_micros / 9), close },
            ],
            _ => vec![Action::Void { pending, amount: part }],
        };
        actions.into_iter().map(|action| self.order(action)).collect()
    }

    fn some_open(&mut self) -> Key {
        while self.open.len() > 256 {
            let at = self.dice.below(self.open.len());
            self.open.swap_remove(at);
        }
        match self.open.len() {
            0 => Key::of("never"),
            length => self.open[self.dice.below(length)],
        }
    }

    /// What the client hears in the end: it repeats what was not answered.
    fn write(&mut self, groups: &[Group], expected: &mut [Answer], crashes: Crashes) -> Vec<Answer> {
        let dies = match crashes {
            Crashes::OneIn(bound) => [self.dice.one_in(2 * bound), self.dice.one_in(2 * bound)],
            Crashes::EveryWrite => [true, true],
        };
        for (dies, kept) in dies.into_iter().zip([false, true]) {
            if dies {
                self.write_once(groups, kept);
                self.restart();
            }
            // What was refused is judged again, now that the rest of the write is done.
            if dies && kept {
                let refused = groups.iter().zip(expected.iter_mut());
                for (group, answer) in refused.filter(|(_, answer)| matches!(answer, Answer::Refused { .. }))
                {
                    if *answer != reused() {
                        *answer = self.model.answer(group);
                    }
                }
            }
        }
        self.write_once(groups, true)
    }

    fn write_once(&mut self, groups: &[Group], kept: bool) -> Vec<Answer> {
        self.keys.last.clear();
        let written = self.books.write(groups, &mut self.keys, self.now_ms).unwrap();
        if let Some(block) = written.block.filter(|_| kept) {
            self.disk.blocks.push(block.bytes().to_vec());
        }
        written.answers
    }

    /// A new process: from the last checkpoint on, or from the beginning.
    fn restart(&mut self) {
        self.outcome.crashes += 1;
        let (mut books, from) = match &self.disk.checkpoint {
            Some((bytes, from)) => (Checkpoint::read(bytes, &signer().public()).unwrap().books, *from),
            None => (Books::new(), 0),
        };
        for bytes in &self.disk.blocks[from..] {
            books.replay(&Block::parse(bytes.clone()).unwrap(), |_, _| {}).unwrap();
        }
        if books.next_height() != self.books.next_height() {
            self.keys.lose_last();
        }
        self.books = books;
    }

    /// The keys of all blocks on the disk are the keys that are known.
    fn assert_keys(&self) {
        let blocks = self.disk.blocks.iter().map(|bytes| Block::parse(bytes.clone()).unwrap());
        let mut on_disk = KeyMap::default();
        for block in blocks {
            for record in block.records() {
                if let Record::Opened { order, .. } | Record::Moved { order, .. } = record.unwrap() {
                    let before = on_disk.insert(order.key, order.fingerprint());
                    assert_eq!(before, None, "{} was carried out twice", order.key);
                }
            }
        }
        assert_eq!(on_disk, self.keys.all);
    }
}

/// Keys in memory, of which those of the last write can be lost with its block.
#[derive(Default)]
struct SimulatedKeys {
    all: KeyMap<Fingerprint>,
    last: Vec<Key>,
}

impl SimulatedKeys {
    fn lose_last(&mut self) {
        for key in self.last.drain(..) {
            self.all.remove(&key);
        }
    }
}

impl Keys for SimulatedKeys {
    type Error = std::convert::Infallible;
    fn find(&mut self, key: &Key) -> Result<Option<Fingerprint>, Self::Error> {
        Ok(self.all.get(key).copied())
    }
    fn remember(&mut self, key: Key, fingerprint: Fingerprint) {
        self.all.insert(key, fingerprint);
        self.last.push(key);
    }
}

fn forged(mut group: Group) -> Group {
    group[0].memo.code += 1;
    group
}

fn reused() -> Answer {
    Answer::Refused { order: 0, refusal: Refusal::KeyReused }
}
