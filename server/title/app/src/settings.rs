//! What a session says when it starts a compositor.

use std::path::PathBuf;

/// Everything a compositor needs to know before a title may connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Private folder (mode 0700) of this session for the sockets; its path stays below about 90 bytes,
    /// because a Unix socket's address holds 107.
    pub dir: PathBuf,
    /// Width of the picture in pixels, 16 to 8192.
    pub width: u32,
    /// Height of the picture in pixels, 16 to 8192.
    pub height: u32,
    /// Refresh rate that titles are told, 1 to 500 Hz.
    pub fps: u32,
    /// What the title speaks.
    pub display: Display,
    /// The player's keyboard.
    pub layout: KeyboardLayout,
    /// Which GPU buffers the session can import; without it `linux-dmabuf` is not offered and clients
    /// fall back to shared memory.
    pub dmabuf: Option<DmabufSupport>,
}

/// What the title speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// Wayland only.
    Wayland,
    /// X11; the Wayland socket is there too, since toolkits may prefer it.
    X11,
    /// Whatever the title chooses; Xwayland starts when the first X11 client connects.
    Auto,
}

impl Display {
    /// Whether an X11 socket is offered.
    pub fn has_x11(self) -> bool {
        self != Self::Wayland
    }
}

/// A keyboard layout by its xkb names, such as `de` and `nodeadkeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyboardLayout {
    /// xkb layout.
    pub layout: String,
    /// xkb variant, empty for the default one.
    pub variant: String,
}

impl Default for KeyboardLayout {
    fn default() -> Self {
        Self { layout: "us".into(), variant: String::new() }
    }
}

impl KeyboardLayout {
    /// Names come from a page: only what xkb names are made of may reach the rules files.
    pub(crate) fn is_valid(&self) -> bool {
        let plain = |name: &str| {
            name.len() <= 64
                && name.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'(' | b')' | b'-')
                })
        };
        !self.layout.is_empty() && plain(&self.layout) && plain(&self.variant)
    }
}

/// GPU buffers that the session can import.
#[derive(Clone, Debug)]
pub struct DmabufSupport {
    /// `dev_t` of the render node that titles should use.
    pub main_device: u64,
    /// What can be imported, best first.
    pub formats: Vec<DmabufFormat>,
}

/// A pixel format with its memory layout, as in `drm_fourcc.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmabufFormat {
    /// DRM fourcc code.
    pub fourcc: u32,
    /// DRM format modifier.
    pub modifier: u64,
}

/// Where titles connect.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// For `WAYLAND_DISPLAY`.
    pub wayland: PathBuf,
    /// To be bound at `/tmp/.X11-unix/X0` of the title's sandbox, with `DISPLAY=:0`.
    pub x11: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_names_that_could_leave_the_rules_are_refused() {
        let layout =
            |layout: &str, variant: &str| KeyboardLayout { layout: layout.into(), variant: variant.into() };
        assert!(layout("de", "nodeadkeys").is_valid());
        assert!(layout("us", "dvorak-alt-intl").is_valid());
        for bad in ["", "../us", "us,de", "US", "us\"", "a b", &"a".repeat(65)] {
            assert!(!layout(bad, "").is_valid(), "{bad}");
        }
        assert!(!layout("us", "x;y").is_valid());
    }
}
