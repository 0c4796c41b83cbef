//! Line charts as SVG, nothing more.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 12.0;
/// By name, so that a sender has one colour in all charts.
const COLOURS: [(&str, &str); 3] = [("ours", "#0b63c4"), ("libwebrtc", "#c4450b"), ("capacity", "#9a9a9a")];
const OTHERS: [&str; 3] = ["#2b8a3e", "#7b3fb0", "#b07d00"];
const TICKS: u32 = 5;

/// One curve.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of several curves over seconds; values above `most` are cut off.
pub(crate) fn chart(title: &str, unit: &str, seconds: (f64, f64), most: f64, series: &[Series]) -> String {
    let x = |at: f64| LEFT + (at - seconds.0) / (seconds.1 - seconds.0) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value.clamp(0.0, most) / most * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"14\" font-size=\"13\">{title}</text>\n"
    );
    for tick in 0..=TICKS {
        let share = f64::from(tick) / f64::from(TICKS);
        let (value, at) = (most * share, seconds.0 + (seconds.1 - seconds.0) * share);
        svg += &line(&[(LEFT, y(value)), (WIDTH - RIGHT, y(value))], "#e4e4e4");
        svg += &text(LEFT - 6.0, y(value) + 4.0, "end", &label(value));
        svg += &text(x(at), HEIGHT - BOTTOM + 16.0, "middle", &label(at));
    }
    svg += &text(LEFT, TOP - 6.0, "end", unit);
    svg += &text(WIDTH - RIGHT, HEIGHT - 8.0, "end", "seconds");
    for (index, one) in series.iter().enumerate() {
        let known = COLOURS.iter().find(|(name, _)| *name == one.name);
        let colour = known.map_or(OTHERS[index % OTHERS.len()], |(_, colour)| colour);
        let inside = one.points.iter().filter(|(at, _)| (seconds.0..=seconds.1).contains(at));
        let points: Vec<(f64, f64)> = inside.map(|&(at, value)| (x(at), y(value))).collect();
        svg += &line(&points, colour);
        let left = LEFT + 12.0 + 150.0 * index as f64;
        svg += &line(&[(left, TOP - 10.0), (left + 18.0, TOP - 10.0)], colour);
        svg += &text(left + 24.0, TOP - 6.0, "start", one.name);
    }
    svg + "</svg>\n"
}

fn label(value: f64) -> String {
    if value.fract().abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn line(points: &[(f64, f64)], colour: &str) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let _ = write!(path, "{x:.1},{y:.1} ");
    }
    format!(
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\" points=\"{}\"/>\n",
        path.trim_end()
    )
}
