//! Many players at once, and what they found in figures.

use crate::play::{Outcome, Player, check_bind};
use crate::seen::quantile;
use anyhow::Result;
use nearframe_protocol::TitleId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// A load.
#[derive(Clone)]
pub struct Load {
    /// How each plays.
    pub player: Player,
    /// What they play.
    pub title: TitleId,
    /// Players at once.
    pub sessions: u32,
    /// How many of them decode what they see; the others only count frames, which costs next to nothing.
    pub decoding: u32,
    /// How long each plays from its first frame on.
    pub time: Duration,
}

/// Half of the players have no more than this, and all but the worst hundredth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub p50: f64,
    /// The worst but for a hundredth.
    pub p99: f64,
}

/// What a load found. Absent is what nobody could measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Players that were sent.
    pub sessions: u32,
    /// Players that played to the end.
    pub played: u32,
    /// The others, by the code of what stopped them.
    pub failures: BTreeMap<String, u32>,
    /// From the request for a session to the connection.
    pub connect_ms: Option<Spread>,
    /// From the request to the first whole frame.
    pub first_frame_ms: Option<Spread>,
    /// Frames a second of a player: the middle one, and the worst but for a hundredth.
    pub fps: Option<Spread>,
    /// Median age of a player's frames.
    pub age_ms: Option<Spread>,
    /// The same of the slowest twentieth of its frames.
    pub age_p95_ms: Option<Spread>,
    /// Median round trip of a player.
    pub rtt_ms: Option<Spread>,
    /// From an input to the frame that answers the challenge with it.
    pub challenge_ms: Option<Spread>,
    /// Bits a second of video of a player.
    pub mbit_per_s: Option<Spread>,
    /// Packets of video that never came, of all that were sent.
    pub loss_percent: f64,
    /// Pauses between frames of more than 200 ms, of all players.
    pub freezes: u32,
    /// Receipts that were countersigned, and that were not.
    pub receipts_signed: u32,
    /// Receipts that deserved no signature.
    pub receipts_refused: u32,
}

/// Sends all players and waits for them.
///
/// # Errors
/// A player that has no address to play from.
pub async fn run(load: &Load) -> Result<Summary> {
    check_bind(&load.player.bind)?;
    let mut playing = JoinSet::new();
    for number in 0..load.sessions {
        let load = load.clone();
        let player = Player { decode: number < load.decoding, ..load.player };
        playing.spawn(async move { player.play(&load.title, None, load.time).await });
    }
    let mut outcomes = Vec::new();
    while let Some(ended) = playing.join_next().await {
        outcomes.push(match ended {
            Ok(outcome) => outcome,
            Err(error) => Err(anyhow::anyhow!("broken: {error}")),
        });
    }
    Ok(summary(&outcomes))
}

fn summary(outcomes: &[Result<Outcome>]) -> Summary {
    let mut failures: BTreeMap<String, u32> = BTreeMap::new();
    let mut fail = |why: &str| {
        let code = why.split(':').next().unwrap_or(why).to_owned();
        *failures.entry(code).or_default() += 1;
    };
    let mut all = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                outcome.failure.as_deref().into_iter().for_each(&mut fail);
                all.push(outcome);
            }
            Err(error) => fail(&error.to_string()),
        }
    }
    let spread = |of: &dyn Fn(&Outcome) -> Option<f64>| {
        let mut values: Vec<f64> = all.iter().filter_map(|outcome| of(outcome)).collect();
        Some(Spread { p50: round(quantile(&mut values, 0.5)?), p99: round(quantile(&mut values, 0.99)?) })
    };
    let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let age = |outcome: &Outcome, share| {
        let age_us = outcome.seen.age_us(share);
        (age_us > 0).then(|| f64::from(age_us) / 1e3)
    };
    // The worst rate is the lowest: turned over, so that the same quantile finds it.
    let slowest = spread(&|outcome| outcome.seen.first.map(|_| -outcome.seen.fps()));
    let packets: u64 = all.iter().map(|outcome| u64::from(outcome.seen.packets)).sum();
    let lost: u64 = all.iter().map(|outcome| u64::from(outcome.seen.lost)).sum();
    let whole = all.iter().filter(|outcome| outcome.failure.is_none()).count();
    Summary {
        sessions: outcomes.len() as u32,
        played: whole as u32,
        connect_ms: spread(&|outcome| ms(outcome.connect_time())),
        first_frame_ms: spread(&|outcome| ms(outcome.first_frame_time())),
        fps: slowest.map(|Spread { p50, p99 }| Spread { p50: -p50, p99: -p99 }),
        age_ms: spread(&|outcome| age(outcome, 0.5)),
        age_p95_ms: spread(&|outcome| age(outcome, 0.95)),
        rtt_ms: spread(&|outcome| ms(outcome.round_trip)),
        challenge_ms: spread(&|outcome| ms(outcome.seen.answered)),
        mbit_per_s: spread(&|outcome| {
            let seconds = outcome.seen.played().as_secs_f64();
            (seconds > 0.0).then(|| outcome.seen.bytes as f64 * 8e-6 / seconds)
        }),
        loss_percent: round(lost as f64 * 100.0 / (packets + lost).max(1) as f64),
        freezes: all.iter().map(|outcome| outcome.seen.freezes).sum(),
        receipts_signed: all.iter().map(|outcome| outcome.receipts.signed).sum(),
        receipts_refused: all.iter().map(|outcome| outcome.receipts.refused).sum(),
        failures,
    }
}

/// Thousandths are more than these clocks tell.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_never_played_are_counted_by_what_stopped_them() {
        let refused = |text: &str| Err(anyhow::anyhow!("{text}"));
        let outcomes = [
            refused("no_capacity: There is no free machine."),
            refused("no_capacity: others wait already"),
            refused("unreachable"),
        ];
        let found = summary(&outcomes);
        assert_eq!((found.sessions, found.played), (3, 0));
        let failures: Vec<_> = found.failures.iter().map(|(code, n)| (code.as_str(), *n)).collect();
        assert_eq!(failures, [("no_capacity", 2), ("unreachable", 1)]);
        assert_eq!((found.connect_ms, found.loss_percent), (None, 0.0));
    }
}
