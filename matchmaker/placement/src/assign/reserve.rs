//! Slots that spot never eats: the reserve of a region, and forward bookings of it.
//!
//! **Architecture invariant:** at any time, what spot sessions hold plus what is booked plus the unbooked
//! reserve is at most the capacity, unless the capacity itself shrank; then nothing new is admitted until it
//! fits again.

use std::collections::BTreeMap;

/// A booking, as the caller numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookingId(pub u64);

/// Slots for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    /// From when, ms.
    pub from_ms: u64,
    /// Until when, ms; later than `from_ms`.
    pub until_ms: u64,
    /// How many.
    pub slots: u32,
}

/// Bookings of one region that are kept; each question walks them.
pub const MOST_BOOKINGS: usize = 10_000;

/// Why slots are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Not at that time.
    #[error("the region has {free} slots left at that time: take fewer, another time or another region")]
    Full {
        /// How many would be given.
        free: u32,
    },
    /// Ends before it begins, or asks for nothing.
    #[error("a booking has at least one slot and ends after it begins")]
    Empty,
    /// [`MOST_BOOKINGS`] are kept already.
    #[error("the region keeps no more bookings")]
    TooMany,
}

/// One region's slots.
#[derive(Clone, Debug, Default)]
pub struct Region {
    capacity: u32,
    /// Kept free of spot, whether it is booked or not.
    reserve: u32,
    spot: u32,
    bookings: BTreeMap<BookingId, Booking>,
}

impl Region {
    /// A region with so many slots, of which `reserve` are never given to spot.
    pub fn new(capacity: u32, reserve: u32) -> Self {
        Self { capacity, reserve: reserve.min(capacity), spot: 0, bookings: BTreeMap::new() }
    }

    /// Nodes came or went. The reserve stays what it is as long as there are so many.
    pub fn set_capacity(&mut self, capacity: u32) {
        self.capacity = capacity;
    }

    /// Slots that spot holds.
    pub fn spot(&self) -> u32 {
        self.spot
    }

    /// What spot may still take from `now_ms` for `expected_ms`: what is neither reserved nor booked beyond the
    /// reserve during that time.
    pub fn spot_room(&self, now_ms: u64, expected_ms: u64) -> u32 {
        let booked = self.most_booked(now_ms, now_ms.saturating_add(expected_ms));
        self.capacity.saturating_sub(self.reserve.max(booked)).saturating_sub(self.spot)
    }

    /// A spot session takes a slot for about `expected_ms`.
    pub fn admit_spot(&mut self, now_ms: u64, expected_ms: u64) -> Result<(), NoRoom> {
        match self.spot_room(now_ms, expected_ms) {
            0 => Err(NoRoom::Full { free: 0 }),
            _ => {
                self.spot += 1;
                Ok(())
            }
        }
    }

    /// A spot session that runs already is counted.
    pub fn take_spot(&mut self) {
        self.spot += 1;
    }

    /// A booking that was made already is counted.
    pub fn keep(&mut self, id: BookingId, booking: Booking) {
        self.bookings.insert(id, booking);
    }

    /// A spot session ended.
    pub fn end_spot(&mut self) {
        self.spot = self.spot.saturating_sub(1);
    }

    /// Slots that can still be booked for a time: of the reserve always, and of the rest what spot would have
    /// left by then, which is certain only after `spot_ends_ms`.
    pub fn room_to_book(&self, from_ms: u64, until_ms: u64, spot_ends_ms: u64) -> u32 {
        let spot = if from_ms < spot_ends_ms { self.spot } else { 0 };
        let most = self.capacity.saturating_sub(spot);
        most.saturating_sub(self.most_booked(from_ms, until_ms))
    }

    /// Books ahead. Spot sessions that run now are over by `spot_ends_ms` at the latest.
    pub fn book(&mut self, id: BookingId, booking: Booking, spot_ends_ms: u64) -> Result<(), NoRoom> {
        if booking.slots == 0 || booking.from_ms >= booking.until_ms {
            return Err(NoRoom::Empty);
        }
        if self.bookings.get(&id) == Some(&booking) {
            return Ok(());
        }
        if self.bookings.len() >= MOST_BOOKINGS {
            return Err(NoRoom::TooMany);
        }
        let free = self.room_to_book(booking.from_ms, booking.until_ms, spot_ends_ms);
        if self.bookings.contains_key(&id) || free < booking.slots {
            return Err(NoRoom::Full { free });
        }
        self.bookings.insert(id, booking);
        Ok(())
    }

    /// A booking is given up.
    pub fn cancel(&mut self, id: BookingId) {
        self.bookings.remove(&id);
    }

    /// Forgets what is over.
    pub fn expire(&mut self, now_ms: u64) {
        self.bookings.retain(|_, booking| booking.until_ms > now_ms);
    }

    /// Most slots booked at once between two times.
    pub fn most_booked(&self, from_ms: u64, until_ms: u64) -> u32 {
        let mut changes: Vec<(u64, i64)> = Vec::new();
        for booking in self.bookings.values() {
            if booking.from_ms < until_ms && booking.until_ms > from_ms {
                changes.push((booking.from_ms.max(from_ms), i64::from(booking.slots)));
                changes.push((booking.until_ms, -i64::from(booking.slots)));
            }
        }
        // What ends at a moment ends before what begins at it.
        changes.sort_unstable();
        let (mut now, mut most) = (0, 0);
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPOT_MS: u64 = 100;

    #[test]
    fn spot_never_eats_the_reserve_and_bookings_may_have_all_of_it() {
        let mut region = Region::new(10, 3);
        for _ in 0..7 {
            region.admit_spot(0, SPOT_MS).unwrap();
        }
        assert_eq!(region.admit_spot(0, SPOT_MS), Err(NoRoom::Full { free: 0 }));
        let soon = Booking { from_ms: 10, until_ms: 20, slots: 3 };
        region.book(BookingId(1), soon, SPOT_MS).unwrap();
        region.book(BookingId(1), soon, SPOT_MS).unwrap();
        let more = Booking { slots: 1, ..soon };
        assert_eq!(region.book(BookingId(2), more, SPOT_MS), Err(NoRoom::Full { free: 0 }));
        region.book(BookingId(3), Booking { from_ms: 20, until_ms: 30, slots: 3 }, SPOT_MS).unwrap();
    }

    #[test]
    fn spot_makes_way_for_what_is_booked_later() {
        let mut region = Region::new(4, 0);
        region.book(BookingId(1), Booking { from_ms: 50, until_ms: 90, slots: 4 }, SPOT_MS).unwrap();
        assert!(region.admit_spot(0, SPOT_MS).is_err(), "it would still play when the booking begins");
        assert!(region.admit_spot(90, SPOT_MS).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Spot,
        Book(u64, u64, u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Spot),
            (0..400u64, 1..200u64, 1..6u32).prop_map(|(ahead, long, slots)| Step::Book(ahead, long, slots)),
            (1..80u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn spot_bookings_and_reserve_always_fit(
            capacity in 1..20u32, reserve in 0..8u32, steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut region = Region::new(capacity, reserve);
            let reserve = reserve.min(capacity);
            let (mut now, mut ends, mut serial) = (0, Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Spot => {
                        if region.admit_spot(now, SPOT_MS).is_ok() {
                            ends.push(now + SPOT_MS);
                        }
                    }
                    Step::Book(ahead, long, slots) => {
                        serial += 1;
                        let from_ms = now + ahead;
                        let booking = Booking { from_ms, until_ms: from_ms + long, slots };
                        let _ = region.book(BookingId(serial), booking, now + SPOT_MS);
                    }
                    Step::Pass(ms) => {
                        now += ms;
                        let over = ends.iter().filter(|end| **end <= now).count();
                        ends.retain(|end| *end > now);
                        (0..over).for_each(|_| region.end_spot());
                        region.expire(now);
                    }
                }
                let booked = region.most_booked(now, now + 1);
                prop_assert!(region.spot() + booked <= capacity, "{region:?} at {now}");
                prop_assert!(region.spot() + reserve <= capacity, "{region:?} at {now}");
            }
        }
    }
}
