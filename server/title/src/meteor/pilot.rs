//! The pilot of the demonstration: dodges what is near, lines up with what is not, takes gems.

use super::entities::{GONE_Y, HALF_WIDTH};
use super::sim::{Controls, Sim};
use glam::Vec2;

/// Lanes it chooses between.
const LANES: i32 = 21;
/// How far it looks ahead, in seconds.
const HORIZON_S: f32 = 1.1;
/// Room it wants beside a meteor.
const ROOM: f32 = 1.1;
/// Where it likes to fly.
const HOME_Y: f32 = 4.5;

/// What the pilot does now.
pub(crate) fn fly(sim: &Sim) -> Controls {
    let ship = sim.ship.position;
    let lane_x = |lane: i32| (2 * lane - (LANES - 1)) as f32 / (LANES - 1) as f32 * HALF_WIDTH;
    let mut best = (f32::MAX, ship.x);
    for x in (0..LANES).map(lane_x) {
        let cost = danger(sim, x) + (x - ship.x).abs() * 0.3 + lure(sim, x);
        if cost < best.0 {
            best = (cost, x);
        }
    }
    Controls { target: Some(Vec2::new(best.1, HOME_Y)), fire: true, ..Controls::default() }
}

/// How bad it is to be at `x` when what is near arrives.
fn danger(sim: &Sim, x: f32) -> f32 {
    let ship = sim.ship.position;
    let cost = |rock: &super::entities::Rock| {
        let ahead = rock.position.y - ship.y;
        let arrival_s = ahead / (-rock.velocity.y).max(1.0);
        if rock.position.y < GONE_Y || !(-0.25..HORIZON_S).contains(&arrival_s) {
            return 0.0;
        }
        let room = (rock.position.x + rock.velocity.x * arrival_s.max(0.0) - x).abs() - rock.size.radius();
        // Crossing the way of something that is almost here is as bad as staying in it.
        let crossed = (rock.position.x - ship.x) * (rock.position.x - x) < 0.0 && arrival_s < 0.3;
        let urgency = 1.5 - arrival_s;
        let near = if room < ROOM { 60.0 * (ROOM - room) } else { 0.0 };
        (near + if crossed { 40.0 } else { 0.0 }) * urgency
    };
    sim.rocks.iter().map(cost).sum()
}

/// How far `x` is from what is worth going to.
fn lure(sim: &Sim, x: f32) -> f32 {
    if let Some(gem) = sim.gems.first() {
        return (gem.position.x - x).abs() * 1.5;
    }
    let far = sim.rocks.iter().filter(|rock| rock.position.y - sim.ship.position.y > 8.0);
    let nearest = far.min_by(|a, b| a.position.y.total_cmp(&b.position.y));
    nearest.map_or(0.0, |rock| (rock.position.x + rock.velocity.x * 0.4 - x).abs() * 0.8)
}
