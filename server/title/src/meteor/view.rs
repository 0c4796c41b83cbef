//! The camera: fixed behind and above the ship, looking at the horizon.
//!
//! World: x right, y up, z into the picture (left-handed); the arena is the plane y = 0.

use glam::{Mat4, Vec2, Vec3};

/// Where the camera stands.
pub(crate) const EYE: Vec3 = Vec3::new(0.0, 7.5, -8.0);
/// Sine and cosine of its downward pitch of 12°, as constants because the arena must not depend on a
/// machine's trigonometry.
const PITCH: (f32, f32) = (0.207_912, 0.978_148);
/// Tangent of half the vertical field of view (28°).
const TAN_HALF_FOV: f32 = 0.531_71;
const NEAR: f32 = 0.5;
const FAR: f32 = 220.0;

/// Camera for a picture of some aspect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    aspect: f32,
}

impl View {
    pub(crate) fn new(aspect: f32) -> Self {
        Self { aspect }
    }

    /// Width over height.
    pub(crate) fn aspect(&self) -> f32 {
        self.aspect
    }

    /// The arena's point under a clip-space point, no farther into the picture than `far_y`: above that
    /// line, and in the sky, only left and right count.
    pub(crate) fn arena_at(&self, clip: Vec2, far_y: f32) -> Vec2 {
        let ray = self.ray(clip);
        let limit = (far_y - EYE.z) / ray.z;
        let reach = if ray.y < 0.0 { (-EYE.y / ray.y).min(limit) } else { limit };
        Vec2::new(EYE.x + ray.x * reach, EYE.z + ray.z * reach)
    }

    /// Direction through a clip-space point, not normalised.
    pub(crate) fn ray(&self, clip: Vec2) -> Vec3 {
        let (right, up) = (clip.x * TAN_HALF_FOV * self.aspect, clip.y * TAN_HALF_FOV);
        let (sin, cos) = PITCH;
        Vec3::new(right, up * cos - sin, up * sin + cos)
    }

    /// Right and up of the camera.
    pub(crate) fn axes(&self) -> (Vec3, Vec3) {
        (Vec3::X, Vec3::new(0.0, PITCH.1, PITCH.0))
    }

    /// World to clip space, depth 0..1; `shake` moves the camera in its own plane, in units.
    pub(crate) fn projection(&self, shake: Vec2) -> Mat4 {
        let (right, up) = self.axes();
        let eye = EYE + right * shake.x + up * shake.y;
        let forward = Vec3::new(0.0, -PITCH.0, PITCH.1);
        let camera = Mat4::look_to_lh(eye, forward, Vec3::Y);
        Mat4::perspective_lh(2.0 * TAN_HALF_FOV.atan(), self.aspect, NEAR, FAR) * camera
    }
}

/// Clip-space point (x right, y up, −1..=1) of an input position.
pub(crate) fn clip(x: u16, y: u16) -> Vec2 {
    Vec2::new(f32::from(x) / 32767.5 - 1.0, 1.0 - f32::from(y) / 32767.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picking_is_the_inverse_of_projecting() {
        let view = View::new(16.0 / 9.0);
        for place in [Vec2::new(0.0, 5.0), Vec2::new(-8.0, 3.0), Vec2::new(6.0, 12.0)] {
            let seen = view.projection(Vec2::ZERO).project_point3(Vec3::new(place.x, 0.0, place.y));
            assert!(seen.x.abs() < 1.0 && seen.y.abs() < 1.0, "{place} is outside the picture");
            assert!(view.arena_at(seen.truncate(), 13.0).distance(place) < 0.01);
        }
    }

    #[test]
    fn pointing_into_the_sky_keeps_left_and_right() {
        let view = View::new(16.0 / 9.0);
        let sky = view.arena_at(clip(40_000, 0), 13.0);
        let ground = view.arena_at(clip(40_000, 40_000), 13.0);
        assert!((sky.y - 13.0).abs() < 0.01 && (sky.x - ground.x).abs() < 2.0, "{sky} {ground}");
    }
}
