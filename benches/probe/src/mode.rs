//! What the probe can do.

use clap::ValueEnum;

/// How to behave. The numbers stand in pictures and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[repr(u16)]
pub enum Mode {
    /// Draws the testcard's stamp and lamps right after each frame callback.
    Stamp = 1,
    /// The same as an X11 program, with lamps for the buttons of the gamepad `--device`.
    X11 = 2,
    /// Opens a dialog; Enter closes it and opens a pop-up menu; Enter closes that.
    Dialog = 3,
    /// Opens a small window; Enter or a click opens the game's window and closes the first.
    Launcher = 4,
    /// Aborts after a second.
    Crash = 5,
    /// Stops answering after two seconds.
    Hang = 6,
    /// Takes 64 MiB more every 50 ms.
    Eat = 7,
    /// Draws five pictures a second, whatever the frame callbacks say.
    Slow = 8,
    /// Draws as often as it can.
    Flood = 9,
    /// Leaves with success after `--seconds`.
    Exit = 10,
    /// Locks the pointer and shows its relative motion.
    Lock = 11,
    /// Sets a cursor from a picture; each key press goes on to a named one, none, and back.
    Cursor = 12,
    /// Takes text from an input method, prints it and shows its hash.
    Text = 13,
    /// Shows a gamepad and rumbles while A is down.
    Pad = 14,
    /// Shows touches.
    Touch = 15,
    /// Burns every processor while it draws.
    Spin = 16,
    /// Beeps and flashes on every key press.
    Beep = 17,
    /// Counts key presses in a file below its home.
    Save = 18,
    /// Tries to get out, and turns green only if nothing worked.
    Evil = 19,
    /// Records the player's voice and shows how loud it is.
    Voice = 20,
    /// Makes text of keys by the keyboard's layout, dead keys included, and shows its hash.
    Type = 21,
}

impl Mode {
    /// The mode of this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::value_variants().iter().copied().find(|mode| *mode as u16 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_a_number_of_its_own_and_is_found_by_it() {
        for mode in Mode::value_variants() {
            assert_eq!(Mode::from_number(*mode as u16), Some(*mode));
        }
        assert_eq!(Mode::from_number(0), None);
        assert_eq!(Mode::from_number(22), None);
    }
}
