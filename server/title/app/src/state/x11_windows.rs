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
                    self.add_window(Role::X11(XWindow {
                        id,
                        info: info.clone(),
                        geometry,
                        mode: None,
                        own: None,
                        whole: false,
                        undecided: false,
                        surface_id: None,
                        surface: None,
                    }));
                }
                let screen = self.screen();
                self.with_x11(id, |window| {
                    window.mode = info.mode;
                    window.whole = info.wants_whole;
                    window.own = (info.is_frame && !window.whole).then_some(geometry.size);
                    window.info = info;
                    window.geometry = geometry;
                    window.undecided = window.mode.is_none() && may_be_a_screen(geometry, screen);
                });
                self.place_x11(id, None, true);
            }
            WindowNotice::Changed { id, info } => {
                let resized = self.x11_index(id).is_some_and(|index| {
                    x11_of(&self.windows.stack[index]).is_some_and(|window| {
                        (window.info.fixed_size, window.info.mode) != (info.fixed_size, info.mode)
                    })
                });
                self.with_x11(id, |window| {
                    if window.info.mode != info.mode {
                        window.mode = info.mode;
                    }
                    window.info = info;
                });
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
                let Some(size) = self.x11_index(id).map(|index| self.x11_size(index)) else {
                    if let Some(wm) = self.wm() {
                        wm.grant(id, width, height);
                    }
                    return;
                };
                let wanted: Size<i32, Logical> = (width.unwrap_or(size.w), height.unwrap_or(size.h)).into();
                let screen = self.screen();
                self.with_x11(id, |window| {
                    // One that is told to fill the screen, and asks for another size all the same, draws at that.
                    if !window.whole && window.surface_id.is_some() {
                        window.own = (wanted != screen).then_some(wanted);
                    }
                });
                self.place_x11(id, Some(wanted), false);
            }
            WindowNotice::Moved { id, geometry } => self.with_x11(id, |window| window.geometry = geometry),
            WindowNotice::Surface { id, surface } => {
                self.with_x11(id, |window| {
                    window.surface_id = Some(surface);
                    window.surface = None;
                });
            }
            WindowNotice::Fill(id) => {
                self.with_x11(id, |window| {
                    (window.whole, window.own, window.undecided) = (true, None, false);
                });
                self.place_x11(id, None, false);
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
        } else if let Some(size) = window.mode {
            // It fills the screen that its client has switched to, and Xwayland has that fill ours.
            Rectangle::from_size(size)
        } else if let Some(size) = window.info.fixed_size {
            // What it says counts more than what it has: some say so before they have resized.
            Rectangle::from_size(size)
        } else if let Some(size) = window.own {
            Rectangle::from_size(size)
        } else if window.undecided {
            Rectangle::from_size(window.geometry.size)
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

    /// Sees which windows Xwayland stretches, and which it does not any more.
    pub(crate) fn settle_modes(&mut self) {
        let mut placed = Vec::new();
        for index in 0..self.windows.stack.len() {
            let Some(window) = x11_of(&self.windows.stack[index]).filter(|window| window.surface.is_some())
            else {
                continue;
            };
            let Some((drawn, shown)) = self.drawn_and_shown(window) else { continue };
            let (id, mode) = (window.id, window.mode);
            if drawn != shown {
                self.with_x11(id, |window| (window.mode, window.undecided) = (Some(drawn), false));
                // It may be no menu any more.
                if mode.is_none() {
                    self.refocus();
                }
            } else if window.undecided || mode == Some(drawn) && drawn != self.screen() {
                self.with_x11(id, |window| (window.mode, window.undecided) = (None, false));
                placed.push(id);
            }
        }
        for id in placed {
            self.place_x11(id, None, false);
        }
    }

    /// The size of a window's picture, and the size at which Xwayland wants it shown.
    fn drawn_and_shown(&self, window: &XWindow) -> Option<(Size<i32, Logical>, Size<i32, Logical>)> {
        let surface = window.surface.as_ref()?;
        let picture = self.surfaces.get(surface)?.picture.as_ref()?;
        Some(((picture.width, picture.height).into(), self.size_of(surface)))
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

/// Whether a window may cover the screen of a smaller mode than ours: the smallest that Xwayland plays is this.
fn may_be_a_screen(geometry: Rectangle<i32, Logical>, screen: Size<i32, Logical>) -> bool {
    let (size, corner) = (geometry.size, geometry.loc);
    let smaller = size.w <= screen.w && size.h <= screen.h && size != screen;
    corner == (0, 0).into() && smaller && size.w >= 320 && size.h >= 200
}

fn x11_of(window: &Window) -> Option<&XWindow> {
    match &window.role {
        Role::X11(window) => Some(window),
        Role::Xdg(_) => None,
    }
}
