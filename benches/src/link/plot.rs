//! Pictures of the results: SVG written by hand, so that they need nothing and change only with their numbers.

use super::measure::Bin;
use super::record::{Results, Run, Sender, Summary};
use super::scenario::Scenario;
use anyhow::Result;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const PANEL: f64 = 150.0;
const BETWEEN: f64 = 44.0;
const BINS_PER_S: f64 = 10.0;
const OURS: &str = "#15803d";
const THEIRS: &str = "#c2410c";
const FRAME: &str = "#94a3b8";
const ROW: f64 = 26.0;
const NAMES: f64 = 240.0;
/// Of a picture of ratios: a factor of so many either way.
const RATIO_RANGE: f64 = 32.0;

/// One quantity over time.
struct Panel {
    title: &'static str,
    of: fn(&Bin) -> Option<f64>,
    /// What it cannot exceed, drawn dashed.
    limit: Option<fn(&Bin) -> Option<f64>>,
}

const PANELS: [Panel; 3] = [
    Panel { title: "oldest frame shown, ms", of: |bin| bin.age_ms, limit: None },
    Panel { title: "longest wait of the sender's packets, ms", of: |bin| Some(bin.queue_ms), limit: None },
    Panel {
        title: "delivered, Mbit/s; dashed: capacity",
        of: |bin| Some(bin.mbps),
        limit: Some(|bin| bin.capacity_mbps),
    },
];

/// One picture of each scenario over time, of the first seed that both senders have, and one of all ratios.
pub(super) fn write(dir: &Path, scenarios: &[Scenario], results: &Results, summary: &Summary) -> Result<()> {
    fs::create_dir_all(dir)?;
    for scenario in scenarios {
        let whole = |sender| -> Vec<&Run> {
            results.of(scenario, sender).filter(|run| run.outcome.is_ok()).collect()
        };
        let (ours, theirs) = (whole(Sender::Nearframe), whole(Sender::Chromium));
        let paired = ours.iter().find(|one| theirs.iter().any(|other| other.seed == one.seed));
        let Some(first) = paired.or(ours.first()) else { continue };
        let other = theirs.iter().find(|other| other.seed == first.seed);
        let series: Vec<_> =
            [Some(first), other].into_iter().flatten().filter_map(|run| series(run)).collect();
        fs::write(dir.join(format!("{}.svg", scenario.name)), course(&scenario.name, first.seed, &series))?;
    }
    let ratios: Vec<_> = summary
        .iter()
        .filter_map(|(name, numbers)| {
            let ratio = numbers.get("age_p95_ms")?.ratio?;
            Some((name.as_str(), [ratio.median, ratio.low, ratio.high]))
        })
        .collect();
    fs::write(dir.join("frame-age-ratios.svg"), ratio_rows("frame age p95, ours over Chromium's", &ratios))?;
    Ok(())
}

struct Series<'a> {
    sender: Sender,
    bins: &'a [Bin],
}

fn series(run: &Run) -> Option<Series<'_>> {
    Some(Series { sender: run.sender, bins: &run.outcome.as_ref().ok()?.bins })
}

fn colour(sender: Sender) -> &'static str {
    match sender {
        Sender::Nearframe => OURS,
        Sender::Chromium => THEIRS,
    }
}

fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

/// Writing to a String cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => { let _ = writeln!($out, $($text)*); };
}

/// Panels below each other, with a legend above.
fn course(name: &str, seed: u32, series: &[Series<'_>]) -> String {
    let height = TOP + PANELS.len() as f64 * (PANEL + BETWEEN);
    let mut svg = open(WIDTH, height);
    put!(svg, "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}, seed {seed}</text>", escape(name));
    for (i, one) in series.iter().enumerate() {
        let x = WIDTH - RIGHT - 110.0 * (series.len() - i) as f64;
        put!(svg, "<text x=\"{x}\" y=\"20\" fill=\"{}\">■ {}</text>", colour(one.sender), one.sender);
    }
    let length = series.iter().map(|one| one.bins.len()).max().unwrap_or(1).max(1);
    for (i, panel) in PANELS.iter().enumerate() {
        let top = TOP + i as f64 * (PANEL + BETWEEN);
        let values = series.iter().flat_map(|one| one.bins.iter().filter_map(panel.of));
        let most = round_up(values.fold(0.0, f64::max));
        axes(&mut svg, panel.title, top, most, length as f64 / BINS_PER_S);
        if let (Some(limit), Some(one)) = (panel.limit, series.first()) {
            // Cut off above, because a path may be much wider than what is sent.
            let points = line(one.bins, |bin| Some(limit(bin)?.min(most)), length, top, most);
            put!(svg, "<path d=\"{points}\" fill=\"none\" stroke=\"#475569\" stroke-dasharray=\"3 3\"/>");
        }
        for one in series {
            let points = line(one.bins, panel.of, length, top, most);
            put!(
                svg,
                "<path d=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\"/>",
                colour(one.sender)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, title: &str, top: f64, most: f64, seconds: f64) {
    let (right, bottom) = (WIDTH - RIGHT, top + PANEL);
    put!(svg, "<text x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 6.0);
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let (x, y) = (LEFT + share * (right - LEFT), bottom - share * PANEL);
        put!(svg, "<path d=\"M{LEFT} {y}H{right}\" stroke=\"{FRAME}\" stroke-width=\"0.5\"/>");
        put!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, y + 4.0, most * share);
        put!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{} s</text>",
            bottom + 16.0,
            seconds * share
        );
    }
}

/// A line that is broken where there is nothing.
fn line(bins: &[Bin], of: impl Fn(&Bin) -> Option<f64>, length: usize, top: f64, most: f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (i, bin) in bins.iter().enumerate() {
        let Some(value) = of(bin) else {
            pen_down = false;
            continue;
        };
        let x = LEFT + (i as f64 + 0.5) / length as f64 * (WIDTH - RIGHT - LEFT);
        let y = top + PANEL * (1.0 - value / most);
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
        pen_down = true;
    }
    path
}

/// A point and its interval for each, on a logarithmic scale.
fn ratio_rows(title: &str, rows: &[(&str, [f64; 3])]) -> String {
    let height = TOP + ROW * rows.len() as f64 + 30.0;
    let mut svg = open(WIDTH, height);
    put!(svg, "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>", escape(title));
    let x = |ratio: f64| {
        let share = ratio.clamp(1.0 / RATIO_RANGE, RATIO_RANGE).log2() / RATIO_RANGE.log2();
        NAMES + (share + 1.0) / 2.0 * (WIDTH - RIGHT - NAMES - 20.0)
    };
    for power in -5..=5 {
        let ratio = f64::from(power).exp2();
        let bottom = height - 24.0;
        let width = if power == 0 { 1.5 } else { 0.5 };
        put!(svg, "<path d=\"M{0} {TOP}V{bottom}\" stroke=\"{FRAME}\" stroke-width=\"{width}\"/>", x(ratio));
        let label = if power < 0 { format!("1/{}", 1.0 / ratio) } else { format!("{ratio}") };
        put!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", x(ratio), height - 8.0);
    }
    for (i, (name, [middle, low, high])) in rows.iter().enumerate() {
        let y = TOP + ROW * (i as f64 + 0.5);
        put!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            NAMES - 12.0,
            y + 4.0,
            escape(name)
        );
        let (from, to) = (x(*low), x(*high));
        put!(svg, "<path d=\"M{from:.1} {y}H{to:.1}\" stroke=\"{OURS}\" stroke-width=\"3\"/>");
        put!(svg, "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"5\" fill=\"{OURS}\"/>", x(*middle));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The next of 1, 2, 4, 8 times a power of ten, so that quarters are round.
fn round_up(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(0.1).log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= most).unwrap_or(most)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_in_round_numbers_above_everything() {
        let tops = [0.0, 0.9, 3.0, 8.1, 99.0, 250.0].map(round_up);
        assert_eq!(tops, [0.1, 1.0, 4.0, 10.0, 100.0, 400.0]);
    }

    #[test]
    fn a_line_stays_in_its_panel_and_breaks_where_nothing_was_shown() {
        let bin = |age_ms| Bin { age_ms, ..Bin::default() };
        let bins = [bin(Some(0.0)), bin(Some(100.0)), bin(None), bin(Some(50.0))];
        let path = line(&bins, PANELS[0].of, 4, 46.0, 100.0);
        assert_eq!(path.matches('M').count(), 2);
        assert!(path.contains(&format!(" {:.1}", 46.0 + PANEL)) && path.contains(" 46.0"), "{path}");
    }

    #[test]
    fn pictures_are_whole_and_names_do_no_harm() {
        let bins = [Bin { age_ms: Some(12.0), queue_ms: 3.0, mbps: 4.0, capacity_mbps: Some(8.0) }];
        let both = [Sender::Nearframe, Sender::Chromium].map(|sender| Series { sender, bins: &bins });
        for svg in
            [course("a<b&c", 1, &both), ratio_rows("a<b", &[("x", [0.3, 0.2, 0.5])]), course("none", 1, &[])]
        {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("a<b") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
