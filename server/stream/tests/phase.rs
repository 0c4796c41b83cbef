//! `FrameClock` against displays of several rates: the wait of a frame settles at a small margin and stays.

use nearframe_stream::FrameClock;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_nanos(16_666_667);
/// Where the margin of a steady path settles, in ms.
const STEADY_MS: std::ops::Range<f64> = 0.7..1.8;

#[derive(Clone, Copy)]
struct Scenario {
    period: Duration,
    refresh_hz: f64,
    /// Whether the page tells the refresh rate.
    told: bool,
    /// Phase of the display, 0..1.
    phase: f64,
    /// Spread of the way from tick to decoded picture, uniform, in ms.
    jitter_ms: f64,
    /// A picture is to be ready so long before its refresh, in ms.
    handover_ms: f64,
    /// Frames until a report is back.
    report_delay: usize,
}

const STEADY: Scenario = Scenario {
    period: PERIOD,
    refresh_hz: 60.0,
    told: true,
    phase: 0.3,
    jitter_ms: 0.5,
    handover_ms: 0.0,
    report_delay: 2,
};

/// A uniform 0..1.
fn dice(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as f64 / (1u64 << 31) as f64
}

/// Runs for `seconds`; `(time in s, wait in ms)` of each shown frame, and how many were sent.
fn run(scenario: &Scenario, seconds: f64) -> (Vec<(f64, f64)>, usize) {
    let start = Instant::now();
    let mut clock = FrameClock::new(scenario.period, start);
    let refresh_s = 1.0 / scenario.refresh_hz;
    clock.set_refresh(scenario.told.then(|| Duration::from_secs_f64(refresh_s)));
    let mut seed = 1u64;
    let mut reports = VecDeque::new();
    let mut shown: Vec<(f64, f64)> = Vec::new();
    let mut last_refresh = f64::MIN;
    for frame in 0u32.. {
        let at = (clock.next_tick() - start).as_secs_f64();
        if at > seconds {
            return (shown, frame as usize);
        }
        clock.tick(clock.next_tick());
        clock.sent(frame);
        let ready = at + 0.011 + scenario.jitter_ms / 1000.0 * dice(&mut seed);
        let in_time = ready + scenario.handover_ms / 1000.0;
        let refresh = ((in_time / refresh_s - scenario.phase).ceil() + scenario.phase) * refresh_s;
        let report = (frame, (refresh - ready) * 1000.0);
        if refresh > last_refresh + refresh_s / 2.0 {
            last_refresh = refresh;
            shown.push((at, report.1));
            reports.push_back(report);
        } else if let Some(newest) = reports.back_mut() {
            // Of two frames that are ready for one refresh the newer is shown.
            *newest = report;
            shown.pop();
            shown.push((at, report.1));
        }
        if reports.len() > scenario.report_delay
            && let Some((frame, wait_ms)) = reports.pop_front()
        {
            clock.shown(frame, (wait_ms * 1000.0) as i64);
        }
    }
    unreachable!("time passes")
}

fn mean(waits: &[(f64, f64)], from_s: f64, to_s: f64) -> f64 {
    let chosen: Vec<f64> =
        waits.iter().filter(|(at, _)| (from_s..to_s).contains(at)).map(|(_, wait)| *wait).collect();
    chosen.iter().sum::<f64>() / chosen.len() as f64
}

#[test]
fn the_wait_settles_at_a_small_margin_on_displays_of_common_rates() {
    for refresh_hz in [59.94, 60.0, 60.02, 120.0] {
        for phase in [0.0, 0.2, 0.45, 0.7, 0.95] {
            let scenario = Scenario { refresh_hz, phase, ..STEADY };
            let (waits, _) = run(&scenario, 60.0);
            for from in [40.0, 45.0, 50.0] {
                let mean = mean(&waits, from, from + 5.0);
                assert!(STEADY_MS.contains(&mean), "{refresh_hz} Hz, phase {phase}: {mean:.2} ms");
            }
            let late = waits.iter().filter(|(at, wait)| *at > 6.0 && *wait > 6.0).count();
            assert!(late <= 20, "{refresh_hz} Hz, phase {phase}: {late} frames missed their refresh");
        }
    }
}

#[test]
fn sixty_frames_are_locked_to_a_display_of_ninety_hertz() {
    for phase in [0.1, 0.4, 0.8] {
        let (waits, sent) = run(&Scenario { refresh_hz: 90.0, phase, ..STEADY }, 60.0);
        let settled: Vec<f64> = waits.iter().filter(|(at, _)| *at > 40.0).map(|&(_, wait)| wait).collect();
        // Every other frame comes half a refresh before its turn, which no phase avoids.
        let (short, long): (Vec<f64>, Vec<f64>) = settled.iter().partition(|&&wait| wait < 4.5);
        assert!(short.len().abs_diff(long.len()) < 40, "{} and {}", short.len(), long.len());
        let mean = short.iter().sum::<f64>() / short.len() as f64;
        assert!(STEADY_MS.contains(&mean), "phase {phase}: {mean:.2} ms");
        assert!(waits.len() + 20 >= sent, "phase {phase}: {} of {sent} were shown", waits.len());
    }
}

#[test]
fn thirty_frames_are_locked_to_displays_of_thirty_and_sixty_hertz() {
    for refresh_hz in [30.0, 60.0] {
        let (waits, sent) = run(&Scenario { period: PERIOD * 2, refresh_hz, ..STEADY }, 90.0);
        let mean = mean(&waits, 60.0, 90.0);
        assert!(STEADY_MS.contains(&mean), "{refresh_hz} Hz: {mean:.2} ms");
        assert!(waits.len() + 20 >= sent, "{refresh_hz} Hz: {} of {sent} were shown", waits.len());
    }
}

#[test]
fn a_long_way_back_does_not_make_the_lock_swing() {
    let scenario = Scenario { phase: 0.6, report_delay: 8, ..STEADY };
    let (waits, _) = run(&scenario, 60.0);
    let settled: Vec<f64> = waits.iter().filter(|(at, _)| *at > 40.0).map(|(_, wait)| *wait).collect();
    let (least, most) =
        (settled.iter().copied().fold(f64::MAX, f64::min), settled.iter().copied().fold(0.0, f64::max));
    assert!(least > 0.2 && most < 2.5, "{least:.1}..{most:.1} ms");
}

#[test]
fn the_margin_grows_with_the_jitter_of_the_path() {
    let wait = |jitter_ms| mean(&run(&Scenario { jitter_ms, ..STEADY }, 60.0).0, 40.0, 60.0);
    let (steady, shaky) = (wait(0.5), wait(7.0));
    assert!(shaky > steady + 2.0 && shaky < 8.4, "{steady:.1} and {shaky:.1} ms");
}

#[test]
fn a_browser_that_takes_long_to_hand_on_a_picture_gets_a_larger_margin_and_misses_few() {
    for handover_ms in [1.0, 2.5] {
        let (waits, sent) = run(&Scenario { handover_ms, jitter_ms: 1.0, ..STEADY }, 120.0);
        let settled = mean(&waits, 60.0, 120.0);
        let range = handover_ms..handover_ms + 1.8;
        assert!(range.contains(&settled), "{handover_ms} ms of handing over: {settled:.2} ms");
        let missed = (sent - waits.len()) as f64 / sent as f64;
        assert!(missed < 0.015, "{handover_ms} ms of handing over: {missed:.4} missed");
    }
}

#[test]
fn a_display_whose_rate_has_no_phase_with_ours_does_not_move_the_clock() {
    for (refresh_hz, told) in [(75.0, true), (144.0, true), (75.0, false)] {
        let (_, sent) = run(&Scenario { refresh_hz, told, ..STEADY }, 20.0);
        assert!((1196..=1206).contains(&sent), "{refresh_hz} Hz: {sent}");
    }
}

#[test]
fn a_display_that_refreshes_when_a_frame_comes_does_not_drag_the_clock_along() {
    let start = Instant::now();
    let mut clock = FrameClock::new(PERIOD, start);
    for frame in 0..3600 {
        clock.tick(clock.next_tick());
        clock.sent(frame);
        clock.shown(frame, 600);
    }
    let drift_ms = ((clock.next_tick() - start).as_secs_f64() - 3600.0 * PERIOD.as_secs_f64()) * 1000.0;
    assert!(drift_ms.abs() < 40.0, "{drift_ms:.1} ms in a minute");
}
