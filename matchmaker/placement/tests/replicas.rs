//! Histories of replicas, told to each other in any order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_placement::latency::{ClientKey, History, SiteId};
use proptest::prelude::*;

type Observation = (u32, u16, u32, u32);

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    prop::collection::vec((0..6u32, 0..40u16, 0..20u32, 1..300_000u32), 0..120)
}

fn history(observations: &[Observation]) -> History {
    let mut history = History::new(100);
    for &(client, site, epoch, rtt_us) in observations {
        history.observe(ClientKey::V4(client), SiteId(site), epoch, rtt_us);
    }
    history
}

fn merged(parts: &[&History]) -> Vec<u8> {
    let mut all = History::new(100);
    parts.iter().for_each(|part| all.merge(part));
    all.to_bytes()
}

proptest! {
    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        a in observations(), b in observations(), c in observations(),
    ) {
        let (one, two, three) = (history(&a), history(&b), history(&c));
        let all = merged(&[&one, &two, &three]);
        prop_assert_eq!(&all, &merged(&[&three, &one, &two, &one, &three]));
        let mut pair = two.clone();
        pair.merge(&three);
        prop_assert_eq!(&all, &merged(&[&one, &pair]));
    }

    #[test]
    fn what_is_written_is_read_back_and_damage_is_refused(a in observations(), cut in any::<u16>()) {
        let bytes = history(&a).to_bytes();
        prop_assert_eq!(History::from_bytes(&bytes, 100).unwrap().to_bytes(), bytes.clone());
        let cut = usize::from(cut) % bytes.len();
        prop_assert!(History::from_bytes(&bytes[..cut], 100).is_err());
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = History::from_bytes(&bytes, 10);
        let _ = History::from_bytes(&[b"NFH1".as_slice(), &bytes].concat(), 10);
    }
}
