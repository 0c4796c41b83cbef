//! One payout, from created to settled or failed.

use super::destination::Destination;
use crate::books::{AccountNo, Action, Amount, Books, Fingerprint, Group, Key, Memo, Order};
use crate::hash::Hash32;
use crate::settlement::Epoch;
use nearframe_protocol::{Currency, NodeId};

/// What its orders are marked with in the general ledger.
const CODE: u16 = 0x5041;

/// How far a payout came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its amount is set aside; nothing was sent.
    Created,
    /// It may have been sent. Nobody knows until the rail says so.
    Submitted,
    /// The rail said that the money arrived.
    Settled,
    /// The rail said that it will never arrive; the amount is free again.
    Failed,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is about to be handed to its rail. Has to be kept before that is done.
    Submitting,
    /// The rail does not know yet, or gave no answer.
    Unknown,
    /// The rail says that the money arrived.
    Settled,
    /// The rail says that it will never arrive.
    Failed,
    /// It is taken back before anything was sent.
    Withdrawn,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Keep [`Event::Submitting`], and then send it.
    Submit,
    /// Ask its rail. Never send it again.
    Ask,
    /// Nothing.
    Nothing,
}

/// An event that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayoutError {
    /// Sent before.
    #[error("the payout was handed to its rail before; ask for its fate, do not send it again")]
    SentBefore,
    /// Nothing was sent.
    #[error("the payout was never handed to its rail")]
    NeverSent,
    /// The rail contradicts itself.
    #[error("the rail said {state:?} before and says {event:?} now; an operator has to look at it")]
    Contradiction {
        /// What it said.
        state: State,
        /// What it says.
        event: Event,
    },
}

/// One amount for one host by one rail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The epoch whose settlement makes it due.
    pub epoch: Epoch,
    /// Of that settlement.
    pub root: Hash32,
    /// 0, and one more after each that failed.
    pub attempt: u32,
    /// Who is paid.
    pub host: NodeId,
    /// What it is counted in.
    pub currency: Currency,
    /// How much, in micro-units: a whole number of what the rail can move.
    pub amount_micros: i128,
    /// Where to.
    pub destination: Destination,
}

impl State {
    /// The state after `event`.
    pub fn after(self, event: Event) -> Result<Self, PayoutError> {
        match (self, event) {
            (Self::Created, Event::Submitting) => Ok(Self::Submitted),
            (Self::Created, Event::Withdrawn) => Ok(Self::Failed),
            (Self::Created, _) => Err(PayoutError::NeverSent),
            (_, Event::Submitting | Event::Withdrawn) => Err(PayoutError::SentBefore),
            (state, Event::Unknown) => Ok(state),
            (Self::Submitted | Self::Settled, Event::Settled) => Ok(Self::Settled),
            (Self::Submitted | Self::Failed, Event::Failed) => Ok(Self::Failed),
            (state, event) => Err(PayoutError::Contradiction { state, event }),
        }
    }
    /// What to do.
    pub fn next(self) -> Next {
        match self {
            Self::Created => Next::Submit,
            Self::Submitted => Next::Ask,
            Self::Settled | Self::Failed => Next::Nothing,
        }
    }
}

impl Payout {
    /// Names it for ever. The rail is not part of it: the same amount cannot be due on two.
    pub fn id(&self) -> Key {
        let Self { epoch, host, currency, attempt, .. } = self;
        Key::of(&format!("payout:{}:{host}:{currency}:{attempt}", epoch.0))
    }

    /// The end-to-end id that a bank carries: 32 letters.
    pub fn reference(&self) -> String {
        self.id().to_string()
    }

    fn step(&self, name: &str) -> Key {
        Key::of(&format!("{}:{name}", self.id()))
    }

    fn order(&self, key: Key, action: Action) -> Order {
        let memo = Memo { code: CODE, subject: *self.id().as_bytes(), evidence: self.root.0 };
        Order { key, action, memo }
    }

    /// Sets the amount aside on the host's account. Refused by the books where the host has not so much.
    pub fn creation(&self, host: AccountNo, rail: AccountNo) -> Group {
        vec![self.order(self.id(), self.pend(host, rail))]
    }

    fn pend(&self, host: AccountNo, rail: AccountNo) -> Action {
        Action::Pend { debit: host, credit: rail, amount_micros: self.amount_micros, timeout_s: 0 }
    }

    /// What an event means to the general ledger. Kept there, it is the state: no other record of it is needed.
    pub fn orders(&self, event: Event, host: AccountNo, rail: AccountNo) -> Group {
        let sent = self.step("sent");
        match event {
            Event::Unknown => vec![],
            Event::Submitting => vec![
                self.order(self.step("sending"), Action::Void { pending: self.id(), amount: Amount::Rest }),
                self.order(sent, self.pend(host, rail)),
            ],
            Event::Settled => {
                let action = Action::Post { pending: sent, credit: rail, amount: Amount::Rest, close: true };
                vec![self.order(self.step("settled"), action)]
            }
            Event::Failed => {
                vec![self.order(self.step("failed"), Action::Void { pending: sent, amount: Amount::Rest })]
            }
            Event::Withdrawn => {
                let action = Action::Void { pending: self.id(), amount: Amount::Rest };
                vec![self.order(self.step("withdrawn"), action)]
            }
        }
    }

    /// Whether it was ever about to be handed to its rail, by what the general ledger holds. `known` looks keys up.
    pub fn was_sent<E>(
        &self,
        mut known: impl FnMut(&Key) -> Result<Option<Fingerprint>, E>,
    ) -> Result<bool, E> {
        Ok(known(&self.step("sent"))?.is_some())
    }

    /// How far it came, by what the general ledger holds; `None` where it was never created. `known` looks keys up.
    pub fn state<E>(
        &self,
        books: &Books,
        mut known: impl FnMut(&Key) -> Result<Option<Fingerprint>, E>,
    ) -> Result<Option<State>, E> {
        if books.pending(&self.step("sent")).is_some() {
            return Ok(Some(State::Submitted));
        }
        if books.pending(&self.id()).is_some() {
            return Ok(Some(State::Created));
        }
        let ends = [("settled", State::Settled), ("failed", State::Failed), ("withdrawn", State::Failed)];
        for (step, state) in ends {
            if known(&self.step(step))?.is_some() {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }
}
