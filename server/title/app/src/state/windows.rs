//! The title's windows, back to front: which fill the picture, which are dialogs over another window, and
//! which of them has the keyboard.

use smithay::{
    reexports::{
        wayland_protocols::xdg::shell::server::xdg_toplevel,
        wayland_server::{Resource, protocol::wl_surface::WlSurface},
    },
    utils::{Logical, Point, Rectangle, SERIAL_COUNTER, Size},
    wayland::{
        compositor::with_states,
        shell::xdg::{SurfaceCachedState, ToplevelSurface, XdgToplevelSurfaceData},
    },
};

use super::{State, surfaces};
use crate::{limits, x11::XWindow};

/// All windows, back to front, and how they map to the picture.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    pub(crate) stack: Vec<Window>,
    pub(crate) view: Mapping,
    /// Size of the newest window that fills the picture, in the title's coordinates.
    pub(crate) logical: Option<Size<i32, Logical>>,
    focus: Option<WlSurface>,
}

/// From the title's coordinates to pixels of the picture: `pixel = logical * scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) scale_x: f64,
    pub(crate) scale_y: f64,
    x: f64,
    y: f64,
}

impl Default for Mapping {
    fn default() -> Self {
        Self { scale_x: 1.0, scale_y: 1.0, x: 0.0, y: 0.0 }
    }
}

impl Mapping {
    /// The largest centred mapping of a window that fits into the picture and has the `shape` of what is drawn in
    /// it. The two differ where Xwayland plays a screen of another mode, which it stretches over the whole of ours.
    fn fit(window: Size<i32, Logical>, shape: Size<i32, Logical>, picture: (u32, u32)) -> Self {
        let edge = |length: i32| f64::from(length.max(1));
        let (width, height) = (f64::from(picture.0), f64::from(picture.1));
        let scale = (width / edge(shape.w)).min(height / edge(shape.h));
        let (shown_w, shown_h) = (edge(shape.w) * scale, edge(shape.h) * scale);
        Self {
            scale_x: shown_w / edge(window.w),
            scale_y: shown_h / edge(window.h),
            x: ((width - shown_w) / 2.0).round(),
            y: ((height - shown_h) / 2.0).round(),
        }
    }
    /// Pixels of the picture in the title's coordinates.
    pub(crate) fn to_logical(self, x: f64, y: f64) -> Point<f64, Logical> {
        ((x - self.x) / self.scale_x, (y - self.y) / self.scale_y).into()
    }
    /// The title's coordinates in pixels of the picture.
    pub(crate) fn to_picture(self, point: Point<f64, Logical>) -> (f64, f64) {
        (point.x * self.scale_x + self.x, point.y * self.scale_y + self.y)
    }
}

/// One window of the title.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) role: Role,
    /// Whether it has shown content and is not gone.
    pub(crate) shown: bool,
    /// Upper left corner of its geometry in the title's coordinates.
    pub(crate) origin: Point<i32, Logical>,
}

/// What kind of window.
#[derive(Debug)]
pub(crate) enum Role {
    Xdg(ToplevelSurface),
    X11(XWindow),
}

impl Window {
    /// The window's own surface.
    pub(crate) fn surface(&self) -> Option<&WlSurface> {
        match &self.role {
            Role::Xdg(toplevel) => Some(toplevel.wl_surface()),
            Role::X11(window) => window.surface.as_ref(),
        }
    }
    /// A menu or tooltip that places itself. Old games do so with a window that fills the screen, which
    /// is a window like any other to us.
    pub(crate) fn is_menu(&self, screen: Size<i32, Logical>) -> bool {
        let Role::X11(window) = &self.role else { return false };
        let (size, screen) = (window.geometry.size, window.mode.unwrap_or(screen));
        window.info.override_redirect && (size.w < screen.w || size.h < screen.h)
    }
    fn wants_keyboard(&self, screen: Size<i32, Logical>) -> bool {
        match &self.role {
            Role::Xdg(_) => true,
            Role::X11(window) => {
                !self.is_menu(screen) && (window.info.accepts_focus || window.info.takes_focus)
            }
        }
    }
    fn parent(&self) -> Option<WlSurface> {
        match &self.role {
            Role::Xdg(toplevel) => toplevel.parent(),
            Role::X11(_) => None,
        }
    }
    fn title(&self) -> String {
        match &self.role {
            Role::Xdg(toplevel) => with_states(toplevel.wl_surface(), |states| {
                let data = states.data_map.get::<XdgToplevelSurfaceData>();
                data.and_then(|data| data.lock().ok()?.title.clone()).unwrap_or_default()
            }),
            Role::X11(window) => window.info.title.clone(),
        }
    }
    /// The shape of what is drawn in it, which Xwayland may stretch to another.
    fn shape(&self, views: &State) -> Size<i32, Logical> {
        let stretched = self.surface().filter(|_| matches!(self.role, Role::X11(_)));
        let picture = stretched.and_then(|surface| views.surfaces.get(surface)?.picture.as_ref());
        picture.map_or_else(|| self.geometry(views).size, |picture| (picture.width, picture.height).into())
    }
    /// The part of the surface that is the window, without shadows.
    pub(crate) fn geometry(&self, views: &State) -> Rectangle<i32, Logical> {
        let Some(surface) = self.surface() else { return Rectangle::default() };
        let size = views.size_of(surface);
        match &self.role {
            Role::Xdg(_) => window_geometry(surface).unwrap_or(Rectangle::from_size(size)),
            Role::X11(_) => Rectangle::from_size(size),
        }
    }
}

/// What the client says of its window's extent.
pub(crate) fn window_geometry(surface: &WlSurface) -> Option<Rectangle<i32, Logical>> {
    with_states(surface, |states| states.cached_state.get::<SurfaceCachedState>().current().geometry)
        .filter(|geometry| geometry.size.w > 0 && geometry.size.h > 0)
}

impl State {
    /// The session's picture in the title's units at scale one.
    pub(crate) fn screen(&self) -> Size<i32, Logical> {
        (self.settings.width as i32, self.settings.height as i32).into()
    }

    /// Size of a surface as shown; nothing before its first content.
    pub(crate) fn size_of(&self, surface: &WlSurface) -> Size<i32, Logical> {
        let Some(picture) = self.surfaces.get(surface).and_then(|view| view.picture.as_ref()) else {
            return Size::default();
        };
        with_states(surface, |states| surfaces::geometry_of(states, picture).0)
    }

    pub(crate) fn add_window(&mut self, role: Role) {
        self.windows.stack.push(Window { role, shown: false, origin: Point::default() });
    }

    /// A dialog stands over another window at its own size; everything else fills the picture.
    pub(crate) fn is_dialog(&self, index: usize) -> bool {
        let others =
            self.windows.stack[..index].iter().any(|other| other.shown && !other.is_menu(self.screen()));
        match &self.windows.stack[index].role {
            Role::Xdg(toplevel) => {
                toplevel.parent().is_some() || (others && self.is_small_and_fixed(toplevel.wl_surface()))
            }
            Role::X11(window) => {
                let info = &window.info;
                others
                    && (info.is_transient
                        || info.is_dialog
                        || info.fixed_size.is_some_and(|size| self.is_small(size)))
            }
        }
    }

    fn is_small(&self, size: Size<i32, Logical>) -> bool {
        let screen = self.screen();
        size.w < screen.w && size.h < screen.h
    }

    fn is_small_and_fixed(&self, surface: &WlSurface) -> bool {
        with_states(surface, |states| {
            let mut cached = states.cached_state.get::<SurfaceCachedState>();
            let (min, max) = (cached.current().min_size, cached.current().max_size);
            min == max && min.w > 0 && min.h > 0 && self.is_small(min)
        })
    }

    /// The newest window that fills the picture. Nothing behind it is shown, even where it is transparent
    /// or smaller: a game that leaves garbage in its alpha must not show its launcher.
    pub(crate) fn front(&self) -> usize {
        let fills = |index: &usize| {
            let window = &self.windows.stack[*index];
            window.shown && !self.is_dialog(*index) && !window.is_menu(self.screen())
        };
        (0..self.windows.stack.len()).rev().find(fills).unwrap_or(0)
    }

    /// What a commit means to windows and menus: the first configure, appearing, disappearing.
    pub(crate) fn shell_commit(&mut self, surface: &WlSurface) {
        self.commit_popup(surface);
        let Some(index) = self.windows.stack.iter().position(|window| window.surface() == Some(surface))
        else {
            return;
        };
        if let Role::Xdg(toplevel) = &self.windows.stack[index].role
            && !toplevel.is_initial_configure_sent()
        {
            self.configure(index, true);
        }
        let has_content = self.surfaces.get(surface).is_some_and(surfaces::View::has_content);
        self.show(index, has_content);
    }

    /// A window appears in front, or disappears.
    pub(crate) fn show(&mut self, index: usize, shown: bool) {
        if self.windows.stack[index].shown == shown {
            return;
        }
        self.windows.stack[index].shown = shown;
        if shown {
            let window = self.windows.stack.remove(index);
            if let Some(surface) = window.surface() {
                self.output.enter(surface);
            }
            self.windows.stack.push(window);
        } else if let Role::Xdg(toplevel) = &self.windows.stack[index].role {
            toplevel.reset_initial_configure_sent();
        }
        self.refocus();
    }

    /// Tells a toplevel its place. Windows fill the picture; dialogs choose their own size.
    pub(crate) fn configure(&self, index: usize, force: bool) {
        let Some(window) = self.windows.stack.get(index) else { return };
        let Role::Xdg(toplevel) = &window.role else { return };
        let dialog = self.is_dialog(index);
        let active = self.windows.focus.is_none() || self.windows.focus.as_ref() == window.surface();
        let screen = self.screen();
        toplevel.with_pending_state(|state| {
            state.bounds = Some(screen);
            if dialog {
                state.states.unset(xdg_toplevel::State::Fullscreen);
                state.size = None;
            } else {
                state.states.set(xdg_toplevel::State::Fullscreen);
                state.size = Some(screen);
            }
            if active || force {
                state.states.set(xdg_toplevel::State::Activated);
            } else {
                state.states.unset(xdg_toplevel::State::Activated);
            }
        });
        if force {
            toplevel.send_configure();
        } else if toplevel.is_initial_configure_sent() {
            toplevel.send_pending_configure();
        }
    }

    /// Tells every window its place anew.
    pub(crate) fn configure_all(&mut self) {
        for index in 0..self.windows.stack.len() {
            self.configure(index, false);
        }
        self.configure_x11_windows();
    }

    /// The keyboard goes to the newest window that wants it.
    pub(crate) fn refocus(&mut self) {
        let front = self
            .windows
            .stack
            .iter()
            .rev()
            .find(|window| window.shown && window.wants_keyboard(self.screen()));
        let surface = front.and_then(|window| window.surface().cloned());
        self.outlet.windows_shown =
            self.windows.stack.iter().filter(|window| window.shown && !window.is_menu(self.screen())).count();
        self.outlet.title = front
            .map(|window| window.title().chars().take(limits::TITLE_CHARS).collect())
            .unwrap_or_default();
        if self.windows.focus != surface {
            self.windows.focus.clone_from(&surface);
            self.patience = crate::timing::Patience::default();
            self.focus_x11_window();
            let keyboard = self.keyboard.clone();
            keyboard.set_focus(self, surface, SERIAL_COUNTER.next_serial());
            for index in 0..self.windows.stack.len() {
                self.configure(index, false);
            }
        }
        self.hands.repick = true;
    }

    /// A click brings a window behind to the front.
    pub(crate) fn raise(&mut self, root: &WlSurface) {
        let Some(index) = self.windows.stack.iter().position(|window| window.surface() == Some(root)) else {
            return;
        };
        let later = &self.windows.stack[index + 1..];
        if !later.iter().any(|window| window.shown && window.wants_keyboard(self.screen()))
            || !self.windows.stack[index].wants_keyboard(self.screen())
        {
            return;
        }
        // A dialog stays in front of the window that it belongs to.
        if later.iter().any(|window| window.shown && window.parent().as_ref() == Some(root)) {
            return;
        }
        let window = self.windows.stack.remove(index);
        self.windows.stack.push(window);
        self.refocus();
    }

    /// A surface is gone, and with it the window that it was.
    pub(crate) fn forget_surface(&mut self, surface: &WlSurface) {
        self.cursor.forget(surface);
        self.text_inputs.forget(surface);
        let mut gone = false;
        self.windows.stack.retain_mut(|window| {
            if window.surface() != Some(surface) {
                return true;
            }
            gone = true;
            if let Role::X11(x11) = &mut window.role {
                x11.surface = None;
                window.shown = false;
                return true;
            }
            false
        });
        if gone {
            self.refocus();
        }
    }

    pub(crate) fn remove_toplevel(&mut self, toplevel: &ToplevelSurface) {
        self.windows.stack.retain(|window| !matches!(&window.role, Role::Xdg(own) if own == toplevel));
        self.refocus();
    }

    /// Places every window. The newest one that fills the picture sets the scale for all.
    pub(crate) fn lay_out(&mut self) {
        let picture = (self.settings.width, self.settings.height);
        let places: Vec<_> = (0..self.windows.stack.len())
            .map(|index| (self.is_dialog(index), self.windows.stack[index].geometry(self)))
            .collect();
        let main = self.windows.stack.iter().zip(&places).rev().find(|(window, (dialog, geometry))| {
            window.shown && !dialog && !window.is_menu(self.screen()) && geometry.size.w > 0
        });
        let main_size = main.map(|(_, (_, geometry))| geometry.size);
        let view = main.map_or_else(Mapping::default, |(window, (_, geometry))| {
            Mapping::fit(geometry.size, window.shape(self), picture)
        });
        self.windows.logical = main_size;
        let screen = main_size.unwrap_or(self.screen());
        for (index, (dialog, geometry)) in places.iter().enumerate() {
            let within = if *dialog { self.parent_area(index, screen) } else { Rectangle::from_size(screen) };
            let window = &mut self.windows.stack[index];
            window.origin = match &window.role {
                Role::X11(x11) if x11.info.override_redirect || *dialog => x11.geometry.loc,
                _ => centred(geometry.size, within),
            };
        }
        if self.windows.view != view {
            self.windows.view = view;
            self.hands.repick = true;
        }
    }

    /// Where the parent of a dialog stands; the whole screen without one.
    fn parent_area(&self, index: usize, screen: Size<i32, Logical>) -> Rectangle<i32, Logical> {
        self.windows.stack[index]
            .parent()
            .and_then(|parent| {
                let window = self.windows.stack.iter().find(|window| window.surface() == Some(&parent))?;
                window.shown.then(|| Rectangle::new(window.origin, window.geometry(self).size))
            })
            .unwrap_or(Rectangle::from_size(screen))
    }

    /// The window in focus, whose answers are waited for.
    pub(crate) fn focus(&self) -> Option<&WlSurface> {
        self.windows.focus.as_ref().filter(|surface| surface.is_alive())
    }
}

/// Centred, but never with its upper left corner outside.
fn centred(size: Size<i32, Logical>, within: Rectangle<i32, Logical>) -> Point<i32, Logical> {
    let free = within.size - size;
    let half = |free: i32| free.div_euclid(2);
    (within.loc.x + half(free.w).max(-within.loc.x), within.loc.y + half(free.h).max(-within.loc.y)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_another_size_is_fitted_and_points_map_back() {
        let view = Mapping::fit((640, 480).into(), (640, 480).into(), (1280, 720));
        assert_eq!(view, Mapping { scale_x: 1.5, scale_y: 1.5, x: 160.0, y: 0.0 });
        let point = view.to_logical(640.0, 360.0);
        assert_eq!((point.x, point.y), (320.0, 240.0));
        assert_eq!(view.to_picture(point), (640.0, 360.0));
    }

    #[test]
    fn a_screen_of_another_mode_keeps_its_shape() {
        let view = Mapping::fit((1280, 720).into(), (800, 600).into(), (1280, 720));
        assert_eq!(view, Mapping { scale_x: 0.75, scale_y: 1.0, x: 160.0, y: 0.0 });
        let point = view.to_logical(160.0, 719.0);
        assert_eq!((point.x, point.y), (0.0, 719.0));
        assert_eq!(view.to_picture((1280.0, 720.0).into()), (1120.0, 720.0));
    }

    #[test]
    fn a_dialog_is_centred_and_its_corner_stays_visible() {
        let screen = Rectangle::from_size((1280, 720).into());
        assert_eq!(centred((400, 200).into(), screen), (440, 260).into());
        assert_eq!(centred((1400, 200).into(), screen), (0, 260).into());
    }
}
