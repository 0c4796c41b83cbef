//! Players who want to be together: they gather, then all of them are placed at once.
//!
//! A group's secret says all about it, so that any replica knows it; one of them, the same for everybody, keeps its
//! members. When that one dies they gather anew at another, with the next time that each of them asks.

use crate::random;
use crate::state::Shared;
use nearframe_placement::latency::Client;
use nearframe_placement::measuring::Measured;
use nearframe_protocol::fleet::{CreateGroup, Gathered, Group, Together};
use nearframe_protocol::{GuestId, SessionId, TitleId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All members have to have come within this.
const GATHER_MS: u64 = 10 * 60 * 1000;
/// Members of a group.
pub(crate) const SIZES: std::ops::RangeInclusive<u32> = 2..=16;
/// Placing takes no longer; whoever does it may have vanished.
const PLACING_MS: u64 = 10_000;
/// Groups at once; more are refused.
const MOST: usize = 4_096;

/// Groups that gather, and those that were placed lately.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<BTreeMap<[u8; 16], State>>);

/// What a group's secret says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Charter {
    id: [u8; 16],
    title: TitleId,
    size: u32,
    together: Together,
    expires_ms: u64,
}

impl Charter {
    fn read(shared: &Shared, token: &str) -> Option<Self> {
        let charter: Self = serde_json::from_slice(&shared.unseal("group", token)?).ok()?;
        (charter.expires_ms > shared.now_ms()).then_some(charter)
    }
}

#[derive(Debug)]
struct State {
    expires_ms: u64,
    /// Somebody places them until then.
    placing_until_ms: u64,
    members: BTreeMap<GuestId, Member>,
}

/// One who came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// What is asked of the store for it.
    pub new: crate::store::NewSession,
    /// Where it is.
    pub client: Client,
    /// What it measured.
    pub measured: Vec<Measured>,
    /// Its session, once it has one.
    pub session: Option<SessionId>,
}

/// What a member that asks is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// Others are waited for.
    Gathering(Gathered),
    /// It has this session.
    Placed(SessionId),
    /// None of them gets one now.
    Refused {
        /// The problem's code.
        code: String,
        /// What is wrong and what to do.
        detail: String,
    },
}

/// What becomes of a member that asks.
#[derive(Debug)]
pub(crate) enum Joined {
    /// No such group, or it is over, or plays something else.
    Unknown,
    /// As many came as there are to be.
    Full,
    /// Too many groups gather.
    Crowded,
    /// Others are waited for.
    Gathering(Gathered),
    /// It was placed before.
    Placed(SessionId),
    /// All are there: place them now.
    Complete(Together, Vec<Member>),
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member asks for its session.
    pub(crate) fn join(&self, shared: &Shared, token: &str, member: Member) -> Joined {
        let charter = Charter::read(shared, token).filter(|charter| charter.title == member.new.title);
        let Some(charter) = charter else { return Joined::Unknown };
        let mut groups = self.lock();
        groups.retain(|_, group| group.expires_ms > shared.now_ms());
        if groups.len() >= MOST && !groups.contains_key(&charter.id) {
            return Joined::Crowded;
        }
        let group = groups.entry(charter.id).or_insert_with(|| State {
            expires_ms: charter.expires_ms,
            placing_until_ms: 0,
            members: BTreeMap::new(),
        });
        let guest = member.new.guest;
        if let Some(session) = group.members.get(&guest).and_then(|known| known.session) {
            return Joined::Placed(session);
        }
        if !group.members.contains_key(&guest) && group.members.len() as u32 >= charter.size {
            return Joined::Full;
        }
        group.members.insert(guest, member);
        let joined = group.members.len() as u32;
        if joined < charter.size || shared.now_ms() < group.placing_until_ms {
            return Joined::Gathering(Gathered { joined, size: charter.size });
        }
        group.placing_until_ms = shared.now_ms() + PLACING_MS;
        Joined::Complete(charter.together, group.members.values().cloned().collect())
    }

    /// The members have their sessions; none of them where there was no room: whoever asks next tries again.
    pub(crate) fn placed(&self, shared: &Shared, token: &str, sessions: &[(GuestId, SessionId)]) {
        let charter = Charter::read(shared, token);
        let mut groups = self.lock();
        let Some(group) = charter.and_then(|charter| groups.get_mut(&charter.id)) else { return };
        group.placing_until_ms = 0;
        for (guest, session) in sessions {
            if let Some(member) = group.members.get_mut(guest) {
                member.session = Some(*session);
            }
        }
    }
}

/// A new group, which lives in its secret until somebody comes.
pub(crate) fn create(shared: &Shared, asked: &CreateGroup) -> Group {
    let charter = Charter {
        id: random::bytes(),
        title: asked.title.clone(),
        size: asked.size,
        together: asked.together,
        expires_ms: shared.now_ms() + GATHER_MS,
    };
    let bytes = serde_json::to_vec(&charter).expect("plain values");
    Group { group: shared.seal("group", &bytes), expires_at_ms: charter.expires_ms }
}
