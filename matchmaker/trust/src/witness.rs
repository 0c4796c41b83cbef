//! How many independent witnesses there are.
//!
//! Players who share an account, a browser or an address are one witness: one person with many cookies, a family, a
//! café. So whoever wants to accuse a node alone, or to praise an own one, has to come from several places as several
//! people.

use crate::seen::{Mark, SessionSeen};
use nearframe_protocol::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// Players who are one party.
    Player,
    /// A checker.
    Checker,
    /// The matchmaker's own times of lease and link.
    Lease,
    /// The node itself: it signed two things that cannot both be true.
    Itself,
    /// Another owner's machine, which was reachable meanwhile.
    Peer,
}

/// The sessions of one party.
pub type Party<'a> = Vec<&'a SessionSeen>;

/// Sessions by who is behind them, in the order of their first session.
pub fn parties<'a>(sessions: &[&'a SessionSeen]) -> Vec<Party<'a>> {
    let mut groups = Groups((0..sessions.len()).collect());
    let (mut devices, mut addresses) = (HashMap::<Mark, usize>::new(), HashMap::<Mark, usize>::new());
    let mut accounts = HashMap::<AccountId, usize>::new();
    for (at, seen) in sessions.iter().enumerate() {
        let player = &seen.player;
        groups.join(at, *devices.entry(player.device).or_insert(at));
        groups.join(at, *addresses.entry(player.address).or_insert(at));
        if let Some(account) = player.account {
            groups.join(at, *accounts.entry(account).or_insert(at));
        }
    }
    let mut found: Vec<Party<'a>> = Vec::new();
    let mut places = HashMap::<usize, usize>::new();
    for (at, seen) in sessions.iter().enumerate() {
        let place = *places.entry(groups.root(at)).or_insert_with(|| {
            found.push(Vec::new());
            found.len() - 1
        });
        found[place].push(*seen);
    }
    found
}

/// Disjoint sets: each points to one that is not after it, and the first of a set to itself.
struct Groups(Vec<usize>);

impl Groups {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (first, second) = (one.min(other), one.max(other));
        self.0[second] = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Player;
    use nearframe_protocol::{NodeId, SessionId};

    fn session(n: u8, device: u64, address: u64, account: Option<u8>) -> SessionSeen {
        SessionSeen {
            session: SessionId::from_bytes([n; 16]),
            node: NodeId::from_bytes([1; 16]),
            player: Player {
                account: account.map(|n| AccountId::from_bytes([n; 16])),
                device: Mark(device),
                address: Mark(address),
            },
            started_at_ms: 0,
            until_ms: 0,
            asked_fps: 60,
            receipts: vec![],
            refused: vec![],
            page: None,
        }
    }

    #[test]
    fn who_shares_anything_is_one_party_also_around_corners() {
        let all = [
            session(1, 1, 1, None),
            session(2, 2, 2, Some(1)),
            session(3, 3, 3, None),
            session(4, 1, 4, None),
            session(5, 5, 4, Some(1)),
        ];
        let found = parties(&all.iter().collect::<Vec<_>>());
        let ids = |party: &Party<'_>| party.iter().map(|seen| seen.session.as_bytes()[0]).collect::<Vec<_>>();
        // 1 and 4 share a browser, 4 and 5 an address, 5 and 2 an account.
        assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [vec![1, 2, 4, 5], vec![3]]);
    }
}
