//! The audit trail and answers, in memory.

use super::MemoryStore;
use crate::store::deeds::{AnswerRow, Asked, Claim, Deed, DeedStore, TrailRow};
use crate::store::{Hash, StoreError};
use async_trait::async_trait;
use nearframe_protocol::AccountId;
use std::collections::HashMap;

#[derive(Debug, Default, Clone)]
pub(super) struct Deeds {
    trail: Vec<TrailRow>,
    answers: HashMap<Hash, (Hash, u64, Option<AnswerRow>)>,
}

impl Deeds {
    fn claim(&mut self, asked: &Asked) -> Claim {
        match self.answers.get(&asked.key) {
            Some((request, _, _)) if *request != asked.request => return Claim::Other,
            Some((_, _, Some(answer))) => return Claim::Answered(answer.clone()),
            Some((_, at_ms, None)) if *at_ms >= asked.abandoned_before_ms => return Claim::Running,
            Some(_) | None => {}
        }
        self.answers.insert(asked.key, (asked.request, asked.now_ms, None));
        Claim::Fresh
    }

    /// The claim of a request that was not answered.
    fn open(&mut self, asked: &Asked) -> Option<&mut (Hash, u64, Option<AnswerRow>)> {
        let row = self.answers.get_mut(&asked.key);
        row.filter(|(request, _, answer)| *request == asked.request && answer.is_none())
    }
}

#[async_trait]
impl DeedStore for MemoryStore {
    async fn add_deed(&self, deed: &Deed) -> Result<(), StoreError> {
        self.transact(|state| {
            let trail = &mut state.deeds.trail;
            let last = trail.last().map(|row| (row.number, row.hash));
            trail.push(TrailRow::after(last, deed.clone()));
            Ok(())
        })
    }
    async fn trail(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError> {
        Ok(self.read(|state| {
            let wanted = |row: &&TrailRow| {
                before.is_none_or(|before| row.number < before)
                    && (account.is_none() || row.deed.account == account)
            };
            state.deeds.trail.iter().rev().filter(wanted).take(limit as usize).cloned().collect()
        }))
    }
    async fn claim(&self, asked: &Asked) -> Result<Claim, StoreError> {
        self.transact(|state| Ok(state.deeds.claim(asked)))
    }
    async fn keep_answer(&self, asked: &Asked, answer: &AnswerRow) -> Result<(), StoreError> {
        self.transact(|state| {
            if let Some((_, _, kept)) = state.deeds.open(asked) {
                *kept = Some(answer.clone());
            }
            Ok(())
        })
    }
    async fn give_claim_up(&self, asked: &Asked) -> Result<(), StoreError> {
        self.transact(|state| {
            if state.deeds.open(asked).is_some() {
                state.deeds.answers.remove(&asked.key);
            }
            Ok(())
        })
    }
    async fn forget_answers(&self, before_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.deeds.answers.retain(|_, (_, at_ms, _)| *at_ms >= before_ms);
            Ok(())
        })
    }
}
