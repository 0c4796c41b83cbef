use super::*;
use crate::clock::STEPS_PER_S;
use crate::meteor::entities::Size;
use proptest::prelude::*;

const START: Controls = Controls { steer: Vec2::ZERO, target: None, fire: false, start: true };

fn started(seed: u64) -> Sim {
    let mut sim = Sim::new(seed);
    sim.advance(START);
    assert_eq!(sim.mode, Mode::Play);
    sim
}

/// Plays until game over or `limit_s` seconds; the seconds it took.
fn play(sim: &mut Sim, limit_s: u32, mut player: impl FnMut(&Sim) -> Controls) -> u32 {
    for step in 0..limit_s * STEPS_PER_S {
        let controls = player(sim);
        sim.advance(controls);
        sim.happenings().for_each(drop);
        if matches!(sim.mode, Mode::Over(_)) {
            return step / STEPS_PER_S;
        }
    }
    limit_s
}

fn check(sim: &Sim) {
    assert!(sim.rocks.len() <= MAX_ROCKS && sim.shots.len() <= MAX_SHOTS && sim.gems.len() <= MAX_GEMS);
    assert!(sim.lives <= MAX_LIVES && sim.multiplier() <= MAX_MULTIPLIER);
    assert!(sim.ship.position.x.abs() <= HALF_WIDTH && (NEAR_Y..=FAR_Y).contains(&sim.ship.position.y));
    for rock in &sim.rocks {
        assert!(rock.position.is_finite() && rock.position.x.abs() < WALL_X + 3.0, "{rock:?}");
        assert!(rock.hits_left > 0);
    }
}

#[test]
fn the_pilot_survives_and_the_game_gets_harder() {
    let mut survived_s = Vec::new();
    for seed in 0..5 {
        let mut sim = started(seed);
        let calm = sim.wave.speed();
        survived_s.push(play(&mut sim, 90, pilot::fly));
        assert!(sim.wave.number > 1 && sim.wave.speed() > calm, "seed {seed}");
        assert!(sim.score > 1000, "seed {seed}: {}", sim.score);
    }
    assert!(survived_s.iter().all(|s| *s > 20), "{survived_s:?}");
}

#[test]
fn a_player_who_does_nothing_loses_within_a_minute() {
    for seed in 0..5 {
        let mut sim = started(seed);
        assert!(play(&mut sim, 60, |_| Controls::default()) < 60, "seed {seed}");
        assert_eq!(sim.lives, 0);
    }
}

#[test]
fn fire_restarts_after_game_over_and_keeps_the_best_score() {
    let mut sim = started(1);
    play(&mut sim, 60, |_| Controls::default());
    let best = sim.best;
    assert!(best > 0);
    sim.advance(START);
    assert!(matches!(sim.mode, Mode::Over(_)), "not at once");
    for _ in 0..OVER_MIN_STEPS {
        sim.advance(Controls::default());
    }
    sim.advance(START);
    assert_eq!((sim.mode, sim.score, sim.lives, sim.best), (Mode::Play, 0, START_LIVES, best));
}

#[test]
fn the_demonstration_comes_back_when_nobody_restarts() {
    let mut sim = started(1);
    play(&mut sim, 60, |_| Controls::default());
    for _ in 0..=OVER_MAX_STEPS {
        sim.advance(Controls::default());
    }
    assert_eq!(sim.mode, Mode::Demo);
}

#[test]
fn large_stones_split_gold_drops_a_gem_and_a_shield_takes_one_blow() {
    let mut sim = started(1);
    let rock = Rock {
        id: 0,
        nature: Nature::Stone,
        size: Size::Large,
        position: Vec2::new(0.0, 30.0),
        velocity: Vec2::new(0.0, -10.0),
        hits_left: 1,
        age: 0,
        flash: 0,
    };
    sim.rocks = vec![rock];
    sim.break_rock(0, true);
    assert_eq!(sim.rocks.iter().filter(|part| part.size == Size::Medium).count(), 2);
    sim.rocks = vec![Rock { nature: Nature::Gold, ..rock }];
    sim.break_rock(0, true);
    assert_eq!((sim.rocks.len(), sim.gems.len()), (0, 1));

    (sim.ship.shield, sim.ship.safe) = (true, 0);
    sim.rocks = vec![Rock { position: sim.ship.position, ..rock }];
    sim.hit_ship();
    assert_eq!((sim.lives, sim.ship.shield), (START_LIVES, false));
    sim.ship.safe = 0;
    sim.rocks = vec![Rock { position: sim.ship.position, ..rock }];
    sim.hit_ship();
    assert_eq!(sim.lives, START_LIVES - 1);
}

#[test]
fn a_chain_multiplies_points_and_breaks_with_time() {
    let mut sim = started(1);
    (sim.chain, sim.chain_left) = (CHAIN_LINKS * 2, CHAIN_STEPS);
    assert_eq!(sim.multiplier(), 3);
    for _ in 0..CHAIN_STEPS {
        sim.advance(Controls::default());
    }
    assert_eq!(sim.multiplier(), 1);
}

fn any_controls() -> impl Strategy<Value = Controls> {
    let place = (-30.0f32..30.0, -30.0f32..30.0).prop_map(Vec2::from);
    (place.clone(), proptest::option::of(place), any::<bool>(), proptest::bool::weighted(0.2))
        .prop_map(|(steer, target, fire, start)| Controls { steer, target, fire, start })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two minutes: 120 changes of mind, each held for a second.
    #[test]
    fn random_play_keeps_every_bound_and_never_loses_points(
        seed in any::<u64>(),
        plan in proptest::collection::vec(any_controls(), 120),
    ) {
        let mut sim = Sim::new(seed);
        for controls in plan {
            for step in 0..STEPS_PER_S {
                let (mode, score) = (sim.mode, sim.score);
                sim.advance(Controls { start: controls.start && step == 0, ..controls });
                check(&sim);
                prop_assert!(sim.mode != mode || sim.mode == Mode::Demo || sim.score >= score);
                prop_assert!(sim.happenings().count() <= MAX_HAPPENINGS);
            }
        }
    }
}
