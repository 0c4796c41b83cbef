//! Players who want to be together: they gather, then all of them are placed at once.

use crate::random;
use crate::state::Shared;
use nearframe_placement::latency::Ranking;
use nearframe_protocol::fleet::{CreateGroup, Gathered, Group, Together};
use nearframe_protocol::{GuestId, SessionId, TitleId};
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

#[derive(Debug)]
struct State {
    title: TitleId,
    size: u32,
    together: Together,
    expires_ms: u64,
    /// Somebody places them until then.
    placing_until_ms: u64,
    members: BTreeMap<GuestId, Member>,
}

/// One who came.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// What is asked of the store for it.
    pub(crate) new: crate::store::NewSession,
    /// The sites as it sees them.
    pub(crate) ranking: Ranking,
    /// Its session, once it has one.
    pub(crate) session: Option<SessionId>,
}

/// What becomes of a member that asks.
#[derive(Debug)]
pub(crate) enum Joined {
    /// No such group, or it is over, or plays something else.
    Unknown,
    /// As many came as there are to be.
    Full,
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

    /// A new group; `None` where there are too many.
    pub(crate) fn create(&self, shared: &Shared, asked: &CreateGroup) -> Option<Group> {
        let now = shared.now_ms();
        let id: [u8; 16] = random::bytes();
        let mut groups = self.lock();
        groups.retain(|_, group| group.expires_ms > now);
        if groups.len() >= MOST {
            return None;
        }
        let state = State {
            title: asked.title.clone(),
            size: asked.size,
            together: asked.together,
            expires_ms: now + GATHER_MS,
            placing_until_ms: 0,
            members: BTreeMap::new(),
        };
        let expires_at_ms = state.expires_ms;
        groups.insert(id, state);
        Some(Group { group: shared.seal("group", &id), expires_at_ms })
    }

    /// A member asks for its session.
    pub(crate) fn join(&self, shared: &Shared, token: &str, member: Member) -> Joined {
        let id = shared.unseal("group", token).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let mut groups = self.lock();
        let group = id.and_then(|id| groups.get_mut(&id));
        let Some(group) =
            group.filter(|group| group.expires_ms > shared.now_ms() && group.title == member.new.title)
        else {
            return Joined::Unknown;
        };
        let guest = member.new.guest;
        if let Some(session) = group.members.get(&guest).and_then(|known| known.session) {
            return Joined::Placed(session);
        }
        if !group.members.contains_key(&guest) && group.members.len() as u32 >= group.size {
            return Joined::Full;
        }
        group.members.insert(guest, member);
        let joined = group.members.len() as u32;
        if joined < group.size || shared.now_ms() < group.placing_until_ms {
            return Joined::Gathering(Gathered { joined, size: group.size });
        }
        group.placing_until_ms = shared.now_ms() + PLACING_MS;
        Joined::Complete(group.together, group.members.values().cloned().collect())
    }

    /// The members have their sessions; none of them where there was no room: whoever asks next tries again.
    pub(crate) fn placed(&self, shared: &Shared, token: &str, sessions: &[(GuestId, SessionId)]) {
        let id = shared.unseal("group", token).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let mut groups = self.lock();
        let Some(group) = id.and_then(|id| groups.get_mut(&id)) else { return };
        group.placing_until_ms = 0;
        for (guest, session) in sessions {
            if let Some(member) = group.members.get_mut(guest) {
                member.session = Some(*session);
            }
        }
    }
}
