//! The seams to smithay that need no code of their own elsewhere.

use smithay::{
    delegate_compositor, delegate_cursor_shape, delegate_data_device, delegate_dmabuf,
    delegate_fractional_scale, delegate_idle_inhibit, delegate_output, delegate_pointer_constraints,
    delegate_pointer_gestures, delegate_presentation, delegate_primary_selection, delegate_relative_pointer,
    delegate_seat, delegate_shm, delegate_single_pixel_buffer, delegate_viewporter, delegate_xdg_decoration,
    delegate_xdg_shell,
    input::{Seat, SeatHandler, SeatState, pointer::CursorImageStatus},
    reexports::wayland_server::{Resource, protocol::wl_surface::WlSurface},
    wayland::{
        compositor::with_states,
        fractional_scale::{FractionalScaleHandler, with_fractional_scale},
        idle_inhibit::IdleInhibitHandler,
        output::OutputHandler,
        selection::{
            data_device::{ClientDndGrabHandler, ServerDndGrabHandler, set_data_device_focus},
            primary_selection::set_primary_focus,
        },
        tablet_manager::TabletSeatHandler,
    },
};

use super::State;

impl SeatHandler for State {
    type KeyboardFocus = WlSurface;
    type PointerFocus = WlSurface;
    type TouchFocus = WlSurface;

    fn seat_state(&mut self) -> &mut SeatState<Self> {
        &mut self.globals.seats
    }

    fn focus_changed(&mut self, seat: &Seat<Self>, focused: Option<&WlSurface>) {
        let client = focused.and_then(|surface| surface.client());
        set_data_device_focus(&self.display, seat, client.clone());
        set_primary_focus(&self.display, seat, client);
        self.text_inputs.set_focus(focused.cloned());
    }

    fn cursor_image(&mut self, seat: &Seat<Self>, image: CursorImageStatus) {
        self.cursor_image_changed(seat, image);
    }
}

impl FractionalScaleHandler for State {
    fn new_fractional_scale(&mut self, surface: WlSurface) {
        with_states(&surface, |states| with_fractional_scale(states, |scale| scale.set_preferred_scale(1.0)));
    }
}

// A session is never idle on our side: the page keeps the player's screen awake.
impl IdleInhibitHandler for State {
    fn inhibit(&mut self, _: WlSurface) {}
    fn uninhibit(&mut self, _: WlSurface) {}
}

// Dragging between windows of the title works as smithay does it; the page takes no part.
impl ClientDndGrabHandler for State {}
impl ServerDndGrabHandler for State {}
impl OutputHandler for State {}
impl TabletSeatHandler for State {}

delegate_compositor!(State);
delegate_cursor_shape!(State);
delegate_data_device!(State);
delegate_dmabuf!(State);
delegate_fractional_scale!(State);
delegate_idle_inhibit!(State);
delegate_output!(State);
delegate_pointer_constraints!(State);
delegate_pointer_gestures!(State);
delegate_presentation!(State);
delegate_primary_selection!(State);
delegate_relative_pointer!(State);
delegate_seat!(State);
delegate_shm!(State);
delegate_single_pixel_buffer!(State);
delegate_viewporter!(State);
delegate_xdg_decoration!(State);
delegate_xdg_shell!(State);
