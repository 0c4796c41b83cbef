//! The assignment held against an exact solver that shares nothing with it, and groups.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use nearframe_placement::assign::flow::{Assignment, FORBIDDEN, Market, assign};
use nearframe_placement::assign::group;
use nearframe_placement::index::Scratch;
use nearframe_placement::index::search::Query;
use nearframe_placement::latency::SiteId;
use nearframe_placement::profile::Profile;
use nearframe_placement::{Index, Request};
use proptest::prelude::*;
use support::{hash, node, title};

/// What waiting costs in the market, µs.
const WAITING: i64 = 10_000_000;

/// The cheapest assignment of players to single slots, by trying augmenting paths with Bellman and Ford: slow,
/// short, and without potentials or prices.
fn exact_cost(market: &Market) -> i64 {
    let sites = market.capacity.len();
    let mut players = Vec::new();
    for (cell, &demand) in market.demand.iter().enumerate() {
        players.extend((0..demand).map(|_| cell));
    }
    // The last site is the waiting room.
    let mut at: Vec<usize> = vec![sites; players.len()];
    let cost = |player: usize, site: usize| match market.cost_us.get(players[player] * sites + site) {
        _ if site == sites => Some(WAITING),
        Some(&FORBIDDEN) | None => None,
        Some(&cost) => Some(i64::from(cost)),
    };
    loop {
        // A way from the waiting room (as "one slot less used") round to a site with a free slot that saves.
        let used = |site: usize, at: &[usize]| at.iter().filter(|&&there| there == site).count() as u32;
        let mut gain = vec![i64::MAX; sites + 1];
        let mut from: Vec<Option<(usize, usize)>> = vec![None; sites + 1];
        // gain[s]: the cheapest change of cost by which one more player comes to sit at s.
        let mut best: Option<(i64, usize)> = None;
        for start in 0..=sites {
            gain.fill(i64::MAX);
            from.fill(None);
            gain[start] = 0;
            for _ in 0..=sites {
                for (player, &here) in at.iter().enumerate() {
                    let Some(leave) = cost(player, here) else { continue };
                    for site in 0..=sites {
                        let Some(enter) = cost(player, site) else { continue };
                        if site != here && gain[here] != i64::MAX && gain[here] + enter - leave < gain[site] {
                            gain[site] = gain[here] + enter - leave;
                            from[site] = Some((player, here));
                        }
                    }
                }
                if gain[start] < 0 {
                    break;
                }
            }
            if gain[start] < 0 {
                best = Some((gain[start], start));
                break;
            }
            let open = (0..sites).filter(|&site| used(site, &at) < market.capacity[site]).chain([sites]);
            if let Some((saved, site)) = open.map(|site| (gain[site], site)).min()
                && saved < 0
            {
                best = Some((saved, site));
                break;
            }
        }
        let Some((_, end)) = best else { break };
        let mut site = end;
        let mut steps = 0;
        while let Some((player, before)) = from[site] {
            at[player] = site;
            site = before;
            steps += 1;
            if site == end || steps > sites {
                break;
            }
        }
    }
    at.iter().enumerate().map(|(player, &site)| cost(player, site).unwrap()).sum()
}

fn market() -> impl Strategy<Value = Market> {
    (1..5usize, 1..5usize).prop_flat_map(|(cells, sites)| {
        let cost = prop_oneof![5 => 0..200_000u32, 1 => Just(FORBIDDEN)];
        (
            prop::collection::vec(0..5u32, cells),
            prop::collection::vec(0..5u32, sites),
            prop::collection::vec(cost, cells * sites),
        )
            .prop_map(|(demand, capacity, cost_us)| Market { demand, capacity, cost_us })
    })
}

proptest! {
    #[test]
    fn the_assignment_is_the_cheapest_from_any_prices(
        market in market(),
        other in market(),
        prices_us in prop::collection::vec(0..300_000u32, 0..6),
    ) {
        // From the optimum of an unrelated market with made-up prices, which helps nothing and may harm nothing.
        let earlier = Assignment { prices_us, ..assign(&other, &Assignment::default()) };
        let found = assign(&market, &earlier);
        let sites = market.capacity.len();
        for (cell, &demand) in market.demand.iter().enumerate() {
            let placed: u32 = found.flow[cell * sites..(cell + 1) * sites].iter().sum();
            prop_assert_eq!(placed + found.waiting[cell], demand);
        }
        for (site, &capacity) in market.capacity.iter().enumerate() {
            let placed: u32 = found.flow.iter().skip(site).step_by(sites).sum();
            prop_assert!(placed <= capacity);
            prop_assert!(placed == capacity || found.prices_us[site] == 0, "what is left over is worth nothing");
        }
        let waiting: u32 = found.waiting.iter().sum();
        let cost = found.cost_us(&market) as i64 + i64::from(waiting) * WAITING;
        prop_assert_eq!(cost, exact_cost(&market));
        let mut grown = market.clone();
        grown.demand[0] += 2;
        grown.capacity[0] = grown.capacity[0].saturating_sub(1);
        let next = assign(&grown, &found);
        let waiting: u32 = next.waiting.iter().sum();
        prop_assert_eq!(next.cost_us(&grown) as i64 + i64::from(waiting) * WAITING, exact_cost(&grown));
    }
}

fn fleet(slots: [u32; 3]) -> (Index, Query) {
    let mut index = Index::new();
    let key = index.titles.intern(&title(0), hash(0));
    for (n, (region, slots)) in ["DE", "FR", "DE"].into_iter().zip(slots).enumerate() {
        let site = index.add_site(region);
        index.insert(node(n as u8), site, &Profile { slots, ..Profile::default() }, &[key]);
    }
    let query = Query::new(&index, &Request::play(title(0), hash(0))).unwrap();
    (index, query)
}

#[test]
fn friends_share_the_node_whose_farthest_player_is_nearest() {
    let (index, query) = fleet([4, 4, 4]);
    let sites = |rtts: [u32; 3]| rtts.iter().zip(0..).map(|(rtt, site)| (*rtt, SiteId(site))).collect();
    let members = [sites([5_000, 40_000, 70_000]), sites([90_000, 45_000, 20_000])];
    let found = group::on_one_node(&index, &query, &members, 1, &mut Scratch::default()).unwrap();
    assert_eq!((found.handle.site, found.rtt_us), (SiteId(1), 45_000));
}

#[test]
fn a_group_gets_one_region_or_nothing_and_holds_slots_only_then() {
    let (mut index, query) = fleet([1, 2, 1]);
    let near_germany: Vec<_> = [5_000, 50_000, 9_000].into_iter().zip((0..3).map(SiteId)).collect();
    let members = vec![near_germany; 2];
    let mut scratch = Scratch::default();
    let placed = group::in_one_region(&mut index, &query, &members, 1, &mut scratch).unwrap();
    assert!(
        placed.iter().all(|(found, _)| [SiteId(0), SiteId(2)].contains(&found.handle.site)),
        "{placed:?}"
    );
    let placed = group::in_one_region(&mut index, &query, &members, 1, &mut scratch).unwrap();
    assert!(placed.iter().all(|(found, _)| found.handle.site == SiteId(1)), "Germany is full: {placed:?}");
    let (mut index, query) = fleet([1, 1, 0]);
    assert!(group::in_one_region(&mut index, &query, &members, 1, &mut scratch).is_none());
    assert_eq!(index.slots(node(0)), Some((1, 1)), "what half a group had found is free again");
}
