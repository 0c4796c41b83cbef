//! Who did what, and answers that may be asked for again.
//!
//! **Architecture invariant:** a line of the audit trail is never changed or removed, and holds the hash of the line
//! before it: whoever keeps the last hash sees that nothing before it was.

use super::{Hash, StoreError};
use async_trait::async_trait;
use nearframe_protocol::account::Actor;
use nearframe_protocol::{AccountId, ApiKeyId, MemberId};
use sha2::{Digest, Sha256};

/// What the hash of a line begins with.
const DOMAIN: &[u8] = b"nearframe/audit/v1\0";

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, Unix ms.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// The account that it was about.
    pub account: Option<AccountId>,
    /// Method and path of the door.
    pub door: String,
    /// About what.
    pub subject: String,
    /// Status of the answer.
    pub status: u16,
}

/// A deed in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailRow {
    /// Counts up by one from 1.
    pub number: u64,
    /// What was done.
    pub deed: Deed,
    /// Hash of the line before; zeros before the first.
    pub previous: Hash,
    /// Hash of this one.
    pub hash: Hash,
}

impl TrailRow {
    /// The line after `last`.
    pub fn after(last: Option<(u64, Hash)>, deed: Deed) -> Self {
        let (number, previous) = last.map_or((1, [0; 32]), |(number, hash)| (number + 1, hash));
        let hash = deed.hash(number, &previous);
        Self { number, deed, previous, hash }
    }

    /// Whether it is what it was written as, right after `last`.
    pub fn follows(&self, last: Option<(u64, Hash)>) -> bool {
        *self == Self::after(last, self.deed.clone())
    }
}

impl Deed {
    /// SHA-256 over the domain, previous hash, number, time, status, account (zeros where there is none) and then
    /// actor, door and subject, each with its length before it; numbers little-endian.
    fn hash(&self, number: u64, previous: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(previous);
        hasher.update(number.to_le_bytes());
        hasher.update(self.at_ms.to_le_bytes());
        hasher.update(self.status.to_le_bytes());
        hasher.update(self.account.map_or([0; 16], |account| *account.as_bytes()));
        for text in [&actor_text(&self.actor), &self.door, &self.subject] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// The form of an actor in databases and hashes.
pub fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Operator => "operator".to_owned(),
        Actor::Member { id } => format!("member:{id}"),
        Actor::Key { id } => format!("key:{id}"),
    }
}

/// The actor of this form.
pub fn parse_actor(text: &str) -> Option<Actor> {
    match text.split_once(':') {
        None => (text == "operator").then_some(Actor::Operator),
        Some(("member", id)) => id.parse::<MemberId>().ok().map(|id| Actor::Member { id }),
        Some(("key", id)) => id.parse::<ApiKeyId>().ok().map(|id| Actor::Key { id }),
        Some(_) => None,
    }
}

/// An answer that was given under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// HTTP status.
    pub status: u16,
    /// Of the body, where there is one.
    pub content_type: Option<String>,
    /// `None`: it held a secret, which is shown once.
    pub body: Option<Vec<u8>>,
}

/// What is known of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is claimed now.
    Fresh,
    /// The same request is under way.
    Running,
    /// The same request was answered.
    Answered(AnswerRow),
    /// Another request came with it.
    Other,
}

/// Which request under which key, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Hash of the key with whose it is.
    pub key: Hash,
    /// Hash of the request.
    pub request: Hash,
    /// Now, Unix ms.
    pub now_ms: u64,
    /// A claim without an answer from before this is of a process that is gone, Unix ms.
    pub abandoned_before_ms: u64,
}

/// The part of the store that remembers what was done. As of every method: one transaction.
#[async_trait]
pub trait DeedStore: Send + Sync + 'static {
    /// Appends to the audit trail.
    async fn add_deed(&self, deed: &Deed) -> Result<(), StoreError>;
    /// At most `limit` lines, newest first, with numbers below `before` where given; of one account where one is named.
    async fn trail(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError>;

    /// Claims an idempotency key for a request, or tells what became of it.
    async fn claim(&self, asked: &Asked) -> Result<Claim, StoreError>;
    /// Keeps the answer to a claimed request.
    async fn keep_answer(&self, asked: &Asked, answer: &AnswerRow) -> Result<(), StoreError>;
    /// Gives a claim up that did nothing.
    async fn give_claim_up(&self, asked: &Asked) -> Result<(), StoreError>;
    /// Forgets answers and claims from before `before_ms`.
    async fn forget_answers(&self, before_ms: u64) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(subject: &str) -> Deed {
        Deed {
            at_ms: 7,
            actor: Actor::Key { id: ApiKeyId::from_random([3; 16]) },
            account: Some(AccountId::from_random([4; 16])),
            door: "PUT /v1/x".into(),
            subject: subject.into(),
            status: 204,
        }
    }

    #[test]
    fn a_line_follows_the_one_before_and_no_other() {
        let first = TrailRow::after(None, deed("a"));
        let second = TrailRow::after(Some((first.number, first.hash)), deed("b"));
        assert!(first.follows(None) && second.follows(Some((1, first.hash))));
        assert!(!second.follows(None) && !second.follows(Some((1, second.hash))));
        let changed = TrailRow { deed: Deed { status: 403, ..second.deed.clone() }, ..second.clone() };
        assert!(!changed.follows(Some((1, first.hash))));
        let shifted = Deed { door: "PUT /v1/xb".into(), subject: String::new(), ..deed("") };
        let joined = Deed { door: "PUT /v1/x".into(), subject: "b".into(), ..deed("") };
        assert_ne!(shifted.hash(1, &[0; 32]), joined.hash(1, &[0; 32]), "lengths stand before texts");
    }

    #[test]
    fn actors_read_back() {
        let member = Actor::Member { id: MemberId::from_random([1; 16]) };
        for actor in [Actor::Operator, member, deed("").actor] {
            assert_eq!(parse_actor(&actor_text(&actor)), Some(actor));
        }
        for rubbish in ["", "operator:1", "key:1", "guest:6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11"] {
            assert_eq!(parse_actor(rubbish), None, "{rubbish}");
        }
    }
}
