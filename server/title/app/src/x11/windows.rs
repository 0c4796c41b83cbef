//! What is known of an X11 window.

use smithay::{
    reexports::{
        wayland_server::protocol::wl_surface::WlSurface,
        x11rb::{
            connection::Connection,
            errors::ReplyError,
            properties::{WmHints, WmSizeHints},
            protocol::xproto::{AtomEnum, ConnectionExt as _, GetPropertyReply, Window},
            rust_connection::RustConnection,
        },
    },
    utils::{Logical, Rectangle, Size},
};

use super::wm::Atoms;
use crate::limits;

/// A window of an X11 client and the surface that Xwayland draws it into.
#[derive(Debug)]
pub(crate) struct XWindow {
    pub(crate) id: Window,
    pub(crate) info: Info,
    /// Where it is on the X11 screen.
    pub(crate) geometry: Rectangle<i32, Logical>,
    /// The size of the screen that its client has switched to; Xwayland stretches what covers it over the whole of
    /// ours. It says so in a property where the switch comes later than the window, and else by what it does.
    pub(crate) mode: Option<Size<i32, Logical>>,
    /// The size that it insists on, where it does not want the whole screen.
    pub(crate) own: Option<Size<i32, Logical>>,
    /// It wants the whole screen, and says so.
    pub(crate) whole: bool,
    /// It was left at its own size, to see whether that is such a screen's.
    pub(crate) undecided: bool,
    /// The number of its surface, before the surface is known.
    pub(crate) surface_id: Option<u32>,
    pub(crate) surface: Option<WlSurface>,
}

/// What the client says of its window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info {
    /// It places itself: a menu, a tooltip, or the full screen of an old game.
    pub(crate) override_redirect: bool,
    pub(crate) title: String,
    /// The window manager may give it the keyboard.
    pub(crate) accepts_focus: bool,
    /// It wants to be told to take the keyboard.
    pub(crate) takes_focus: bool,
    pub(crate) is_transient: bool,
    pub(crate) is_dialog: bool,
    /// It cannot be resized.
    pub(crate) fixed_size: Option<Size<i32, Logical>>,
    /// One window inside of it covers it: that is how SDL 1.2 draws, and it stays as it is when this one grows.
    pub(crate) is_frame: bool,
    /// It asks for the whole screen. After it was mapped, what we have answered.
    pub(crate) wants_whole: bool,
    /// As Xwayland's property says.
    pub(crate) mode: Option<Size<i32, Logical>>,
}

impl Info {
    /// Asks the server, from the window manager's thread.
    pub(crate) fn read(
        conn: &RustConnection,
        atoms: &Atoms,
        id: Window,
        override_redirect: bool,
    ) -> Result<Self, ReplyError> {
        let chars = limits::TITLE_CHARS as u32;
        let name = conn.get_property(false, id, atoms._NET_WM_NAME, atoms.UTF8_STRING, 0, chars)?;
        let old_name = conn.get_property(false, id, AtomEnum::WM_NAME, AtomEnum::ANY, 0, chars)?;
        let kind = conn.get_property(false, id, atoms._NET_WM_WINDOW_TYPE, AtomEnum::ATOM, 0, 16)?;
        let protocols = conn.get_property(false, id, atoms.WM_PROTOCOLS, AtomEnum::ATOM, 0, 32)?;
        let transient = conn.get_property(false, id, AtomEnum::WM_TRANSIENT_FOR, AtomEnum::WINDOW, 0, 1)?;
        let modes = atoms._XWAYLAND_RANDR_EMU_MONITOR_RECTS;
        let modes = conn.get_property(false, id, modes, AtomEnum::CARDINAL, 0, 4)?;
        let states = conn.get_property(false, id, atoms._NET_WM_STATE, AtomEnum::ATOM, 0, 16)?;
        let (place, inside) = (conn.get_geometry(id)?, conn.query_tree(id)?);
        let hints = WmHints::get(conn, id)?;
        let sizes = WmSizeHints::get_normal_hints(conn, id)?;
        conn.flush()?;

        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let name = text(name.reply()?.value);
        let old_name = text(old_name.reply()?.value);
        let atoms_of =
            |reply: GetPropertyReply| reply.value32().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let kinds = atoms_of(kind.reply()?);
        let dialogs = [
            atoms._NET_WM_WINDOW_TYPE_DIALOG,
            atoms._NET_WM_WINDOW_TYPE_UTILITY,
            atoms._NET_WM_WINDOW_TYPE_SPLASH,
        ];
        let (place, inside) = (place.reply()?, inside.reply()?.children);
        let is_frame = match inside.as_slice() {
            [child] => match conn.get_geometry(*child)?.reply() {
                Ok(child) => (child.width, child.height) == (place.width, place.height),
                // It is gone already.
                Err(ReplyError::X11Error(_)) => false,
                Err(error) => return Err(error),
            },
            _ => false,
        };
        let states = atoms_of(states.reply()?);
        Ok(Self {
            is_frame,
            wants_whole: atoms.whole().iter().any(|state| states.contains(state)),
            override_redirect,
            title: if name.is_empty() { old_name } else { name },
            accepts_focus: hints.reply()?.and_then(|hints| hints.input).unwrap_or(true),
            takes_focus: atoms_of(protocols.reply()?).contains(&atoms.WM_TAKE_FOCUS),
            is_transient: transient
                .reply()?
                .value32()
                .is_some_and(|mut parents| parents.next().is_some_and(|id| id != 0)),
            is_dialog: dialogs.iter().any(|dialog| kinds.contains(dialog)),
            fixed_size: sizes.reply()?.and_then(|sizes| {
                let (min, max) = (sizes.min_size?, sizes.max_size?);
                (min == max && min.0 > 0 && min.1 > 0).then(|| min.into())
            }),
            mode: modes.reply()?.value32().and_then(|rect| mode_of(&rect.collect::<Vec<_>>())),
        })
    }
}

/// Of corner, width and height of the one screen that there is.
fn mode_of(rect: &[u32]) -> Option<Size<i32, Logical>> {
    let edge = |value: u32| i32::try_from(value).ok().filter(|edge| (1..=limits::BUFFER_EDGE).contains(edge));
    let [_, _, width, height] = rect else { return None };
    Some((edge(*width)?, edge(*height)?).into())
}
