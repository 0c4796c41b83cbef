//! From windows, menus and subsurfaces to layers, and from a point to the surface below it.

use smithay::{
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point, Rectangle, Size},
    wayland::compositor::{
        RegionAttributes, SubsurfaceCachedState, SurfaceAttributes, SurfaceData, TraversalAction,
        with_surface_tree_downward, with_surface_tree_upward,
    },
};

use super::{State, surfaces, windows::Mapping};
use crate::{Layer, Rect};

impl State {
    /// The roots of all surface trees that are shown, back to front, with the place of their origin.
    pub(crate) fn roots(&self) -> Vec<(WlSurface, Point<i32, Logical>)> {
        let mut roots = Vec::new();
        for window in self.windows.stack[self.front()..].iter().filter(|window| window.shown) {
            let Some(surface) = window.surface() else { continue };
            let geometry = window.geometry(self);
            roots.push((surface.clone(), window.origin - geometry.loc));
            for (popup, offset) in Self::popups_of(surface) {
                let at = window.origin + offset - popup.geometry().loc;
                roots.push((popup.wl_surface().clone(), at));
            }
        }
        roots
    }

    /// Everything that is shown, back to front. What is wholly behind an opaque layer is left out.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (root, origin) in self.roots() {
            with_surface_tree_upward(
                &root,
                origin,
                |_, states, origin| descend(states, *origin, &root),
                |surface, states, origin| {
                    layers.extend(self.layer(surface, states, place(states, *origin, surface == &root)));
                },
                |_, _, _| true,
            );
        }
        let screen = Rect::new(0, 0, self.settings.width as i32, self.settings.height as i32);
        if let Some(covering) =
            layers.iter().rposition(|layer| layer.opaque && covers(&layer.target, &screen))
        {
            layers.drain(..covering);
        }
        layers
    }

    fn layer(&self, surface: &WlSurface, states: &SurfaceData, origin: Point<i32, Logical>) -> Option<Layer> {
        let picture = self.surfaces.get(surface)?.picture.as_ref()?;
        let (size, source) = surfaces::geometry_of(states, picture);
        let target = target(self.windows.view, Rectangle::new(origin, size));
        let shown = size.w > 0 && size.h > 0 && source.width > 0.0 && source.height > 0.0;
        let opaque = surfaces::is_opaque(states, picture, size);
        shown.then(|| Layer { content: picture.content.clone(), source, target, opaque })
    }

    /// The front surface at a point that takes input there, and where that surface's origin is.
    pub(crate) fn surface_at(&self, point: Point<f64, Logical>) -> Option<(WlSurface, Point<f64, Logical>)> {
        let mut found = None;
        for (root, origin) in self.roots().into_iter().rev() {
            with_surface_tree_downward(
                &root,
                origin,
                |_, states, origin| descend(states, *origin, &root),
                |surface, states, origin| {
                    let origin = place(states, *origin, surface == &root);
                    if found.is_none() && self.takes_input(surface, states, point - origin.to_f64()) {
                        found = Some((surface.clone(), origin.to_f64()));
                    }
                },
                |_, _, _| true,
            );
            if found.is_some() {
                break;
            }
        }
        found
    }

    /// Where a surface of a shown tree has its origin.
    pub(crate) fn origin_of(&self, wanted: &WlSurface) -> Option<Point<f64, Logical>> {
        let mut found = None;
        for (root, origin) in self.roots() {
            with_surface_tree_upward(
                &root,
                origin,
                |_, states, origin| descend(states, *origin, &root),
                |surface, states, origin| {
                    if surface == wanted {
                        found = Some(place(states, *origin, surface == &root).to_f64());
                    }
                },
                |_, _, _| true,
            );
        }
        found
    }

    fn takes_input(&self, surface: &WlSurface, states: &SurfaceData, point: Point<f64, Logical>) -> bool {
        let Some(picture) = self.surfaces.get(surface).and_then(|view| view.picture.as_ref()) else {
            return false;
        };
        let size: Size<f64, Logical> = surfaces::geometry_of(states, picture).0.to_f64();
        let inside = point.x >= 0.0 && point.y >= 0.0 && point.x < size.w && point.y < size.h;
        let mut attributes = states.cached_state.get::<SurfaceAttributes>();
        let region = attributes.current().input_region.as_ref();
        inside && region.is_none_or(|region| region_contains(region, point))
    }
}

pub(crate) fn region_contains(region: &RegionAttributes, point: Point<f64, Logical>) -> bool {
    region.contains(point.to_i32_floor())
}

/// A subsurface stands relative to its parent; the root of a tree where it was put.
fn place(states: &SurfaceData, origin: Point<i32, Logical>, root: bool) -> Point<i32, Logical> {
    if root || states.role != Some("subsurface") {
        return origin;
    }
    origin + states.cached_state.get::<SubsurfaceCachedState>().current().location
}

fn descend(
    states: &SurfaceData,
    origin: Point<i32, Logical>,
    _: &WlSurface,
) -> TraversalAction<Point<i32, Logical>> {
    TraversalAction::DoChildren(place(states, origin, false))
}

/// Rounds edges, not sizes, so that neighbours touch.
fn target(view: Mapping, area: Rectangle<i32, Logical>) -> Rect<i32> {
    let area = area.to_f64();
    let (left, top) = view.to_picture(area.loc);
    let (right, bottom) = view.to_picture(area.loc + area.size.to_point());
    let (x, y) = (left.round() as i32, top.round() as i32);
    Rect::new(x, y, (right.round() as i32).saturating_sub(x), (bottom.round() as i32).saturating_sub(y))
}

fn covers(outer: &Rect<i32>, inner: &Rect<i32>) -> bool {
    let far = |rect: &Rect<i32>| {
        (i64::from(rect.x) + i64::from(rect.width), i64::from(rect.y) + i64::from(rect.height))
    };
    let ((right, bottom), (inner_right, inner_bottom)) = (far(outer), far(inner));
    outer.x <= inner.x && outer.y <= inner.y && right >= inner_right && bottom >= inner_bottom
}
