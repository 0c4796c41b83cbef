//! Toplevels, menus and decorations of xdg-shell.

use smithay::{
    desktop::{
        PopupKeyboardGrab, PopupKind, PopupManager, PopupPointerGrab, PopupUngrabStrategy,
        find_popup_root_surface, get_popup_toplevel_coords,
    },
    input::{Seat, pointer::Focus},
    reexports::{
        wayland_protocols::xdg::{
            decoration::zv1::server::zxdg_toplevel_decoration_v1::Mode, shell::server::xdg_toplevel,
        },
        wayland_server::protocol::{wl_output::WlOutput, wl_seat::WlSeat, wl_surface::WlSurface},
    },
    utils::{Rectangle, Serial},
    wayland::shell::xdg::{
        PopupSurface, PositionerState, ToplevelSurface, XdgShellHandler, XdgShellState,
        decoration::XdgDecorationHandler,
    },
};

use super::{State, windows::Role};

impl XdgShellHandler for State {
    fn xdg_shell_state(&mut self) -> &mut XdgShellState {
        &mut self.globals.xdg_shell
    }

    fn new_toplevel(&mut self, toplevel: ToplevelSurface) {
        self.add_window(Role::Xdg(toplevel));
    }

    fn toplevel_destroyed(&mut self, toplevel: ToplevelSurface) {
        self.remove_toplevel(&toplevel);
    }

    fn new_popup(&mut self, popup: PopupSurface, positioner: PositionerState) {
        self.place_popup(&popup, positioner);
        if let Err(error) = self.popups.track_popup(PopupKind::Xdg(popup)) {
            tracing::debug!(%error, "a menu was gone before it was there");
        }
    }

    fn reposition_request(&mut self, popup: PopupSurface, positioner: PositionerState, token: u32) {
        self.place_popup(&popup, positioner);
        popup.send_repositioned(token);
    }

    fn popup_destroyed(&mut self, _: PopupSurface) {
        self.hands.repick = true;
    }

    fn grab(&mut self, popup: PopupSurface, seat: WlSeat, serial: Serial) {
        let (Some(seat), kind) = (Seat::<Self>::from_resource(&seat), PopupKind::Xdg(popup)) else { return };
        let Ok(root) = find_popup_root_surface(&kind) else { return };
        let Ok(mut grab) = self.popups.grab_popup(root, kind, &seat, serial) else { return };
        let (keyboard, pointer) = (self.keyboard.clone(), self.pointer.clone());
        let foreign = |grabbed: bool, own: bool, before: bool| grabbed && !(own || before);
        let previous = grab.previous_serial().unwrap_or(serial);
        if foreign(keyboard.is_grabbed(), keyboard.has_grab(serial), keyboard.has_grab(previous))
            || foreign(pointer.is_grabbed(), pointer.has_grab(serial), pointer.has_grab(previous))
        {
            grab.ungrab(PopupUngrabStrategy::All);
            return;
        }
        keyboard.set_focus(self, grab.current_grab(), serial);
        keyboard.set_grab(self, PopupKeyboardGrab::new(&grab), serial);
        pointer.set_grab(self, PopupPointerGrab::new(&grab), serial, Focus::Keep);
    }

    fn title_changed(&mut self, _: ToplevelSurface) {
        self.refocus();
    }

    fn parent_changed(&mut self, toplevel: ToplevelSurface) {
        self.reconfigure(&toplevel);
    }

    fn fullscreen_request(&mut self, toplevel: ToplevelSurface, _: Option<WlOutput>) {
        self.answer(&toplevel);
    }
    fn unfullscreen_request(&mut self, toplevel: ToplevelSurface) {
        self.answer(&toplevel);
    }
    fn maximize_request(&mut self, toplevel: ToplevelSurface) {
        self.answer(&toplevel);
    }
    fn unmaximize_request(&mut self, toplevel: ToplevelSurface) {
        self.answer(&toplevel);
    }
}

impl XdgDecorationHandler for State {
    fn new_decoration(&mut self, toplevel: ToplevelSurface) {
        // Drawn by the server means: not at all. The title fills the picture.
        toplevel.with_pending_state(|state| state.decoration_mode = Some(Mode::ServerSide));
        if toplevel.is_initial_configure_sent() {
            toplevel.send_pending_configure();
        }
    }
    fn request_mode(&mut self, toplevel: ToplevelSurface, _: Mode) {
        self.new_decoration(toplevel);
    }
    fn unset_mode(&mut self, toplevel: ToplevelSurface) {
        self.new_decoration(toplevel);
    }
}

impl State {
    /// The first configure of a menu.
    pub(crate) fn commit_popup(&self, surface: &WlSurface) {
        if let Some(PopupKind::Xdg(popup)) = self.popups.find_popup(surface)
            && !popup.is_initial_configure_sent()
            && let Err(error) = popup.send_configure()
        {
            tracing::debug!(%error, "a menu cannot be configured");
        }
    }

    /// Moves, flips or resizes a menu so that it stays in the picture.
    fn place_popup(&self, popup: &PopupSurface, positioner: PositionerState) {
        let kind = PopupKind::Xdg(popup.clone());
        let target = find_popup_root_surface(&kind).ok().and_then(|root| {
            let window = self.windows.stack.iter().find(|window| window.surface() == Some(&root))?;
            let view = self.windows.view;
            let corner = view.to_logical(0.0, 0.0).to_i32_ceil();
            let far = view
                .to_logical(f64::from(self.settings.width), f64::from(self.settings.height))
                .to_i32_floor();
            let offset = window.origin + get_popup_toplevel_coords(&kind);
            Some(Rectangle::new(corner - offset, (far - corner).to_size()))
        });
        popup.with_pending_state(|state| {
            state.positioner = positioner;
            state.geometry = target.map_or_else(
                || positioner.get_geometry(),
                |target| positioner.get_unconstrained_geometry(target),
            );
        });
    }

    fn index_of(&self, toplevel: &ToplevelSurface) -> Option<usize> {
        self.windows.stack.iter().position(|window| matches!(&window.role, Role::Xdg(own) if own == toplevel))
    }

    fn reconfigure(&self, toplevel: &ToplevelSurface) {
        if let Some(index) = self.index_of(toplevel) {
            self.configure(index, false);
        }
    }

    /// Requests about size must be answered with a configure, and the answer is always our own policy.
    fn answer(&self, toplevel: &ToplevelSurface) {
        if !toplevel.is_initial_configure_sent() {
            return;
        }
        self.reconfigure(toplevel);
        let fills =
            toplevel.with_pending_state(|state| state.states.contains(xdg_toplevel::State::Fullscreen));
        tracing::trace!(fills, "a window has asked for another size");
        toplevel.send_configure();
    }

    /// Menus that belong to a window, with their place relative to its geometry.
    pub(crate) fn popups_of(
        surface: &WlSurface,
    ) -> impl Iterator<Item = (PopupKind, smithay::utils::Point<i32, smithay::utils::Logical>)> {
        PopupManager::popups_for_surface(surface)
    }
}
