use super::*;
use crate::fraud::Grade;
use crate::witness::Witness;
use nearframe_protocol::trust::Verdict;
use nearframe_protocol::{MemberId, NodeId};
use proptest::prelude::*;

const DAY: u64 = DAY_MS;

fn case(n: u8) -> CaseId {
    CaseId::from_bytes([n; 16])
}

fn grounds(n: u8, kind: Kind) -> Grounds {
    let witnesses = [Witness::Checker, Witness::Player];
    Grounds::of(case(n), kind, Grade::Slash, &witnesses, Some(Verdict::Upheld)).unwrap()
}

fn member(n: u8) -> Actor {
    Actor::Member { id: MemberId::from_bytes([n; 16]) }
}

fn judge(n: u8, decided: u8, others: bool) -> Judge {
    Judge { by: member(n), decided: Some(member(decided)), others }
}

/// A stake of a thousand units.
fn staked(rules_day: u64) -> Stake {
    let mut stake = Stake::default();
    stake.apply(&stake.post(1_000_000_000, Source::Earnings, None, rules_day).unwrap()).unwrap();
    stake
}

fn apply(stake: &mut Stake, entry: Option<Entry>) -> i128 {
    let entry = entry.unwrap();
    stake.apply(&entry).unwrap();
    entry.amount_micros
}

#[test]
fn a_stake_is_free_when_the_time_of_its_notice_is_over() {
    let (rules, mut stake) = (Rules::default(), staked(0));
    assert_eq!(Stake::default().notice(&rules, None, 0), Err(StakeError::NothingStaked));
    let notice = stake.notice(&rules, Some(member(1)), DAY).unwrap();
    apply(&mut stake, notice);
    assert_eq!(stake.notice(&rules, None, 2 * DAY), Ok(None), "given before");
    assert_eq!(stake.post(1, Source::Earnings, None, 2 * DAY), Err(StakeError::NoticeGiven));
    assert_eq!(stake.due(15 * DAY - 1, |_| false), None);
    let released = stake.due(15 * DAY, |_| false);
    assert_eq!(apply(&mut stake, released), 1_000_000_000);
    assert_eq!((stake.staked_micros, stake.releases_at_ms), (0, None));
    assert_eq!(stake.due(16 * DAY, |_| false), None);
    stake.post(5, Source::Earnings, None, 16 * DAY).unwrap();
}

#[test]
fn a_part_is_taken_when_nobody_appealed_and_its_disputes_are_decided() {
    let (rules, mut stake) = (Rules::default(), staked(0));
    let aside = stake.set_aside(grounds(1, Kind::InflatedTime), &rules, DAY);
    assert_eq!(apply(&mut stake, aside), 500_000_000);
    assert_eq!(stake.set_aside(grounds(1, Kind::InflatedTime), &rules, 3 * DAY), None, "once for each case");
    assert_eq!((stake.free_micros(), stake.aside_micros()), (500_000_000, 500_000_000));
    assert_eq!(stake.due(15 * DAY - 1, |_| false), None);
    assert_eq!(stake.due(15 * DAY, |_| true), None, "what players get back is not decided");
    assert_eq!(stake.appeal(case(1), "no", None, 15 * DAY), Err(StakeError::TooLate));
    let taken = stake.due(15 * DAY, |_| false);
    assert_eq!(apply(&mut stake, taken), 500_000_000);
    assert_eq!((stake.staked_micros, stake.aside_micros()), (500_000_000, 0));
}

#[test]
fn an_appeal_stands_in_the_way_until_another_operator_ruled() {
    let (rules, mut stake) = (Rules::default(), staked(0));
    assert_eq!(stake.appeal(case(1), "no", None, DAY), Err(StakeError::NotSetAside));
    let aside = stake.set_aside(grounds(1, Kind::ClonedKey), &rules, DAY);
    apply(&mut stake, aside);
    let rule = |stake: &Stake, allowed, judge| stake.decide(case(1), allowed, "seen", &judge, 9 * DAY);
    assert_eq!(rule(&stake, true, judge(2, 1, true)), Err(StakeError::NoAppeal));
    stake.apply(&stake.appeal(case(1), "my line was copied", Some(member(9)), 2 * DAY).unwrap()).unwrap();
    assert_eq!(stake.appeal(case(1), "again", None, 2 * DAY), Err(StakeError::AppealedBefore));
    assert_eq!(stake.due(99 * DAY, |_| false), None, "nobody ruled");
    assert_eq!(rule(&stake, true, judge(1, 1, true)), Err(StakeError::SameOperator));
    let mut alone = stake.clone();
    let allowed = rule(&alone, true, judge(1, 1, false)).unwrap();
    apply(&mut alone, allowed);
    assert_eq!((alone.free_micros(), alone.aside_micros()), (1_000_000_000, 0), "there is no other");
    assert_eq!(rule(&alone, true, judge(1, 1, false)), Ok(None), "ruled so before");
    assert_eq!(rule(&alone, false, judge(1, 1, false)), Err(StakeError::NoAppeal));
    assert_eq!(
        alone.set_aside(grounds(1, Kind::ClonedKey), &rules, 9 * DAY),
        None,
        "never again for this case"
    );

    let refused = rule(&stake, false, judge(2, 1, true)).unwrap();
    apply(&mut stake, refused);
    let taken = stake.due(15 * DAY, |_| false);
    assert_eq!(apply(&mut stake, taken), 500_000_000);
}

#[test]
fn cases_of_one_day_cost_no_more_than_its_cap_and_a_notice_saves_nothing() {
    let (rules, mut stake) = (Rules::default(), staked(0));
    let notice = stake.notice(&rules, None, DAY).unwrap();
    apply(&mut stake, notice);
    let first = stake.set_aside(grounds(1, Kind::LeftEarly), &rules, DAY + 1);
    assert_eq!(apply(&mut stake, first), 250_000_000);
    let second = stake.set_aside(grounds(2, Kind::InflatedTime), &rules, DAY + 2);
    assert_eq!(apply(&mut stake, second), 250_000_000, "the cap is half");
    let third = stake.set_aside(grounds(3, Kind::ClonedKey), &rules, DAY + 3);
    assert_eq!(apply(&mut stake, third), 0);
    let next_day = stake.set_aside(grounds(4, Kind::ClonedKey), &rules, 2 * DAY);
    assert_eq!(apply(&mut stake, next_day), 500_000_000, "of what is free");
    assert_eq!(stake.due(15 * DAY - 1, |_| true), None, "nothing is free to be released");
    // Parts are taken one after the other, and nothing is left to be released.
    let mut taken = 0;
    while let Some(entry) = stake.due(99 * DAY, |_| false) {
        taken += apply(&mut stake, Some(entry));
    }
    assert_eq!((taken, stake.staked_micros, stake.releases_at_ms), (1_000_000_000, 0, None));
}

#[test]
fn entries_that_cannot_follow_are_refused() {
    let stake = staked(0);
    let wrong = |amount_micros, deed| Entry { number: 2, at_ms: 1, amount_micros, deed, by: None };
    let taken = Deed::Taken { case: case(1), aside: 1 };
    for entry in [wrong(1_000_000_001, Deed::Released), wrong(0, taken), wrong(-1, Deed::Released)] {
        assert_eq!(stake.clone().apply(&entry), Err(StakeError::OutOfOrder(2)));
    }
    let late = Entry { number: 4, ..wrong(1, Deed::Released) };
    assert_eq!(stake.clone().apply(&late), Err(StakeError::OutOfOrder(4)));
}

#[test]
fn deeds_survive_json_and_have_one_key_each() {
    let node = NodeId::from_bytes([7; 16]);
    let deeds = [
        Deed::Posted { from: Source::Deposit { reference: "bank 4".into() } },
        Deed::SetAside { case: case(1), kind: Kind::OwnPlay, rules: 2, takes_at_ms: 3 },
        Deed::Released,
    ];
    for deed in deeds {
        let text = serde_json::to_string(&deed).unwrap();
        assert!(text.contains(&format!("\"deed\":\"{}\"", deed.as_str())), "{text}");
        assert_eq!(serde_json::from_str::<Deed>(&text).unwrap(), deed);
    }
    assert_ne!(Entry::key(node, 1), Entry::key(node, 2));
}

fn any_witnesses() -> impl Strategy<Value = Vec<Witness>> {
    let one = prop_oneof![
        Just(Witness::Player),
        Just(Witness::Checker),
        Just(Witness::Lease),
        Just(Witness::Itself),
        Just(Witness::Peer),
    ];
    prop::collection::vec(one, 0..4)
}

proptest! {
    #[test]
    fn a_lone_witness_never_costs_stake(
        witnesses in any_witnesses(), grade in 0_usize..3, verdict in 0_usize..3, kind in 0_usize..10,
    ) {
        let grade = [Grade::Watch, Grade::Review, Grade::Slash][grade];
        let verdict = [None, Some(Verdict::Dismissed), Some(Verdict::Upheld)][verdict];
        let found = Grounds::of(case(1), Kind::ALL[kind], grade, &witnesses, verdict);
        let may = witnesses.len() >= 2 && grade == Grade::Slash && verdict == Some(Verdict::Upheld);
        prop_assert_eq!(found.is_some(), may);
    }

    /// Whatever happens in whatever order: nothing appears, nothing vanishes, and no part is ever more than there is.
    #[test]
    fn what_was_staked_is_staked_released_or_taken(
        steps in prop::collection::vec((0_u8..7, 0_u8..5, 0_u64..40 * DAY, 1_i128..1_000_000), 1..60),
    ) {
        let rules = Rules { cap_permille: 700, ..Rules::default() };
        let (mut stake, mut now, mut entries) = (Stake::default(), 0, vec![]);
        for (what, n, later, amount) in steps {
            now += later / 8;
            let next = match what {
                0 | 1 => stake.post(amount, Source::Earnings, None, now).ok(),
                2 => stake.notice(&rules, None, now).ok().flatten(),
                3 => stake.set_aside(grounds(n, Kind::ALL[usize::from(n)]), &rules, now),
                4 => stake.appeal(case(n), "no", None, now).ok(),
                5 => stake.decide(case(n), amount % 2 == 0, "r", &judge(1, 2, true), now).ok().flatten(),
                _ => stake.due(now, |_| amount % 3 == 0),
            };
            if let Some(entry) = next {
                stake.apply(&entry).unwrap();
                entries.push(entry);
            }
            let sum = |of: &str| -> i128 {
                entries.iter().filter(|entry| entry.deed.as_str() == of).map(|entry| entry.amount_micros).sum()
            };
            prop_assert_eq!(stake.staked_micros, sum("posted") - sum("released") - sum("taken"));
            prop_assert_eq!(stake.aside_micros(), sum("set_aside") - sum("freed") - sum("taken"));
            prop_assert!((0..=stake.staked_micros).contains(&stake.aside_micros()));
        }
        prop_assert_eq!(Stake::of(&entries).unwrap(), stake);
    }
}
