//! X11 windows among the windows of the title.

use smithay::{
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Rectangle, Size},
};

use super::{
    State,
    surfaces::View,
    windows::{Role, Window},
};
use crate::x11::{WindowNotice, XWindow};

impl State {
    /// Something has happened to an X11 window.
    pub(crate) fn x11_window(&mut self, notice: WindowNotice) {
        match notice {
            WindowNotice::Map { id, info, geometry } => {
                if self.x11_index(id).is_none() {
                    let window =
                        XWindow { id, info: info.clone(), geometry, surface_id: None, surface: None };
                    self.add_window(Role::X11(window));
                }
                self.with_x11(id, |window| {
                    window.info = info;
                    window.geometry = geometry;
                });
                self.place_x11(id, None, true);
            }
            WindowNotice::Changed { id, info } => {
                let before =
                    self.x11_index(id).and_then(|index| x11_of(&self.windows.stack[index])?.info.fixed_size);
                let resized = before != info.fixed_size;
                self.with_x11(id, |window| window.info = info);
                if resized {
                    self.place_x11(id, None, false);
                }
                self.refocus();
            }
            WindowNotice::Unmapped(id) => {
                self.with_x11(id, |window| {
                    window.surface_id = None;
                    window.surface = None;
                });
                if let Some(index) = self.x11_index(id) {
                    self.show(index, false);
                }
            }
            WindowNotice::Destroyed(id) => {
                self.windows.stack.retain(|window| x11_of(window).is_none_or(|x11| x11.id != id));
                self.refocus();
            }
            WindowNotice::Resize { id, width, height } => {
                let size = self.x11_index(id).map_or((0, 0).into(), |index| self.x11_size(index));
                let wanted: Size<i32, Logical> = (width.unwrap_or(size.w), height.unwrap_or(size.h)).into();
                self.place_x11(id, Some(wanted), false);
            }
            WindowNotice::Moved { id, geometry } => self.with_x11(id, |window| window.geometry = geometry),
            WindowNotice::Surface { id, surface } => {
                self.with_x11(id, |window| {
                    window.surface_id = Some(surface);
                    window.surface = None;
                });
            }
            WindowNotice::Activate(id) => {
                let surface =
                    self.x11_index(id).and_then(|index| self.windows.stack[index].surface().cloned());
                if let Some(surface) = surface {
                    self.raise(&surface);
                }
            }
        }
    }

    fn x11_index(&self, id: u32) -> Option<usize> {
        self.windows.stack.iter().position(|window| x11_of(window).is_some_and(|x11| x11.id == id))
    }

    fn with_x11(&mut self, id: u32, change: impl FnOnce(&mut XWindow)) {
        if let Some(index) = self.x11_index(id)
            && let Role::X11(window) = &mut self.windows.stack[index].role
        {
            change(window);
        }
    }

    fn x11_size(&self, index: usize) -> Size<i32, Logical> {
        x11_of(&self.windows.stack[index]).map_or((0, 0).into(), |x11| x11.geometry.size)
    }

    /// Decides where a managed window goes: it fills the picture, keeps the one size that it has, or is a
    /// dialog in the middle.
    fn place_x11(&mut self, id: u32, wanted: Option<Size<i32, Logical>>, map: bool) {
        let Some(index) = self.x11_index(id) else { return };
        let dialog = self.is_dialog(index);
        let screen = self.screen();
        let logical = self.windows.logical.unwrap_or(screen);
        let Some(window) = x11_of(&self.windows.stack[index]) else { return };
        if window.info.override_redirect {
            // Such a window decides for itself; a request from it means that it no longer does.
            if let (Some(size), Some(wm)) = (wanted, self.wm()) {
                wm.configure(id, Rectangle::new(window.geometry.loc, size));
            }
            return;
        }
        let own = wanted.unwrap_or(window.geometry.size);
        let place = if dialog {
            let free = logical - own;
            Rectangle::new((free.w.max(0) / 2, free.h.max(0) / 2).into(), own)
        } else if let Some(size) = window.info.fixed_size {
            // What it says counts more than what it has: some say so before they have resized.
            Rectangle::from_size(size)
        } else {
            Rectangle::from_size(screen)
        };
        if let Some(wm) = self.wm() {
            wm.configure(id, place);
            if map {
                wm.map(id, !dialog);
            }
        }
        self.with_x11(id, |window| window.geometry = place);
    }

    /// The session has another size.
    pub(crate) fn configure_x11_windows(&mut self) {
        let ids: Vec<u32> = self.windows.stack.iter().filter_map(|window| Some(x11_of(window)?.id)).collect();
        for id in ids {
            self.place_x11(id, None, false);
        }
    }

    /// X11 has a keyboard focus of its own, which follows ours.
    pub(crate) fn focus_x11_window(&self) {
        let Some(wm) = self.wm() else { return };
        let focused = self
            .focus()
            .and_then(|surface| self.windows.stack.iter().find(|window| window.surface() == Some(surface)))
            .and_then(x11_of);
        match focused {
            // It has taken, or grabbed, the keyboard by itself.
            Some(window) if window.info.override_redirect => {}
            Some(window) => {
                wm.raise(window.id);
                wm.focus(Some((window.id, &window.info)));
            }
            None => wm.focus(None),
        }
    }

    /// Xwayland names a window's surface by a number on one connection and creates it on another, in
    /// whichever order; Debian's version knows no better way.
    pub(crate) fn pair_x11_surfaces(&mut self) {
        let Some(client) =
            self.x11.as_ref().and_then(|x11| x11.server.as_ref()).map(|server| server.client.clone())
        else {
            return;
        };
        for index in 0..self.windows.stack.len() {
            let Some(number) = x11_of(&self.windows.stack[index])
                .filter(|window| window.surface.is_none())
                .and_then(|window| window.surface_id)
            else {
                continue;
            };
            let Ok(surface) = client.object_from_protocol_id::<WlSurface>(&self.display, number) else {
                continue;
            };
            if self.windows.stack.iter().any(|window| window.surface() == Some(&surface)) {
                continue;
            }
            let has_content = self.surfaces.get(&surface).is_some_and(View::has_content);
            if let Role::X11(window) = &mut self.windows.stack[index].role {
                window.surface = Some(surface);
            }
            // Showing a window moves it to the front of the stack, behind this index; the next round of
            // the loop finds those that were skipped.
            self.show(index, has_content);
        }
    }

    /// The server has ended.
    pub(crate) fn drop_x11_windows(&mut self) {
        self.windows.stack.retain(|window| x11_of(window).is_none());
        self.refocus();
    }
}

fn x11_of(window: &Window) -> Option<&XWindow> {
    match &window.role {
        Role::X11(window) => Some(window),
        Role::Xdg(_) => None,
    }
}
