//! Which figures `latency` reports, and their goals.

use super::Measured;
use super::analysis::Samples;
use crate::quantile::quantile;
use crate::report::{Report, Spec, higher, lower};

const AGE: [Spec; 3] = [
    lower("frame_age_p50_ms", "ms", None),
    lower("frame_age_p95_ms", "ms", None),
    lower("frame_age_p99_ms", "ms", None),
];
const INPUT: [Spec; 3] = [
    lower("input_visible_p50_ms", "ms", Some(24.0)),
    lower("input_visible_p95_ms", "ms", None),
    lower("input_visible_p99_ms", "ms", None),
];
const PEER_AGE: [Spec; 3] = [
    lower("peer_frame_age_p50_ms", "ms", None),
    lower("peer_frame_age_p95_ms", "ms", None),
    lower("peer_frame_age_p99_ms", "ms", None),
];
const PEER_INPUT: [Spec; 3] = [
    lower("peer_input_visible_p50_ms", "ms", None),
    lower("peer_input_visible_p95_ms", "ms", None),
    lower("peer_input_visible_p99_ms", "ms", None),
];
const AGE_RATIO: Spec = lower("frame_age_p50_ratio", "", Some(0.5));
const AGE_TAIL_RATIO: Spec = lower("frame_age_p95_ratio", "", None);
const INPUT_RATIO: Spec = lower("input_visible_p50_ratio", "", None);
const SHOWN_FPS: Spec = higher("shown_fps", "1/s", Some(58.0));
const PEER_FPS: Spec = higher("peer_shown_fps", "1/s", None);
const FREEZES: Spec = lower("freezes", "", Some(0.0));
const FIRST_FRAME: Spec = lower("first_frame_ms", "ms", Some(1000.0));
const CPU: Spec = lower("server_cpu_s_per_s", "s/s", Some(0.4));
const DRAWING_CPU: Spec = lower("title_drawing_cpu_s_per_s", "s/s", None);
const MEMORY: Spec = lower("session_rss_mb", "MB", Some(150.0));
const GROWTH: Spec = lower("session_rss_growth_mb", "MB", None);
const BITRATE_HIGH: Spec = lower("bitrate_error_ratio", "", Some(1.1));
const BITRATE_LOW: Spec = higher("bitrate_low_ratio", "", Some(0.9));
const BITRATE: Spec = higher("received_mbps", "Mbit/s", None);
const PEER_BITRATE: Spec = higher("peer_received_mbps", "Mbit/s", None);
const JITTER_BUFFER: Spec = lower("jitter_buffer_ms", "ms", None);
const DECODE: Spec = lower("decode_ms", "ms", None);
const PEER_JITTER_BUFFER: Spec = lower("peer_jitter_buffer_ms", "ms", None);
const READABLE: Spec = higher("readable_stamps", "", Some(0.99));
const OWN_AGE_GAP: Spec = lower("page_frame_age_gap_ms", "ms", Some(2.0));
const OWN_INPUT_GAP: Spec = lower("page_input_visible_gap_ms", "ms", Some(4.0));

const NO_FRAME: &str = "no frame with a whole stamp was shown";
const NO_INPUT: &str = "no key event was seen in the picture";

/// Adds every figure, or why it is absent.
pub(super) fn add(measured: &Measured, report: &mut Report) {
    let ours = &measured.ours;
    let (ages, inputs) = (ours.frame_ages_ms(), ours.input_visible_ms());
    quantiles(report, &AGE, &ages, NO_FRAME);
    quantiles(report, &INPUT, &inputs, NO_INPUT);
    report.add(SHOWN_FPS, ours.shown_fps(), NO_FRAME);
    report.add(READABLE, ours.readable(), NO_FRAME);
    report.add(FREEZES, Some(ours.freezes()), "");
    report.add(FIRST_FRAME, quantile(&measured.first_frames_ms, 0.5), NO_FRAME);
    report.add(JITTER_BUFFER, ours.jitter_buffer_ms(), NO_FRAME);
    report.add(DECODE, ours.decode_ms(), NO_FRAME);
    report.add(BITRATE, ours.bitrate_mbps(), NO_FRAME);
    cost(measured, report);
    measured.stages.add(report);
    measured.cpu.add(report);
    bitrate(ours, report);
    agreement(measured, &ages, &inputs, report);
    match &measured.peer {
        Ok(peer) => compare(ours, peer, report),
        Err(error) => {
            let why = format!("{error:#}");
            let ratios = [AGE_RATIO, AGE_TAIL_RATIO, INPUT_RATIO, PEER_FPS, PEER_BITRATE, PEER_JITTER_BUFFER];
            ratios.into_iter().chain(PEER_AGE).chain(PEER_INPUT).for_each(|spec| report.skip(spec, &why));
        }
    }
}

fn quantiles(report: &mut Report, specs: &[Spec; 3], samples: &[f64], why: &str) {
    for (spec, p) in specs.iter().zip([0.5, 0.95, 0.99]) {
        report.add(*spec, quantile(samples, p), why);
    }
}

fn cost(measured: &Measured, report: &mut Report) {
    let session = measured.cost.cpu_s_per_s - measured.drawing_s_per_s;
    report.add(CPU, Some(session), "");
    report.add(DRAWING_CPU, Some(measured.drawing_s_per_s), "");
    report.add(MEMORY, Some(measured.cost.pss_mb), "");
    report.add(GROWTH, Some(measured.cost.pss_growth_mb), "");
}

fn bitrate(ours: &Samples, report: &mut Report) {
    let ratios = ours.bitrate_ratios();
    let why = "the page got no frame facts for a whole second";
    report.add(BITRATE_HIGH, ratios.map(|(_, high)| high), why);
    report.add(BITRATE_LOW, ratios.map(|(low, _)| low), why);
}

/// How far the page's own statistics are from what its picture says.
fn agreement(measured: &Measured, ages: &[f64], inputs: &[f64], report: &mut Report) {
    let gap = |own: &[f64], seen: &[f64]| {
        // The page keeps more than was measured: the newest are the same frames.
        let own = &own[own.len().saturating_sub(seen.len())..];
        Some((quantile(own, 0.5)? - quantile(seen, 0.5)?).abs())
    };
    let why = "the page measured nothing itself";
    report.add(OWN_AGE_GAP, gap(&measured.own.frame_ages_ms, ages), why);
    report.add(OWN_INPUT_GAP, gap(&measured.own.input_visible_ms, inputs), why);
}

fn compare(ours: &Samples, peer: &Samples, report: &mut Report) {
    let (ages, inputs) = (peer.frame_ages_ms(), peer.input_visible_ms());
    quantiles(report, &PEER_AGE, &ages, NO_FRAME);
    quantiles(report, &PEER_INPUT, &inputs, NO_INPUT);
    report.add(PEER_FPS, peer.shown_fps(), NO_FRAME);
    report.add(PEER_BITRATE, peer.bitrate_mbps(), NO_FRAME);
    report.add(PEER_JITTER_BUFFER, peer.jitter_buffer_ms(), NO_FRAME);
    let ratio = |ours: &[f64], theirs: &[f64], p: f64| Some(quantile(ours, p)? / quantile(theirs, p)?);
    report.add(AGE_RATIO, ratio(&ours.frame_ages_ms(), &ages, 0.5), NO_FRAME);
    report.add(AGE_TAIL_RATIO, ratio(&ours.frame_ages_ms(), &ages, 0.95), NO_FRAME);
    report.add(INPUT_RATIO, ratio(&ours.input_visible_ms(), &inputs, 0.5), NO_INPUT);
}
