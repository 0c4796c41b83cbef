//! Writing: orders in, answers and a block out.

use super::block::{Block, MAX_ORDERS};
use super::key::{Fingerprint, Key, KeyMap, Keys};
use super::order::Group;
use super::record::RECORD_LEN;
use super::state::{Books, Refusal};

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Carried out by this block.
    Done,
    /// Carried out before, as the same orders under the same keys; nothing happened now.
    Again,
    /// Not carried out, none of its orders.
    Refused {
        /// The first order that was refused, counted within the group.
        order: usize,
        /// Why.
        refusal: Refusal,
    },
}

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// One for each group, in their order.
    pub answers: Vec<Answer>,
    /// What has to be kept before anybody hears the answers; `None` where nothing changed.
    pub block: Option<Block>,
}

/// Why a write did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// Too many at once.
    #[error("more than {MAX_ORDERS} orders in one write; split them")]
    TooMany,
    /// The keys could not be read.
    #[error("looking up keys: {0}")]
    Keys(E),
}

impl Books {
    /// Carries out what is due and then `groups`, in their order, each whole or not at all.
    ///
    /// The books have moved on when this returns: where the block cannot be kept, they have to be read again from
    /// what was kept.
    pub fn write<K: Keys>(
        &mut self,
        groups: &[Group],
        keys: &mut K,
        now_ms: u64,
    ) -> Result<Written, WriteError<K::Error>> {
        if groups.iter().map(Vec::len).sum::<usize>() > MAX_ORDERS {
            return Err(WriteError::TooMany);
        }
        // All look-ups come first: where one fails, nothing has happened.
        let mut asked = Vec::with_capacity(groups.len());
        for order in groups.iter().flatten() {
            asked.push((order.fingerprint(), keys.find(&order.key).map_err(WriteError::Keys)?));
        }
        let at_ms = now_ms.max(self.at_ms);
        let mut records = Vec::with_capacity(asked.len() * RECORD_LEN);
        self.expire_due(at_ms, &mut records);
        let mut fresh = KeyMap::default();
        let mut asked = asked.as_slice();
        let answers = groups.iter().map(|group| {
            let (own, rest) = asked.split_at(group.len());
            asked = rest;
            self.group(group, own, &mut fresh, at_ms, &mut records)
        });
        let answers = answers.collect();
        for (key, fingerprint) in fresh {
            keys.remember(key, fingerprint);
        }
        Ok(Written { answers, block: self.seal(at_ms, &records) })
    }

    fn expire_due(&mut self, at_ms: u64, records: &mut Vec<u8>) {
        for _ in 0..MAX_ORDERS {
            let Some(&(due_ms, key)) = self.due.first().filter(|(due_ms, _)| *due_ms <= at_ms) else { break };
            self.begin_group();
            let record = self.expire(&key, due_ms).expect("what is in `due` is pending until then");
            self.assert_group_balanced();
            records.extend_from_slice(&record.encode());
        }
    }

    fn group(
        &mut self,
        group: &Group,
        asked: &[(Fingerprint, Option<Fingerprint>)],
        fresh: &mut KeyMap<Fingerprint>,
        at_ms: u64,
        records: &mut Vec<u8>,
    ) -> Answer {
        let known = |at: usize, key: &Key| asked[at].1.or_else(|| fresh.get(key).copied());
        let mut again = 0;
        for (at, order) in group.iter().enumerate() {
            match known(at, &order.key) {
                None => {}
                Some(before) if before == asked[at].0 => again += 1,
                Some(_) => return Answer::Refused { order: at, refusal: Refusal::KeyReused },
            }
        }
        if again == group.len() {
            return Answer::Again;
        }
        // Orders that were carried out together cannot come again one by one, or among others.
        if again > 0 || repeats_a_key(group) {
            return Answer::Refused { order: 0, refusal: Refusal::KeyReused };
        }
        let written = records.len();
        self.begin_group();
        for (at, order) in group.iter().enumerate() {
            match self.carry_out(order, at_ms) {
                Ok(record) => records.extend_from_slice(&record.encode()),
                Err(refusal) => {
                    self.take_back_group();
                    records.truncate(written);
                    return Answer::Refused { order: at, refusal };
                }
            }
        }
        self.assert_group_balanced();
        fresh.extend(group.iter().zip(asked).map(|(order, (fingerprint, _))| (order.key, *fingerprint)));
        Answer::Done
    }

    fn seal(&mut self, at_ms: u64, records: &[u8]) -> Option<Block> {
        if records.is_empty() {
            return None;
        }
        let block = Block::seal(self.next_height, at_ms, self.records, self.head(), records);
        self.move_on(&block);
        Some(block)
    }

    pub(super) fn move_on(&mut self, block: &Block) {
        let header = block.header();
        self.next_height = header.height + 1;
        self.records = header.records_before + u64::from(header.records);
        self.head = Some(header.hash());
        self.at_ms = header.at_ms;
    }
}

/// Groups are short; comparing each with each needs no memory.
fn repeats_a_key(group: &Group) -> bool {
    group.len() > 1
        && group
            .iter()
            .enumerate()
            .any(|(at, order)| group[..at].iter().any(|before| before.key == order.key))
}
