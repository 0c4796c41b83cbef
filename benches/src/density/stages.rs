//! Whose processor time it was: by process and by the thread's name.

use crate::process;
use crate::report::{Spec, lower};
use crate::system::System;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a session's processor time goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The program and its sandbox.
    Title,
    /// The compositor's thread: protocol, layout, copy.
    Compositor,
    /// The frame thread: input, the hand-over to the program, conversion to I420.
    Conversion,
    /// The encoder's threads.
    Encode,
    /// The worker's other threads: WebRTC, pacing, encryption, input.
    Send,
    /// The private PulseAudio.
    SoundServer,
    /// Capture and Opus.
    Sound,
    /// The node's agent and the matchmaker.
    Agent,
}

/// The figure of each stage, for one frame.
pub(super) const STAGES: [(Stage, Spec); 8] = [
    (Stage::Title, lower("doom_frame_title_cpu_ms", "ms", None)),
    (Stage::Compositor, lower("doom_frame_compositor_cpu_ms", "ms", None)),
    (Stage::Conversion, lower("doom_frame_conversion_cpu_ms", "ms", None)),
    (Stage::Encode, lower("doom_frame_encode_cpu_ms", "ms", None)),
    (Stage::Send, lower("doom_frame_send_cpu_ms", "ms", None)),
    (Stage::SoundServer, lower("doom_frame_sound_server_cpu_ms", "ms", None)),
    (Stage::Sound, lower("doom_frame_sound_cpu_ms", "ms", None)),
    (Stage::Agent, lower("doom_frame_agent_cpu_ms", "ms", None)),
];

const FRAME_THREAD: &str = "frame";

/// Processor time so far, or between two moments.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    stages_s: BTreeMap<Stage, f64>,
    /// The driver and its browser.
    pub(super) viewers_s: f64,
    /// All that the machine did.
    machine_s: f64,
}

impl Costs {
    /// What everything that runs now has used so far.
    pub(super) fn now(system: &System, driver: u32) -> Result<Self> {
        let mut costs = Self::default();
        costs.add(Stage::Agent, process::cpu_time(system.pid())?);
        for worker in system.workers()? {
            let threads = process::threads(worker)?;
            for (stage, cpu) in stages_of_threads(&threads) {
                costs.add(stage, cpu);
            }
            for pid in process::descendants(worker)? {
                let is_sound = process::name(pid).is_some_and(|name| name == process::SOUND_SERVER);
                let stage = if is_sound { Stage::SoundServer } else { Stage::Title };
                // What ends in between has been counted before, or never will be.
                costs.add(stage, process::cpu_time(pid).unwrap_or_default());
            }
        }
        let browser = process::descendants(driver)?.into_iter().chain([driver]);
        costs.machine_s = process::machine_time()?.as_secs_f64();
        costs.viewers_s =
            browser.filter_map(|pid| process::cpu_time(pid).ok()).sum::<Duration>().as_secs_f64();
        Ok(costs)
    }

    /// What was used after `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (stage, seconds) in &mut self.stages_s {
            *seconds -= before.of_s(*stage);
        }
        self.viewers_s -= before.viewers_s;
        self.machine_s -= before.machine_s;
        self
    }

    /// Seconds of one stage.
    pub(super) fn of_s(&self, stage: Stage) -> f64 {
        self.stages_s.get(&stage).copied().unwrap_or_default()
    }

    /// Seconds of all stages, the viewers apart.
    pub(super) fn node_s(&self) -> f64 {
        self.stages_s.values().sum()
    }

    /// Seconds of whatever else the machine did.
    pub(super) fn others_s(&self) -> f64 {
        (self.machine_s - self.node_s() - self.viewers_s).max(0.0)
    }

    fn add(&mut self, stage: Stage, cpu: Duration) {
        *self.stages_s.entry(stage).or_default() += cpu.as_secs_f64();
    }
}

/// By the names that a worker gives its threads, which are in order of their age. Threads of libraries have the name
/// of the one that started them: the encoder is opened on the frame thread, so that its threads follow that one.
fn stages_of_threads(threads: &[(String, Duration)]) -> impl Iterator<Item = (Stage, Duration)> {
    let mut frame_threads = 0;
    threads.iter().map(move |(name, cpu)| {
        frame_threads += u32::from(name == FRAME_THREAD);
        let stage = match name.as_str() {
            FRAME_THREAD if frame_threads == 1 => Stage::Conversion,
            FRAME_THREAD | "encode" => Stage::Encode,
            "compositor" => Stage::Compositor,
            "audio" => Stage::Sound,
            name if name.starts_with("sound-") => Stage::Sound,
            _ => Stage::Send,
        };
        (stage, *cpu)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_used_in_between_counts() {
        let mut before = Costs::default();
        before.add(Stage::Title, Duration::from_secs(3));
        let mut after = before.clone();
        after.add(Stage::Title, Duration::from_secs(2));
        after.add(Stage::Encode, Duration::from_secs(1));
        (after.viewers_s, after.machine_s) = (4.0, 9.0);
        let between = after.since(&before);
        assert_eq!((between.of_s(Stage::Title), between.of_s(Stage::Encode)), (2.0, 1.0));
        assert_eq!((between.node_s(), between.viewers_s, between.others_s()), (3.0, 4.0, 2.0));
    }

    #[test]
    fn each_stage_has_one_figure() {
        let mut stages: Vec<_> = STAGES.iter().map(|(stage, _)| *stage).collect();
        stages.dedup();
        assert_eq!(stages.len(), STAGES.len());
    }

    #[test]
    fn the_encoders_threads_are_not_taken_for_the_frame_thread() {
        let names = ["nearframe", "frame", "compositor", "sound-link", "frame", "frame", "encode", "audio"];
        let threads: Vec<_> = names.map(|name| (name.to_owned(), Duration::from_secs(1))).into();
        let stages: Vec<_> = stages_of_threads(&threads).map(|(stage, _)| stage).collect();
        use Stage::{Compositor, Conversion, Encode, Send, Sound};
        assert_eq!(stages, [Send, Conversion, Compositor, Sound, Encode, Encode, Encode, Sound]);
    }
}
