//! Pointer lock and confinement.

use smithay::{
    input::pointer::PointerHandle,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point},
    wayland::pointer_constraints::{PointerConstraint, PointerConstraintsHandler, with_pointer_constraint},
};

use super::{State, scene::region_contains};

impl PointerConstraintsHandler for State {
    fn new_constraint(&mut self, _: &WlSurface, _: &PointerHandle<Self>) {
        self.activate_constraint();
    }

    fn cursor_position_hint(
        &mut self,
        surface: &WlSurface,
        pointer: &PointerHandle<Self>,
        hint: Point<f64, Logical>,
    ) {
        let locked = with_pointer_constraint(surface, pointer, |constraint| {
            constraint.is_some_and(|constraint| constraint.is_active())
        });
        if let (true, Some(origin)) = (locked, self.origin_of(surface)) {
            self.place_pointer(origin + hint);
            self.pointer.set_location(self.pointer_point());
        }
    }
}

impl State {
    /// The surface below the pointer and its origin, as it was at the last motion.
    pub(crate) fn pointer_focus(&self) -> Option<(WlSurface, Point<f64, Logical>)> {
        let surface = self.pointer.current_focus()?;
        let origin = self.origin_of(&surface)?;
        Some((surface, origin))
    }

    /// Whether the title holds the pointer in place.
    pub(crate) fn pointer_locked(&self) -> bool {
        self.pointer.current_focus().is_some_and(|surface| {
            with_pointer_constraint(&surface, &self.pointer, |constraint| {
                constraint.is_some_and(|constraint| {
                    constraint.is_active() && matches!(*constraint, PointerConstraint::Locked(_))
                })
            })
        })
    }

    /// A constraint takes hold as soon as its surface has the pointer, within its region.
    pub(crate) fn activate_constraint(&mut self) {
        let Some((surface, origin)) = self.pointer_focus() else { return };
        if self.focus() != Some(&Self::root_of(&surface)) {
            return;
        }
        let point = self.pointer_point() - origin;
        with_pointer_constraint(&surface, &self.pointer, |constraint| {
            if let Some(constraint) = constraint
                && !constraint.is_active()
                && constraint.region().is_none_or(|region| region_contains(region, point))
            {
                constraint.activate();
            }
        });
    }

    /// The nearest allowed position: along one axis where both together would leave the region.
    pub(crate) fn confine(&self, wanted: (f64, f64)) -> (f64, f64) {
        let at = self.hands.at();
        let Some((surface, origin)) = self.pointer_focus() else { return wanted };
        let size = self.size_of(&surface).to_f64();
        let view = self.windows.view;
        with_pointer_constraint(&surface, &self.pointer, |constraint| {
            let Some(constraint) = constraint.filter(|constraint| constraint.is_active()) else {
                return wanted;
            };
            let allowed = |(x, y): (f64, f64)| {
                let point = view.to_logical(x, y) - origin;
                let inside = point.x >= 0.0 && point.y >= 0.0 && point.x < size.w && point.y < size.h;
                inside && constraint.region().is_none_or(|region| region_contains(region, point))
            };
            [wanted, (wanted.0, at.1), (at.0, wanted.1)]
                .into_iter()
                .find(|place| allowed(*place))
                .unwrap_or(at)
        })
    }
}
