//! When machines could be reached, and whose fault it was where not.
//!
//! Times of a machine come from its links, and count only while the matchmaker itself ran. An outage is **shared** where in
//! the minutes around its beginning at least two other owners, and at least half of those who were there, lost a machine:
//! anywhere, or in the same region, or in the same network. A host's own machines excuse nobody, so that pulling one's plug
//! is never an outage of many. It is excused as long as it is shared: until half of the others are back, and some minutes
//! more. A machine that comes back some minutes after the matchmaker did was never away.

use crate::fraud::{Exhibit, Finding, Grade, Kind};
use crate::witness::Witness;
use nearframe_protocol::{AccountId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Minutes around the beginning of an outage, in ms: power and networks do not fail for all in one second.
pub const WINDOW_MS: u64 = 300_000;
/// Other owners without whom no outage is shared, and nobody has left early.
pub const OTHERS: usize = 2;
/// Other owners that a finding names as witnesses.
const MOST_PEERS: usize = 5;

/// Times, Unix ms, in order, none of which touches another.
pub type Times = Vec<Range<u64>>;

/// The same times, in order and joined.
pub fn joined(mut times: Times) -> Times {
    times.retain(|time| time.start < time.end);
    times.sort_by_key(|time| time.start);
    let mut all: Times = Vec::with_capacity(times.len());
    for time in times {
        match all.last_mut() {
            Some(last) if time.start <= last.end => last.end = last.end.max(time.end),
            _ => all.push(time),
        }
    }
    all
}

/// What of `times` lies in one of `others`.
pub fn within(times: &[Range<u64>], others: &[Range<u64>]) -> Times {
    let cut = |a: &Range<u64>, b: &Range<u64>| a.start.max(b.start)..a.end.min(b.end);
    let all = times.iter().flat_map(|time| others.iter().map(move |other| cut(time, other)));
    joined(all.filter(|time| time.start < time.end).collect())
}

/// What of `times` lies in none of `others`.
pub fn without(times: &[Range<u64>], others: &[Range<u64>]) -> Times {
    let mut left = times.to_vec();
    for other in others {
        let pieces =
            |time: Range<u64>| [time.start..time.end.min(other.start), time.start.max(other.end)..time.end];
        left = left.into_iter().flat_map(pieces).filter(|time| time.start < time.end).collect();
    }
    left
}

/// How long they are together, in ms.
pub fn length_ms(times: &[Range<u64>]) -> u64 {
    times.iter().map(|time| time.end - time.start).sum()
}

/// A machine, and when it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which.
    pub node: NodeId,
    /// Whose; those of nobody are the platform's.
    pub owner: Option<AccountId>,
    /// Its region, empty if unknown.
    pub region: String,
    /// Its network's number, if known.
    pub network: Option<u32>,
    /// When it was reached, within the time that is looked at.
    pub reached: Times,
}

/// What was looked at: machines, and when the matchmaker itself ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// From when until when, Unix ms.
    pub time: Range<u64>,
    /// When the matchmaker ran.
    pub service: Times,
    /// Those that were ever reached in it, or before.
    pub machines: Vec<Machine>,
}

/// How long a machine, or one of a site's, should have been and was reached, in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// While the matchmaker ran, since the machine came.
    pub due_ms: u64,
    /// Of that, reached.
    pub up_ms: u64,
    /// Of the rest, excused, which counts for hosts alone.
    pub excused_ms: u64,
}

impl Reach {
    /// The part that it was reached in, in millionths, rounded down; `None` where nothing was due.
    pub fn reachable_ppm(&self) -> Option<u64> {
        let up = u128::from(self.up_ms) * 1_000_000;
        u64::try_from(up.checked_div(u128::from(self.due_ms))?).ok()
    }

    /// What is neither reached nor excused, in ms.
    pub fn own_ms(&self) -> u64 {
        self.due_ms.saturating_sub(self.up_ms).saturating_sub(self.excused_ms)
    }
}

impl Seen {
    /// When a machine should have been reached: while the matchmaker ran, since it came first. One that came back within
    /// minutes after the matchmaker did need not have been there at once.
    fn due(&self, machine: &Machine, since_ms: u64) -> Times {
        let late = self.service.iter().filter_map(|ran| {
            let back = machine.reached.iter().map(|time| time.start).find(|start| *start >= ran.start)?;
            (back - ran.start <= WINDOW_MS).then_some(ran.start..back)
        });
        let since = since_ms.max(self.time.start)..self.time.end;
        let due = within(&self.service, std::slice::from_ref(&since));
        without(&due, &joined(late.collect()))
    }

    /// When it should have been reached and was not. `since_ms`: when it was enrolled.
    pub fn outages(&self, machine: &Machine, since_ms: u64) -> Times {
        without(&self.due(machine, since_ms), &machine.reached)
    }

    /// Until when an outage that begins then is excused; `None`: it is the machine's own.
    pub fn excused_until_ms(&self, machine: &Machine, begins_ms: u64) -> Option<u64> {
        let near =
            |one: &&Machine, same: bool| same && one.owner != machine.owner && one.node != machine.node;
        let groups: [Vec<&Machine>; 3] = [
            self.machines.iter().filter(|one| near(one, true)).collect(),
            self.machines
                .iter()
                .filter(|one| near(one, !one.region.is_empty() && one.region == machine.region))
                .collect(),
            self.machines
                .iter()
                .filter(|one| near(one, one.network.is_some() && one.network == machine.network))
                .collect(),
        ];
        groups.iter().filter_map(|group| self.shared_until_ms(group, begins_ms)).max()
    }

    fn shared_until_ms(&self, others: &[&Machine], begins_ms: u64) -> Option<u64> {
        let around = begins_ms.saturating_sub(WINDOW_MS)..begins_ms.saturating_add(WINDOW_MS + 1);
        let (mut there, mut back) = (BTreeSet::new(), BTreeMap::<Option<AccountId>, u64>::new());
        for one in others {
            // Reached when the outage began, or shortly before.
            let was_there =
                |time: &&Range<u64>| time.start < begins_ms + WINDOW_MS && time.end >= around.start;
            let Some(last) = one.reached.iter().rfind(was_there) else { continue };
            there.insert(one.owner);
            if around.contains(&last.end) && last.end < self.time.end {
                let next = one.reached.iter().map(|time| time.start).find(|start| *start > last.end);
                let returns = next.unwrap_or(self.time.end);
                let known = back.entry(one.owner).or_insert(returns);
                *known = (*known).max(returns);
            }
        }
        if back.len() < OTHERS || back.len() * 2 < there.len() {
            return None;
        }
        let mut returns: Vec<u64> = back.into_values().collect();
        returns.sort_unstable();
        Some(returns[returns.len() / 2].saturating_add(WINDOW_MS))
    }

    /// What of its outages is excused.
    pub fn excused(&self, machine: &Machine, since_ms: u64) -> Times {
        let outages = self.outages(machine, since_ms);
        let excused = outages.iter().filter_map(|outage| {
            let until_ms = self.excused_until_ms(machine, outage.start)?;
            Some(outage.start..outage.end.min(until_ms))
        });
        joined(excused.collect())
    }

    /// How long it should have been and was reached.
    pub fn reach(&self, machine: &Machine, since_ms: u64) -> Reach {
        let due = self.due(machine, since_ms);
        Reach {
            due_ms: length_ms(&due),
            up_ms: length_ms(&within(&machine.reached, &due)),
            excused_ms: length_ms(&self.excused(machine, since_ms)),
        }
    }

    /// The same of a site, which is reached while one of its machines is.
    pub fn site(&self, machines: &[(&Machine, u64)]) -> Reach {
        let all = |times: fn(&Self, &Machine, u64) -> Times| {
            joined(machines.iter().flat_map(|(machine, since_ms)| times(self, machine, *since_ms)).collect())
        };
        let due = all(Self::due);
        let up = within(&all(|_, machine, _| machine.reached.clone()), &due);
        let excused = without(&all(Self::excused), &up);
        Reach { due_ms: length_ms(&due), up_ms: length_ms(&up), excused_ms: length_ms(&excused) }
    }

    /// Whether a machine that gave no notice has left: it cannot be reached for longer than so many hours without an
    /// excuse. Proved only where other owners' machines show that the matchmaker could be reached meanwhile. Gives the
    /// beginning of the outage, which names it, with the finding.
    pub fn left_early(&self, machine: &Machine, since_ms: u64, hours: u16) -> Option<(u64, Finding)> {
        let outages = self.outages(machine, since_ms);
        let last = outages.last().filter(|last| last.end == self.time.end)?;
        // The matchmaker's own pauses lie between pieces of one absence. Who was never reached cannot leave.
        let gone_ms = machine.reached.last()?.end;
        let absent: Times = outages.iter().filter(|outage| outage.start >= gone_ms).cloned().collect();
        let excused = within(&self.excused(machine, since_ms), &absent);
        let counted = without(&absent, &excused);
        let counted_ms = length_ms(&counted);
        if counted_ms <= u64::from(hours) * 3_600_000 {
            return None;
        }
        let mut peers = BTreeSet::new();
        for one in self.machines.iter().filter(|one| one.owner != machine.owner) {
            if length_ms(&within(&one.reached, &counted)) * 2 >= counted_ms {
                peers.insert(one.owner);
            }
        }
        let what = format!(
            "not reached since {gone_ms} (Unix ms), of which {} hours count, until {}; machines of {} other owners were \
             reached for at least half of that time; no notice was given",
            counted_ms / 3_600_000,
            last.end,
            peers.len()
        );
        let witnesses = [Witness::Lease]
            .into_iter()
            .chain(peers.iter().take(MOST_PEERS).map(|_| Witness::Peer))
            .collect();
        let grade = if peers.len() >= OTHERS { Grade::Slash } else { Grade::Review };
        let exhibits = vec![Exhibit { session: None, what }];
        Some((gone_ms, Finding { node: machine.node, kind: Kind::LeftEarly, grade, witnesses, exhibits }))
    }
}

#[cfg(test)]
mod tests;
