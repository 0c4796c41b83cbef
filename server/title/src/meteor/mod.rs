//! Meteor: a small complete arcade game.
//!
//! [`sim`] is the game, a pure state in fixed steps; [`effects`] is what is seen and not played;
//! [`draw`] and [`hud`] turn both into lists, and [`render`] draws them. Equal seeds, events and ticks
//! give equal games.

mod draw;
mod effects;
mod entities;
mod font;
mod hud;
mod input;
mod mesh;
mod pilot;
mod render;
mod sim;
mod sound;
mod view;
mod wave;

use crate::clock::StepClock;
use crate::cue::{CueSender, cue_channel};
use crate::source::{
    AudioSource, Drawn, FrameTick, RumbleRequest, TitleFailure, TitleNotice, TitleSource, TitleStatus,
};
use draw::Frame;
use effects::Effects;
use entities::{Happening, Size};
use hud::Hud;
use input::Hands;
use nearframe_gpu::{Gpu, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::input::InputEvent;
use render::Renderer;
use sim::{Controls, Mode, Sim};
use sound::{Cue, Mixer};
use std::sync::Arc;
use view::View;

/// The game without its picture.
struct Game {
    sim: Sim,
    effects: Effects,
    hands: Hands,
    clock: StepClock,
    cues: CueSender<Cue>,
    mixer: Option<Mixer>,
    rumble: Option<RumbleRequest>,
    /// Paused by a key.
    paused: bool,
    /// Paused because the player is away.
    away: bool,
}

impl Game {
    fn new(view: View, seed: u64) -> Self {
        let (cues, receiver) = cue_channel();
        Self {
            sim: Sim::new(seed),
            effects: Effects::new(seed),
            hands: Hands::new(view),
            clock: StepClock::default(),
            cues,
            mixer: Some(Mixer::new(receiver)),
            rumble: None,
            paused: false,
            away: false,
        }
    }

    fn apply(&mut self, seat: Seat, event: &InputEvent) {
        if seat.is_player() {
            self.hands.apply(seat, event, self.sim.ship.position);
        }
    }

    /// Goes on to the moment of `tick`.
    fn advance(&mut self, tick: FrameTick) {
        if self.hands.take_pause() {
            self.paused = !self.paused && self.sim.mode == Mode::Play;
            self.update_pause();
        }
        let steps = self.clock.steps(tick);
        for step in 0..steps {
            let controls = self.hands.controls();
            self.sim.advance(Controls { start: controls.start && step == 0, ..controls });
            if self.sim.step.is_multiple_of(3) && !matches!(self.sim.mode, Mode::Over(_)) {
                self.effects.exhaust(self.sim.ship.position);
            }
            self.effects.advance();
        }
        self.react();
    }

    fn update_pause(&mut self) {
        let still = self.paused || self.away;
        self.clock.set_paused(still);
        self.cues.send(Cue::Paused(still));
    }

    /// Shows, plays and shakes what has happened.
    fn react(&mut self) {
        let demo = self.sim.mode == Mode::Demo;
        for happening in self.sim.happenings() {
            self.effects.show(&happening);
            // The demonstration is seen, not heard: nobody has asked for it.
            if demo {
                continue;
            }
            self.cues.send(Cue::Happened(happening));
            if let Some((seat, pad)) = self.hands.pad_owner()
                && let Some((strong, weak, duration_ms)) = shake_of(&happening)
            {
                let stronger = self.rumble.is_none_or(|waiting| waiting.strong <= strong);
                if stronger {
                    self.rumble = Some(RumbleRequest { seat, pad, strong, weak, duration_ms });
                }
            }
        }
    }
}

/// Strong and weak motor and length in ms of what shakes a pad.
fn shake_of(happening: &Happening) -> Option<(u16, u16, u16)> {
    match happening {
        Happening::ShipLost { .. } => Some((65_535, 50_000, 450)),
        Happening::ShieldLost { .. } => Some((40_000, 50_000, 250)),
        Happening::Broke { size: Size::Large, .. } => Some((14_000, 8_000, 90)),
        Happening::Broke { .. } => Some((0, 14_000, 60)),
        Happening::Caught { .. } => Some((0, 26_000, 120)),
        _ => None,
    }
}

/// The game with its picture.
pub(crate) struct Meteor {
    game: Game,
    frame: Frame,
    hud: Hud,
    renderer: Renderer,
}

impl Meteor {
    pub(crate) fn new(device: wgpu::Device, queue: wgpu::Queue, width: u32, height: u32, seed: u64) -> Self {
        let renderer = Renderer::new(device, queue, width, height);
        let view = renderer.view();
        Self { game: Game::new(view, seed), frame: Frame::new(), hud: Hud::new(view.aspect()), renderer }
    }
}

impl TitleSource for Meteor {
    fn size(&self) -> (u32, u32) {
        self.renderer.size()
    }

    fn apply(&mut self, seat: Seat, event: &InputEvent) {
        self.game.apply(seat, event);
    }

    fn draw(&mut self, tick: FrameTick) -> Result<Drawn<'_>, TitleFailure> {
        let game = &mut self.game;
        game.advance(tick);
        let view = self.renderer.view();
        self.frame.compose(&game.sim, &mut game.effects, game.clock.ahead_s());
        let projection = render::projection(&view, &self.frame);
        self.hud.compose(&mut self.frame, &game.sim, &game.effects, &projection, game.paused);
        Ok(Picture::Gpu(self.renderer.draw(&self.frame)).into())
    }

    fn status(&self) -> TitleStatus {
        TitleStatus::Running
    }

    fn take_notice(&mut self) -> Option<TitleNotice> {
        self.game.rumble.take().map(TitleNotice::Rumble)
    }

    fn audio(&mut self) -> Box<dyn AudioSource> {
        let silent = || Mixer::new(cue_channel().1);
        Box::new(self.game.mixer.take().unwrap_or_else(silent))
    }

    fn replace_gpu(&mut self, gpu: &Arc<Gpu>) -> Result<(), TitleFailure> {
        let (width, height) = self.renderer.size();
        self.renderer = Renderer::new(gpu.device().clone(), gpu.queue().clone(), width, height);
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        self.game.away = paused;
        self.game.update_pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::{Key, PadState};

    fn game(seed: u64) -> Game {
        Game::new(View::new(16.0 / 9.0), seed)
    }

    fn tick(frame: u32) -> FrameTick {
        let jitter = u64::from(frame % 7) * 731;
        FrameTick { frame, now_us: 1_000_000 + u64::from(frame) * 16_667 + jitter, input_serial: 0 }
    }

    fn key(code: &str, down: bool) -> InputEvent {
        InputEvent::Key { key: Key::from_code(code).unwrap(), down }
    }

    /// A log of 20 s: start, then keys, pointer and stick by turns, always firing.
    fn recorded(frame: u32) -> Vec<InputEvent> {
        let state = |x| PadState { axes: [x, 0, 0, 0], ..PadState::default() };
        match frame {
            5 => vec![key("Enter", true), key("Space", true)],
            frame if frame % 97 == 0 => vec![key("ArrowLeft", true)],
            frame if frame % 97 == 30 => vec![key("ArrowLeft", false), key("KeyD", true)],
            frame if frame % 97 == 55 => vec![key("KeyD", false)],
            frame if frame % 97 == 60 => vec![InputEvent::Position { x: (frame * 977) as u16, y: 50_000 }],
            frame if frame % 97 == 80 => vec![InputEvent::Pad { pad: 0, state: state(-20_000) }],
            frame if frame % 97 == 90 => vec![InputEvent::Pad { pad: 0, state: state(0) }],
            _ => Vec::new(),
        }
    }

    fn replay(seed: u64) -> Vec<u64> {
        let mut game = game(seed);
        (0..1200)
            .map(|frame| {
                recorded(frame).iter().for_each(|event| game.apply(Seat(0), event));
                game.advance(tick(frame));
                game.sim.fingerprint()
            })
            .collect()
    }

    #[test]
    fn equal_seeds_and_logs_give_equal_states_in_every_frame_and_other_seeds_do_not() {
        let first = replay(7);
        assert_eq!(first, replay(7));
        let other = replay(8);
        assert!(first.iter().zip(&other).all(|(a, b)| a != b));
    }

    #[test]
    fn fire_starts_p_pauses_and_time_stands_still_while_the_player_is_away() {
        let mut game = game(1);
        for frame in 0..30 {
            game.advance(tick(frame));
        }
        game.apply(Seat(0), &key("Space", true));
        (30..40).for_each(|frame| game.advance(tick(frame)));
        assert_eq!(game.sim.mode, Mode::Play);
        let still = |game: &mut Game, from: u32| {
            let before = game.sim.fingerprint();
            (from..from + 20).for_each(|frame| game.advance(tick(frame)));
            game.sim.fingerprint() == before
        };
        game.apply(Seat(0), &key("KeyP", true));
        assert!(still(&mut game, 40));
        game.apply(Seat(0), &key("KeyP", false));
        game.apply(Seat(0), &key("KeyP", true));
        assert!(!still(&mut game, 60));
        game.away = true;
        game.update_pause();
        assert!(still(&mut game, 80));
        game.away = false;
        game.update_pause();
        assert!(!still(&mut game, 100));
    }

    #[test]
    fn a_viewer_cannot_play() {
        let mut game = game(1);
        game.apply(Seat::VIEWER, &key("Space", true));
        (0..10).for_each(|frame| game.advance(tick(frame)));
        assert_eq!(game.sim.mode, Mode::Demo);
    }

    #[test]
    fn losing_a_ship_shakes_the_pad_that_is_played_with() {
        let mut game = game(1);
        for buttons in [1, 0] {
            let state = PadState { buttons, ..PadState::default() };
            game.apply(Seat(1), &InputEvent::Pad { pad: 2, state });
        }
        let mut strongest = None::<RumbleRequest>;
        for frame in 0..3600 {
            game.advance(tick(frame));
            strongest = strongest.into_iter().chain(game.rumble.take()).max_by_key(|rumble| rumble.strong);
        }
        let rumble = strongest.expect("a minute of doing nothing costs a ship");
        assert_eq!((rumble.seat, rumble.pad, rumble.strong), (Seat(1), 2, 65_535));
    }
}
