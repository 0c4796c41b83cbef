mod common;
use common::*;
use nearframe_encode::*;
use std::time::{Duration, Instant};
#[test]
#[ignore]
fn measure() {
    let (w, h) = (1280, 720);
    let clip = Clip::new(w, h);
    for target in [1_500_000u32, 3_000_000, 6_000_000, 10_000_000] {
        let settings = VideoSettings { width: w, height: h, fps: 60, bitrate_bps: target };
        let mut e = open_video(settings, VideoPreference::Best).unwrap();
        let n = 360u32;
        let cpu = Instant::now();
        let mut units = vec![];
        let mut t = Duration::ZERO;
        for f in 0..n {
            let s = clip.draw(f);
            let t0 = Instant::now();
            units.push((f, e.encode(&s, request(f, 60, f == 200 || f == 260)).unwrap()));
            t += t0.elapsed();
        }
        let ws = windows(&units, 60);
        let max = ws.iter().cloned().fold(0.0, f64::max) / target as f64;
        let min = ws.iter().cloned().fold(f64::MAX, f64::min) / target as f64;
        let mean = ws.iter().sum::<f64>() / ws.len() as f64 / target as f64;
        let arg = |v: f64| ws.iter().position(|x| (x / target as f64 - v).abs() < 1e-9).unwrap_or(0);
        println!(
            "argmin {} argmax {} sizes {:?}",
            arg(min),
            arg(max),
            units.iter().map(|u| u.1.as_ref().map_or(0, |u| u.data.len() / 100)).collect::<Vec<_>>()
        );
        let skips = units.iter().filter(|u| u.1.is_none()).count();
        let keys: Vec<_> = units
            .iter()
            .filter_map(|u| u.1.as_ref().filter(|u| u.keyframe).map(|u| (u.frame, u.data.len())))
            .collect();
        let first: Vec<_> = units.iter().take(12).map(|u| u.1.as_ref().map_or(0, |u| u.data.len())).collect();
        let mut sizes: Vec<_> =
            units[60..200].iter().map(|u| u.1.as_ref().map_or(0, |u| u.data.len())).collect();
        sizes.sort();
        println!(
            "{target}: window max {max:.3} min {min:.3} mean {mean:.3} skips {skips} keys {keys:?} ms/frame {:.2} p50/p95/max size {} {} {} first {first:?} wall {:?}",
            t.as_secs_f64() * 1e3 / n as f64,
            sizes[70],
            sizes[133],
            sizes[139],
            cpu.elapsed()
        );
    }
}
