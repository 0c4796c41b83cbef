//! The mode for gamepads.

use super::screen::Screen;
use super::{Flow, Play};
use crate::wayland::{Client, Happening};
use anyhow::Result;
use evdev::{
    AbsoluteAxisCode, Device, EventSummary, FFEffect, FFEffectData, FFEffectKind, FFReplay, FFTrigger,
    KeyCode,
};
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a pad that is not there is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The effect that plays while A is down; long enough to be ended by its release.
const RUMBLE: FFEffectKind = FFEffectKind::Rumble { strong_magnitude: 0xc000, weak_magnitude: 0x4000 };
const RUMBLE_MS: u16 = 5000;

/// What a pad's controls are at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Controls {
    /// Bit = code − `BTN_SOUTH`.
    pub(crate) buttons: u32,
    /// By code, up to `ABS_HAT0Y`.
    axes: [i32; 18],
}

impl Controls {
    fn button(&mut self, code: KeyCode, down: bool) {
        if let Some(bit @ 0..32) = code.0.checked_sub(KeyCode::BTN_SOUTH.0) {
            self.buttons = self.buttons & !(1 << bit) | u32::from(down) << bit;
        }
    }

    fn axis(&mut self, code: AbsoluteAxisCode, value: i32) {
        if let Some(axis) = self.axes.get_mut(usize::from(code.0)) {
            *axis = value;
        }
    }

    /// The numbers of rows 2 to 5.
    fn rows(&self) -> [u32; 4] {
        let axis = |code: AbsoluteAxisCode| self.axes[usize::from(code.0)];
        let stick = |x, y| u32::from(axis(x) as u16) | u32::from(axis(y) as u16) << 16;
        let trigger = |code| axis(code).clamp(0, 255) as u32;
        let hat = |code| (axis(code).clamp(-1, 1) + 1) as u32;
        let (x, y) = (AbsoluteAxisCode::ABS_HAT0X, AbsoluteAxisCode::ABS_HAT0Y);
        let triggers = trigger(AbsoluteAxisCode::ABS_Z)
            | trigger(AbsoluteAxisCode::ABS_RZ) << 8
            | hat(x) << 16
            | hat(y) << 18;
        [
            self.buttons,
            stick(AbsoluteAxisCode::ABS_X, AbsoluteAxisCode::ABS_Y),
            stick(AbsoluteAxisCode::ABS_RX, AbsoluteAxisCode::ABS_RY),
            triggers,
        ]
    }
}

/// An open pad.
pub(crate) struct Pad {
    device: Device,
    pub(crate) controls: Controls,
    effect: Option<FFEffect>,
}

impl Pad {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut device = Device::open(path)?;
        device.set_nonblocking(true)?;
        let mut controls = Controls::default();
        device.get_key_state()?.iter().for_each(|code| controls.button(code, true));
        for (code, info) in device.get_absinfo()? {
            controls.axis(code, info.value());
        }
        let rumbles =
            device.supported_ff().is_some_and(|kinds| kinds.contains(evdev::FFEffectCode::FF_RUMBLE));
        let data = FFEffectData {
            direction: 0,
            trigger: FFTrigger::default(),
            replay: FFReplay { length: RUMBLE_MS, delay: 0 },
            kind: RUMBLE,
        };
        let effect = if rumbles { Some(device.upload_ff_effect(data)?) } else { None };
        Ok(Self { device, controls, effect })
    }

    /// Takes what the pad told since; fails when it is gone.
    pub(crate) fn update(&mut self) -> io::Result<()> {
        let before = self.controls.buttons & 1;
        let events = match self.device.fetch_events() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            events => events?,
        };
        for event in events {
            match event.destructure() {
                EventSummary::Key(_, code, value) => self.controls.button(code, value != 0),
                EventSummary::AbsoluteAxis(_, code, value) => self.controls.axis(code, value),
                _ => {}
            }
        }
        match (before, self.controls.buttons & 1, &mut self.effect) {
            (0, 1, Some(effect)) => effect.play(1),
            (1, 0, Some(effect)) => effect.stop(),
            _ => Ok(()),
        }
    }
}

/// Shows one pad.
pub(super) struct PadPlay {
    screen: Screen,
    path: PathBuf,
    pad: Option<Pad>,
    look_at: Instant,
}

impl PadPlay {
    pub(super) fn begin(client: &mut Client, path: PathBuf) -> Result<Self> {
        Ok(Self { screen: Screen::open(client, Mode::Pad)?, path, pad: None, look_at: Instant::now() })
    }
}

impl Play for PadPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                if let Some(Err(error)) = self.pad.as_mut().map(Pad::update) {
                    eprintln!("the gamepad is gone: {error}");
                    self.pad = None;
                }
                let rows = self.pad.as_ref().map_or(Controls::default(), |pad| pad.controls).rows();
                self.screen.show(client, u16::from(self.pad.is_some()), |canvas| {
                    rows.iter().enumerate().for_each(|(i, row)| cells::paint_number(canvas, 2 + i, *row));
                })?;
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.pad.is_none().then_some(self.look_at)
    }

    fn wake(&mut self, _: &mut Client) -> Result<Flow> {
        self.look_at = Instant::now() + LOOK_EVERY;
        match Pad::open(&self.path) {
            Ok(pad) => self.pad = Some(pad),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => eprintln!("opening {}: {error}", self.path.display()),
        }
        Ok(Flow::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_stand_where_the_documentation_says() {
        let mut controls = Controls::default();
        controls.button(KeyCode::BTN_SOUTH, true);
        controls.button(KeyCode::BTN_THUMBR, true);
        controls.button(KeyCode::KEY_A, true);
        for (code, value) in
            [(0, -2), (1, 32767), (3, 5), (4, -32768), (2, 255), (5, 7), (16, -1), (17, 1), (40, 9)]
        {
            controls.axis(AbsoluteAxisCode(code), value);
        }
        assert_eq!(controls.rows(), [1 | 1 << 14, 0x7fff_fffe, 0x8000_0005, 255 | 7 << 8 | 2 << 18]);
        controls.button(KeyCode::BTN_SOUTH, false);
        assert_eq!(controls.rows()[0], 1 << 14);
    }
}
