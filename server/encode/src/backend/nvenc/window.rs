//! Which frames the encoder still keeps for reference.
//!
//! Every frame is kept until so many came after it; one that was invalidated keeps its place all the same.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug)]
struct Kept {
    frame: u32,
    serial: u64,
    valid: bool,
}

/// The frames since the newest keyframe that the encoder keeps, oldest first.
#[derive(Debug)]
pub(super) struct Window {
    room: usize,
    kept: VecDeque<Kept>,
}

impl Window {
    /// Of an encoder that keeps so many.
    pub(super) fn new(room: u32) -> Self {
        Self { room: room.max(1) as usize, kept: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// `frame` was encoded; `serial` is its name at the driver.
    pub(super) fn push(&mut self, frame: u32, serial: u64, keyframe: bool) {
        if keyframe {
            self.kept.clear();
        }
        if self.kept.len() == self.room {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { frame, serial, valid: true });
    }

    /// The newest frame that is kept, can be predicted from and is `good`.
    pub(super) fn newest(&self, good: impl Fn(u32) -> bool) -> Option<u32> {
        self.kept.iter().rev().find(|kept| kept.valid && good(kept.frame)).map(|kept| kept.frame)
    }

    /// Takes back everything that is not `good`; the driver's names of what it has to be told.
    pub(super) fn retain_good(&mut self, good: impl Fn(u32) -> bool) -> Vec<u64> {
        let bad = self.kept.iter_mut().filter(|kept| kept.valid && !good(kept.frame));
        bad.map(|kept| {
            kept.valid = false;
            kept.serial
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_is_room_for_are_kept_and_lost_ones_take_room_too() {
        let mut window = Window::new(4);
        (0..6).for_each(|frame| window.push(frame, u64::from(frame) + 100, frame == 0));
        assert_eq!(window.newest(|frame| frame <= 2), Some(2));
        assert_eq!(window.newest(|frame| frame <= 1), None, "frame 1 was pushed out");
        assert_eq!(window.retain_good(|frame| frame <= 3), [104, 105]);
        assert_eq!(window.retain_good(|frame| frame <= 3), [0u64; 0], "the driver is told once");
        assert_eq!(window.newest(|_| true), Some(3));
        window.push(6, 106, false);
        window.push(7, 107, false);
        assert_eq!(window.newest(|frame| frame <= 3), None);
        window.push(8, 108, true);
        assert_eq!((window.newest(|_| true), window.newest(|frame| frame < 8)), (Some(8), None));
    }
}
