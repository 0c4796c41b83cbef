//! What `docs/congestion-control.md` shows: a table of our congestion control and libwebrtc's on the same
//! simulated paths, and its plots.
//!
//! `cargo run --release -p nearframe-stream --example control -- [--plots FOLDER] [TRACE…]`
//!
//! `TRACE` is a file in mahimahi's format. Where one has `.down` in its name and another is the same with `.up`, there
//! is a row more, in which reports come back over the latter.

#[path = "../../tests/control/flow.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod flow;
#[path = "../../tests/control/gcc.rs"]
mod gcc;
#[path = "../../tests/control/gcc_sender.rs"]
mod gcc_sender;
#[path = "../../tests/pair/link.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod link;
mod plot;
#[path = "../../tests/control/tcp.rs"]
mod tcp;
#[path = "../../tests/control/trace.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod trace;
#[path = "../../tests/control/world.rs"]
mod world;

use flow::Flow;
use link::Path;
use plot::{Series, chart};
use std::error::Error;
use std::io::Write;
use std::path::{Path as File, PathBuf};
use std::time::{Duration, Instant};
use tcp::Kind;
use world::{World, alone, jain, median, percentile};

type Trace = std::sync::Arc<[u32]>;
type Maker = fn(Instant, Duration, u64) -> Flow;
type Outcome<T> = Result<T, Box<dyn Error>>;

const SECOND: Duration = Duration::from_secs(1);
const SENDERS: [(&str, Maker); 2] = [("libwebrtc", Flow::gcc), ("ours", Flow::ours)];
const SEEDS: u64 = 10;
/// Runs over both ways of a trace, as those of the bench of real processes: their length, what of it does not count, and
/// how far apart they begin.
const BOTH_WAYS_S: f64 = 36.0;
const WARM_UP_S: f64 = 6.0;
const BETWEEN_STARTS_MS: u32 = 11_300;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn main() -> Outcome<()> {
    let mut traces: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut plots = None;
    if traces.first().is_some_and(|first| first.as_os_str() == "--plots") {
        plots = Some(traces.drain(..2.min(traces.len())).nth(1).ok_or("--plots wants a folder")?);
    }
    let mut out = std::io::stdout().lock();
    let began = Instant::now();
    let mut simulated_s = 0.0;
    writeln!(out, "| path | sender | Mbit/s | age p50 | p95 | p99 | own queue p95 | still > 100 ms |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for (name, path, seconds) in paths(&traces)? {
        for (who, make) in SENDERS {
            let rows: Vec<[f64; 6]> = (0..SEEDS).map(|seed| row(&path, make, seconds, seed)).collect();
            write_row(&mut out, &name, who, &rows)?;
            simulated_s += seconds as f64 * SEEDS as f64;
        }
    }
    for (name, down, up) in pairs(&traces)? {
        let limited: [(&str, Maker); 2] = [("libwebrtc", Flow::gcc_to_ten), ("ours", Flow::ours_to_ten)];
        for (who, make) in limited {
            let rows: Vec<[f64; 6]> = (0..SEEDS).map(|seed| both_ways(&down, &up, make, seed)).collect();
            write_row(&mut out, &format!("{name}, both ways"), who, &rows)?;
            simulated_s += BOTH_WAYS_S * SEEDS as f64;
        }
    }
    let steps: [(&str, Maker); 3] = [SENDERS[0], SENDERS[1], ("ours, reports every 50 ms", Flow::unasked)];
    for (who, make) in steps {
        let back: Vec<f64> = (0..SEEDS * 2).map(|seed| step(make, seed).1).collect();
        writeln!(
            out,
            "20 → 5 Mbit/s, {who}: picture young again after {:.0} ms, {:.0} at worst",
            median(back.clone()) * 1000.0,
            back.into_iter().fold(0.0, f64::max) * 1000.0
        )?;
    }
    for (who, make) in SENDERS {
        writeln!(out, "fairness, {who}: {}", fairness(make))?;
    }
    let speed = simulated_s / began.elapsed().as_secs_f64();
    writeln!(out, "more than {speed:.0} simulated seconds a second")?;
    plots.map_or(Ok(()), |folder| draw(&folder))
}

fn paths(traces: &[PathBuf]) -> Outcome<Vec<(String, Path, u64)>> {
    let mut paths: Vec<(String, Path, u64)> = [2.0, 4.0, 8.0, 15.0]
        .map(|mbps| (format!("{mbps} Mbit/s, 200 ms"), Path::of(mbps * 1e6, ms(200)), 30))
        .into();
    paths.push(("15 Mbit/s, 20 ms".into(), Path::of(15e6, ms(20)), 30));
    let jittery = Path { jitter: ms(20), delay: ms(60), loss: 0.02, ..Path::of(15e6, ms(100)) };
    paths.push(("15 Mbit/s, 20 ms jitter, 2 % loss".into(), jittery, 30));
    for seed in 0..3 {
        paths.push((format!("fading {seed}"), trace::path(trace::fading(seed, 60)), 60));
    }
    for file in traces {
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        paths.push((name, trace::path(trace::parse(&std::fs::read_to_string(file)?)?), 120));
    }
    Ok(paths)
}

fn write_row(out: &mut impl Write, name: &str, who: &str, rows: &[[f64; 6]]) -> Outcome<()> {
    let [rate, p50, p95, p99, queue, still] =
        std::array::from_fn(|column| median(rows.iter().map(|row| row[column]).collect()));
    writeln!(
        out,
        "| {name} | {who} | {rate:.2} | {p50:.0} | {p95:.0} | {p99:.0} | {queue:.1} | {still:.1} s |"
    )?;
    Ok(())
}

/// Traces of which both ways are there, by the name of the path.
fn pairs(traces: &[PathBuf]) -> Outcome<Vec<(String, Trace, Trace)>> {
    let name =
        |file: &PathBuf| file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let mut pairs = Vec::new();
    for down in traces.iter().filter(|file| name(file).contains(".down")) {
        let wanted = name(down).replace(".down", ".up");
        let Some(up) = traces.iter().find(|file| name(file) == wanted) else { continue };
        let read = |file: &PathBuf| -> Outcome<Trace> { Ok(trace::parse(&std::fs::read_to_string(file)?)?) };
        pairs.push((name(down).replace(".down", ""), read(down)?, read(up)?));
    }
    Ok(pairs)
}

/// As [`row`], on a path of which both ways follow a trace from another place in it for each seed, and hold 200 ms.
fn both_ways(down: &Trace, up: &Trace, make: Maker, seed: u64) -> [f64; 6] {
    let path = |trace| trace::short(trace::begun_at(trace, seed as u32 * BETWEEN_STARTS_MS));
    let world = World::new(&path(down), seed).back_over(&path(up), seed);
    let flow = make(world.start(), Duration::ZERO, seed);
    let world = world.with(flow).run_until(Duration::from_secs_f64(BOTH_WAYS_S));
    seen(&world.flows[0], WARM_UP_S, BOTH_WAYS_S)
}

/// Mbit/s, age p50, p95, p99, own queue p95 in ms, seconds of stills.
fn row(path: &Path, make: Maker, seconds: u64, seed: u64) -> [f64; 6] {
    let world = alone(path, make, Duration::from_secs(seconds), seed);
    seen(&world.flows[0], 2.0, seconds as f64 - 1.0)
}

fn seen(flow: &Flow, from: f64, to: f64) -> [f64; 6] {
    let ages = flow.ages_ms(from, to);
    let age = |share| percentile(&ages, share);
    let queue = percentile(&flow.queueing_ms(from, to), 0.95);
    [flow.delivered_bps(from, to) / 1e6, age(0.5), age(0.95), age(0.99), queue, flow.stalled_s(from, to)]
}

/// Ages around a fall from 20 to 5 Mbit/s after six seconds, and the time until the picture is young again.
fn step(make: Maker, seed: u64) -> (Vec<(f64, f64)>, f64) {
    let at = 6 * SECOND + ms(seed * 7);
    let mut path = Path::of(20e6, ms(200));
    path.rate_bps.push((at, 5e6));
    let world = alone(&path, make, 14 * SECOND, seed);
    let flow = &world.flows[0];
    let limit = 2.0 * percentile(&flow.ages_ms(3.0, 6.0), 0.5);
    (flow.ages(), flow.recovery_s(at.as_secs_f64(), limit))
}

fn flows(make: Maker, count: u32, seed: u64) -> World {
    let mut world = World::new(&Path::of(12e6, ms(150)), seed);
    let start = world.start();
    for index in 0..count {
        world = world.with(make(start, ms(5003) * index, seed * 10 + u64::from(index)));
    }
    world.run_until(75 * SECOND)
}

fn beside_tcp(make: Maker, kind: Kind, buffer: u64, seed: u64) -> World {
    let world = World::new(&Path::of(12e6, ms(buffer)), seed);
    let flow = make(world.start(), Duration::ZERO, seed);
    world.with(flow).with_tcp(kind, 5 * SECOND..Duration::MAX).run_until(70 * SECOND)
}

fn fairness(make: Maker) -> String {
    let own = |count| {
        let index = |seed| {
            let world = flows(make, count, seed);
            jain(&world.flows.iter().map(|flow| flow.delivered_bps(15.0, 75.0)).collect::<Vec<_>>())
        };
        median((0..SEEDS).map(index).collect())
    };
    let tcp = |kind| {
        let share =
            |(buffer, seed)| beside_tcp(make, kind, buffer, seed).flows[0].delivered_bps(10.0, 70.0) / 6e6;
        let mut shares: Vec<f64> =
            [60, 100, 150, 200, 300].into_iter().flat_map(|b| [(b, 1), (b, 2)]).map(share).collect();
        shares.sort_by(f64::total_cmp);
        format!("{:.2} to {:.2}", shares[0], shares[shares.len() - 1])
    };
    format!(
        "Jain {:.3} of two, {:.3} of three; of a fair share beside Reno {}, beside CUBIC {}",
        own(2),
        own(3),
        tcp(Kind::Reno),
        tcp(Kind::Cubic)
    )
}

fn draw(folder: &File) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let save = |name: &str, svg: String| std::fs::write(folder.join(name), svg);
    let both = |of: &dyn Fn(Maker) -> Vec<(f64, f64)>| -> Vec<Series> {
        SENDERS.map(|(name, make)| Series { name, points: of(make) }).into()
    };
    let ages = both(&|make| step(make, 0).0);
    let title = "Age of the picture; capacity falls from 20 to 5 Mbit/s at 6 s";
    save("control-step.svg", chart(title, "ms", (5.5, 12.0), 700.0, &ages))?;
    let wide = Path::of(22e6, ms(100));
    let targets = both(&|make| targets(&alone(&wide, make, 3 * SECOND, 1).flows[0]));
    save("control-start.svg", chart("Target on a link of 22 Mbit/s", "Mbit/s", (0.0, 2.0), 24.0, &targets))?;

    let trace = trace::fading(1, 60);
    let mut rates = vec![Series { name: "capacity", points: capacity(&trace) }];
    let run = |make| alone(&trace::path(trace.clone()), make, 60 * SECOND, 1);
    let worlds = SENDERS.map(|(name, make)| (name, run(make)));
    rates.extend(worlds.iter().map(|(name, world)| Series { name, points: rate_over_time(&world.flows[0]) }));
    let span = (20.0, 50.0);
    save("control-fading-rate.svg", chart("Delivered on a fading path", "Mbit/s", span, 20.0, &rates))?;
    let ages: Vec<Series> =
        worlds.iter().map(|(name, world)| Series { name, points: world.flows[0].ages() }).collect();
    save("control-fading-age.svg", chart("Age of the picture on the same path", "ms", span, 600.0, &ages))?;

    let world = flows(Flow::ours, 3, 2);
    let names = ["first", "second", "third"];
    let shares: Vec<Series> = names
        .into_iter()
        .zip(&world.flows)
        .map(|(name, flow)| Series { name, points: rate_over_time(flow) })
        .collect();
    save(
        "control-three.svg",
        chart("Three flows of ours on 12 Mbit/s", "Mbit/s", (0.0, 75.0), 12.0, &shares),
    )?;
    let world = beside_tcp(Flow::ours, Kind::Cubic, 100, 2);
    let tcp = (0..70).map(|s| (f64::from(s), world.tcp_bps(0, f64::from(s), f64::from(s) + 1.0) / 1e6));
    let shares = [
        Series { name: "TCP CUBIC", points: tcp.collect() },
        Series { name: "ours", points: rate_over_time(&world.flows[0]) },
    ];
    save("control-tcp.svg", chart("Beside TCP on 12 Mbit/s, 100 ms", "Mbit/s", (0.0, 70.0), 12.0, &shares))?;
    Ok(())
}

fn targets(flow: &Flow) -> Vec<(f64, f64)> {
    flow.targets.iter().map(|(at, bps)| (at.as_secs_f64(), bps / 1e6)).collect()
}

/// Mbit/s that arrived in each half second.
fn rate_over_time(flow: &Flow) -> Vec<(f64, f64)> {
    let halves = (0..150).map(|half| f64::from(half) / 2.0);
    halves.map(|at| (at, flow.delivered_bps(at, at + 0.5) / 1e6)).collect()
}

/// Mbit/s that a trace offers in each half second.
fn capacity(trace: &[u32]) -> Vec<(f64, f64)> {
    let mut halves = vec![0.0; 120];
    for &at in trace {
        if let Some(half) = halves.get_mut(at as usize / 500) {
            *half += 1504.0 * 8.0 * 2.0 / 1e6;
        }
    }
    halves.into_iter().enumerate().map(|(half, mbps)| (half as f64 / 2.0, mbps)).collect()
}
