//! The day as pictures: SVG written by hand, a few kilobytes each.

use super::world::Hour;
use anyhow::Result;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 34.0;
const FRAME: &str = "#94a3b8";
const COLOURS: [&str; 2] = ["#15803d", "#c2410c"];

type Line = (&'static str, fn(&Hour) -> f64);

/// One picture each of load, round trips and interruptions by hour.
pub(super) fn write(folder: &Path, hours: &[Hour]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let pictures: [(&str, &str, &[Line]); 3] = [
        (
            "fleet-load.svg",
            "share of slots in use, and players waiting (hundreds), by hour",
            &[("in use", |hour| hour.load), ("waiting", |hour| hour.waiting / 100.0)],
        ),
        (
            "fleet-rtt.svg",
            "mean round trip by hour, ms: as placed, and by an oracle",
            &[("placed", |hour| hour.rtt_ms), ("oracle", |hour| hour.oracle_ms)],
        ),
        (
            "fleet-interruptions.svg",
            "sessions broken by nodes and sites that failed, and tasks that made way, by hour",
            &[("broken", |hour| hour.interrupted), ("made way", |hour| hour.evicted)],
        ),
    ];
    for (file, title, lines) in pictures {
        fs::write(folder.join(file), picture(title, lines, hours))?;
    }
    Ok(())
}

fn picture(title: &str, lines: &[Line], hours: &[Hour]) -> String {
    let values = lines.iter().flat_map(|(_, of)| hours.iter().map(of));
    let most = values.fold(0.0, f64::max).max(1e-9);
    let x =
        |at: usize| LEFT + (WIDTH - LEFT - 16.0) * at as f64 / hours.len().saturating_sub(1).max(1) as f64;
    let y = |value: f64| HEIGHT - 30.0 - (HEIGHT - 30.0 - TOP) * value / most;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{title}</text>"
    );
    for share in [0.0, 0.5, 1.0] {
        let (at, value) = (y(most * share), most * share);
        let _ = write!(
            out,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"{FRAME}\" stroke-width=\"0.5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>",
            WIDTH - 16.0,
            LEFT - 6.0,
            at + 4.0
        );
    }
    for hour in (0..hours.len()).step_by(6) {
        let _ = write!(out, "<text x=\"{:.1}\" y=\"{}\">{hour} h</text>", x(hour), HEIGHT - 12.0);
    }
    for ((name, of), (colour, serial)) in lines.iter().zip(COLOURS.into_iter().zip(0..)) {
        let points: Vec<String> =
            hours.iter().enumerate().map(|(at, hour)| format!("{:.1},{:.1}", x(at), y(of(hour)))).collect();
        let _ = write!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <text x=\"{:.1}\" y=\"18\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
            points.join(" "),
            WIDTH - 16.0 - 60.0 * f64::from(serial)
        );
    }
    out + "</svg>\n"
}
