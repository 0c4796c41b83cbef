//! `FrameClock` against displays of several rates: the wait of a frame settles at its target and stays.

use nearframe_stream::FrameClock;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_nanos(16_666_667);
/// The margin that a steady path is given, in ms.
const TARGET_MS: f64 = 4.0;

struct Scenario {
    refresh_hz: f64,
    /// Phase of the display, 0..1.
    phase: f64,
    /// Spread of the way from tick to decoded picture, uniform, in ms.
    jitter_ms: f64,
    /// Frames until a report is back.
    report_delay: usize,
}

/// Runs for `seconds` and returns the wait of each shown frame with its time in s.
fn waits(scenario: &Scenario, seconds: f64) -> Vec<(f64, f64)> {
    let start = Instant::now();
    let mut clock = FrameClock::new(PERIOD, start);
    let refresh_s = 1.0 / scenario.refresh_hz;
    let mut seed = 1u64;
    let mut reports = VecDeque::new();
    let mut shown = Vec::new();
    let mut last_refresh = f64::MIN;
    loop {
        let at = (clock.next_tick() - start).as_secs_f64();
        if at > seconds {
            return shown;
        }
        clock.tick(clock.next_tick());
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let ready = at + 0.011 + scenario.jitter_ms / 1000.0 * ((seed >> 33) as f64 / (1u64 << 31) as f64);
        let refresh = ((ready / refresh_s - scenario.phase).ceil() + scenario.phase) * refresh_s;
        // Of two frames that are ready for one refresh, the page reports the one that is shown.
        if refresh > last_refresh + refresh_s / 2.0 {
            last_refresh = refresh;
            let wait_ms = (refresh - ready) * 1000.0;
            shown.push((at, wait_ms));
            reports.push_back(wait_ms);
        }
        if reports.len() > scenario.report_delay {
            let wait_ms: f64 = reports.pop_front().unwrap_or_default();
            clock.shown((wait_ms * 1000.0) as i64);
        }
    }
}

fn mean(waits: &[(f64, f64)], from_s: f64, to_s: f64) -> f64 {
    let chosen: Vec<f64> =
        waits.iter().filter(|(at, _)| (from_s..to_s).contains(at)).map(|(_, wait)| *wait).collect();
    chosen.iter().sum::<f64>() / chosen.len() as f64
}

#[test]
fn the_wait_settles_at_its_target_on_displays_of_common_rates() {
    for refresh_hz in [59.94, 60.0, 60.02, 120.0] {
        for phase in [0.0, 0.2, 0.45, 0.7, 0.95] {
            let scenario = Scenario { refresh_hz, phase, jitter_ms: 0.5, report_delay: 2 };
            let waits = waits(&scenario, 20.0);
            for from in [6.0, 10.0, 15.0] {
                let mean = mean(&waits, from, from + 4.0);
                assert!((mean - TARGET_MS).abs() < 1.2, "{refresh_hz} Hz, phase {phase}: {mean:.2} ms");
            }
            let late = waits.iter().filter(|(at, wait)| *at > 6.0 && *wait > 12.0).count();
            assert_eq!(late, 0, "{refresh_hz} Hz, phase {phase}: frames missed their refresh");
        }
    }
}

#[test]
fn a_long_way_back_does_not_make_the_lock_swing() {
    let scenario = Scenario { refresh_hz: 60.0, phase: 0.6, jitter_ms: 0.5, report_delay: 8 };
    let waits = waits(&scenario, 20.0);
    let settled: Vec<f64> = waits.iter().filter(|(at, _)| *at > 8.0).map(|(_, wait)| *wait).collect();
    let (least, most) =
        (settled.iter().copied().fold(f64::MAX, f64::min), settled.iter().copied().fold(0.0, f64::max));
    assert!(least > 1.0 && most < 6.0, "{least:.1}..{most:.1} ms");
}

#[test]
fn the_margin_grows_with_the_jitter_of_the_path() {
    let wait = |jitter_ms| {
        let scenario = Scenario { refresh_hz: 60.0, phase: 0.3, jitter_ms, report_delay: 2 };
        mean(&waits(&scenario, 20.0), 10.0, 20.0)
    };
    let (steady, shaky) = (wait(0.5), wait(7.0));
    assert!(shaky > steady + 1.0 && shaky < 8.4, "{steady:.1} and {shaky:.1} ms");
}

#[test]
fn a_display_whose_rate_does_not_divide_into_ours_does_not_stop_the_clock() {
    let scenario = Scenario { refresh_hz: 75.0, phase: 0.1, jitter_ms: 0.5, report_delay: 2 };
    let shown = waits(&scenario, 20.0).len();
    assert!((1150..=1210).contains(&shown), "{shown}");
}
