//! Interactive first: which interruptible tasks make way when a player finds no slot.

use nearframe_protocol::NodeId;

/// An interruptible task that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// As the caller numbers it.
    pub id: u64,
    /// Where it runs.
    pub node: NodeId,
    /// Slots it holds.
    pub slots: u16,
    /// When it last kept what it had done, ms.
    pub kept_at_ms: u64,
    /// How often it was interrupted already.
    pub interruptions: u32,
}

/// A task is told this long before its slot is taken, so that it can keep what it has done, ms.
pub const NOTICE_MS: u64 = 5_000;
/// A task that was interrupted this often is left alone: it must end some day.
pub const MOST_INTERRUPTIONS: u32 = 3;

/// Tasks that make way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// On which node.
    pub node: NodeId,
    /// Which tasks.
    pub tasks: Vec<u64>,
    /// When their slots are free, ms.
    pub free_at_ms: u64,
    /// What has to be done again, ms of slots.
    pub lost_ms: u64,
}

/// The tasks whose interruption loses least and frees `slots` on one node that `allowed` lets the player use;
/// `free` says what the node has free already. `None`: nothing may be interrupted for this.
pub fn evict(
    tasks: &[Task],
    slots: u16,
    now_ms: u64,
    allowed: impl Fn(NodeId) -> bool,
    free: impl Fn(NodeId) -> u16,
) -> Option<Eviction> {
    let mut tasks: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.interruptions < MOST_INTERRUPTIONS && task.slots > 0 && allowed(task.node))
        .collect();
    // On each node, what would lose least comes first.
    tasks.sort_by_key(|task| (task.node, lost_ms(task, now_ms), task.id));
    let by_node = tasks.chunk_by(|one, other| one.node == other.node);
    by_node
        .filter_map(|tasks| on_node(tasks, slots, now_ms, free(tasks[0].node)))
        .min_by_key(|eviction| (eviction.lost_ms, eviction.node))
}

fn on_node(tasks: &[&Task], slots: u16, now_ms: u64, free: u16) -> Option<Eviction> {
    let mut missing = slots.saturating_sub(free);
    let mut chosen = Vec::new();
    for task in tasks {
        if missing == 0 {
            break;
        }
        chosen.push(**task);
        missing = missing.saturating_sub(task.slots);
    }
    if missing > 0 || chosen.is_empty() {
        return None;
    }
    // A large task that came last may have made an earlier small one needless.
    let mut spare = chosen.iter().map(|task| task.slots).sum::<u16>() + free - slots;
    chosen.retain(|task| {
        let needless = task.slots <= spare;
        spare -= if needless { task.slots } else { 0 };
        !needless
    });
    Some(Eviction {
        node: tasks[0].node,
        lost_ms: chosen.iter().map(|task| lost_ms(task, now_ms)).sum(),
        tasks: chosen.iter().map(|task| task.id).collect(),
        free_at_ms: now_ms + NOTICE_MS,
    })
}

fn lost_ms(task: &Task, now_ms: u64) -> u64 {
    now_ms.saturating_sub(task.kept_at_ms).saturating_mul(u64::from(task.slots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_random([n; 16])
    }

    fn task(id: u64, on: u8, slots: u16, kept_at_ms: u64) -> Task {
        Task { id, node: node(on), slots, kept_at_ms, interruptions: 0 }
    }

    #[test]
    fn what_loses_least_makes_way_and_is_told_before() {
        let tasks = [task(1, 1, 1, 0), task(2, 1, 1, 900), task(3, 2, 1, 500)];
        let eviction = evict(&tasks, 1, 1000, |_| true, |_| 0).unwrap();
        assert_eq!((eviction.node, eviction.tasks.as_slice(), eviction.lost_ms), (node(1), &[2][..], 100));
        assert_eq!(eviction.free_at_ms, 1000 + NOTICE_MS);
        let eviction = evict(&tasks, 1, 1000, |on| on == node(2), |_| 0).unwrap();
        assert_eq!(eviction.tasks, [3], "only where the player may play");
    }

    #[test]
    fn no_more_is_interrupted_than_has_to_be() {
        let tasks = [task(1, 1, 1, 990), task(2, 1, 4, 900)];
        assert_eq!(evict(&tasks, 4, 1000, |_| true, |_| 0).unwrap().tasks, [2]);
        assert_eq!(evict(&tasks, 4, 1000, |_| true, |_| 3).unwrap().tasks, [1]);
        assert_eq!(evict(&tasks, 6, 1000, |_| true, |_| 0), None);
    }

    #[test]
    fn a_task_that_was_interrupted_often_is_left_alone() {
        let tired = Task { interruptions: MOST_INTERRUPTIONS, ..task(1, 1, 1, 999) };
        assert_eq!(evict(&[tired], 1, 1000, |_| true, |_| 0), None);
    }
}
