use super::*;
use proptest::prelude::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const END: u64 = 1_000 * HOUR;

fn machine(n: u8, owner: u8, reached: Times) -> Machine {
    Machine {
        node: NodeId::from_bytes([n; 16]),
        owner: Some(AccountId::from_bytes([owner; 16])),
        region: "DE".into(),
        network: None,
        reached,
    }
}

fn span(from: u64, until: u64) -> Times {
    std::iter::once(from..until).collect()
}

fn seen(machines: Vec<Machine>) -> Seen {
    Seen { time: 0..END, service: span(0, END), machines }
}

/// Reached save from then for so long.
fn away(begins: u64, lasts: u64) -> Times {
    joined(vec![0..begins, begins + lasts..END])
}

#[test]
fn times_are_joined_cut_and_subtracted() {
    let times = joined(vec![5..7, 1..3, 3..4, 9..9]);
    assert_eq!(times, [1..4, 5..7]);
    assert_eq!(within(&times, &span(2, 6)), [2..4, 5..6]);
    assert_eq!(without(&times, &span(2, 6)), [1..2, 6..7]);
    assert_eq!(length_ms(&times), 5);
}

#[test]
fn an_outage_of_one_is_its_own_and_one_of_many_is_shared_until_half_are_back() {
    let lost = |n: u8, minutes: u64| machine(n, n, away(100 * HOUR + u64::from(n) * 1_000, minutes * MINUTE));
    let alone = seen(vec![lost(1, 60), machine(2, 2, span(0, END)), machine(3, 3, span(0, END))]);
    let reach = alone.reach(&alone.machines[0], 0);
    assert_eq!((reach.due_ms, reach.up_ms, reach.excused_ms), (END, END - 60 * MINUTE, 0));
    assert_eq!(reach.own_ms(), 60 * MINUTE);
    assert_eq!(reach.reachable_ppm(), Some(999_000));

    let many = seen(vec![lost(1, 600), lost(2, 30), lost(3, 40), machine(4, 4, span(0, END))]);
    let reach = many.reach(&many.machines[0], 0);
    // The others are back after 40 minutes, which began 2 s later than its own; then come five minutes.
    assert_eq!(reach.excused_ms, 45 * MINUTE + 2_000);
    let crowd = (4..9).map(|n| machine(n, n, span(0, END)));
    let few = seen([lost(1, 60), lost(2, 30), lost(3, 40)].into_iter().chain(crowd).collect());
    assert_eq!(few.reach(&few.machines[0], 0).excused_ms, 0, "2 of 7 others are not half of them");
}

#[test]
fn a_network_of_its_own_that_fails_excuses_those_in_it() {
    let in_network = |n: u8, reached| Machine { network: Some(7), ..machine(n, n, reached) };
    let hole = || away(100 * HOUR, HOUR);
    let crowd = (10..30).map(|n| machine(n, n, span(0, END)));
    let all = [in_network(1, hole()), in_network(2, hole()), in_network(3, hole())];
    let seen = seen(all.into_iter().chain(crowd).collect());
    assert_eq!(seen.reach(&seen.machines[0], 0).own_ms(), 0);
    assert_eq!(seen.reach(&seen.machines[10], 0).own_ms(), 0);
}

#[test]
fn the_matchmakers_own_pauses_count_for_nobody() {
    let service = vec![0..50 * HOUR, 60 * HOUR..END];
    let back = |minutes: u64| joined(vec![0..50 * HOUR, 60 * HOUR + minutes * MINUTE..END]);
    let seen = Seen { time: 0..END, service, machines: vec![machine(1, 1, back(4)), machine(2, 2, back(6))] };
    let reach = seen.reach(&seen.machines[0], 0);
    assert_eq!((reach.due_ms, reach.own_ms()), (END - 10 * HOUR - 4 * MINUTE, 0));
    assert_eq!(seen.reach(&seen.machines[1], 0).own_ms(), 6 * MINUTE);
    assert_eq!(seen.reach(&seen.machines[1], 70 * HOUR).due_ms, END - 70 * HOUR, "since it came");
}

#[test]
fn a_site_is_reached_while_one_of_its_machines_is() {
    let seen = seen(vec![machine(1, 1, away(10 * HOUR, 2 * HOUR)), machine(2, 2, away(11 * HOUR, 2 * HOUR))]);
    let both = [(&seen.machines[0], 0), (&seen.machines[1], 0)];
    assert_eq!(seen.site(&both).up_ms, END - HOUR);
}

#[test]
fn who_is_away_for_too_long_has_left_and_other_owners_prove_it() {
    let gone = machine(1, 1, span(0, 900 * HOUR));
    let found = |others: Vec<Machine>, hours| {
        let seen = seen([gone.clone()].into_iter().chain(others).collect());
        seen.left_early(&seen.machines[0], 0, hours)
    };
    let here = |n: u8| machine(n, n, span(0, END));
    assert_eq!(found(vec![here(2), here(3)], 100), None, "not longer than that");
    let (gone_ms, finding) = found(vec![here(2), here(3)], 99).unwrap();
    assert_eq!((gone_ms, finding.grade, finding.kind), (900 * HOUR, Grade::Slash, Kind::LeftEarly));
    assert_eq!(finding.witnesses, [Witness::Lease, Witness::Peer, Witness::Peer]);
    let (_, finding) =
        found(vec![here(2), Machine { node: NodeId::from_bytes([9; 16]), ..here(2) }], 72).unwrap();
    assert_eq!(finding.grade, Grade::Review, "two machines of one owner are one witness");
    let shared = |n: u8| machine(n, n, span(0, 900 * HOUR));
    assert_eq!(found(vec![shared(2), shared(3)], 72), None, "it went with the others");
    let back = |n: u8| machine(n, n, away(900 * HOUR, HOUR));
    assert!(found(vec![back(2), back(3)], 72).is_some(), "the others are back");
}

proptest! {
    /// However many machines of one owner fail at once: that excuses none of them.
    #[test]
    fn an_owners_own_machines_never_excuse_each_other(
        begins in prop::collection::vec(0_u64..10 * MINUTE, 2..20), others in 0_usize..5, lasts in 1_u64..50 * HOUR,
    ) {
        let own = begins.iter().zip(1..).map(|(begin, n)| machine(n, 1, away(500 * HOUR + begin, lasts)));
        let crowd = (0..others).map(|n| machine(100 + n as u8, 100 + n as u8, span(0, END)));
        let seen = seen(own.chain(crowd).collect());
        for one in &seen.machines {
            prop_assert_eq!(seen.excused(one, 0), vec![]);
        }
    }

    #[test]
    fn no_time_is_counted_twice(
        cuts in prop::collection::vec((0_u64..100, 0_u64..100, 1_u8..6), 0..30), ran in prop::collection::vec((0_u64..100, 0_u64..100), 0..5),
    ) {
        let times = |pairs: Vec<(u64, u64)>| {
            joined(pairs.into_iter().map(|(a, b)| a.min(b) * HOUR..a.max(b) * HOUR).collect())
        };
        let of = |n: u8| times(cuts.iter().filter(|cut| cut.2 == n).map(|cut| (cut.0, cut.1)).collect());
        let machines = (1..6).map(|n| machine(n, n, of(n))).collect();
        let seen = Seen { time: 0..100 * HOUR, service: times(ran), machines };
        for one in &seen.machines {
            let reach = seen.reach(one, 0);
            prop_assert!(reach.up_ms + reach.excused_ms <= reach.due_ms);
            prop_assert!(reach.due_ms <= length_ms(&seen.service));
        }
    }
}
