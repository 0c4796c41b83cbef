//! Triangles, and shapes made of them.

use glam::{Mat4, Vec2, Vec3};
use std::f32::consts::TAU;

/// One corner of a triangle.
#[derive(Clone, Copy)]
pub(crate) struct Corner {
    pub(crate) position: [f32; 3],
    pub(crate) normal: [f32; 3],
    pub(crate) uv: [f32; 2],
    /// Linear RGBA.
    pub(crate) colour: [u8; 4],
}

/// Triangles of one material, three corners each, counter-clockwise from outside.
#[derive(Default)]
pub(crate) struct Mesh {
    pub(crate) corners: Vec<Corner>,
}

const WHITE: Vec3 = Vec3::ONE;

impl Mesh {
    /// A flat triangle of one colour.
    pub(crate) fn facet(&mut self, points: [Vec3; 3], colour: Vec3) {
        let normal = (points[1] - points[0]).cross(points[2] - points[0]).normalize_or(Vec3::Y);
        for point in points {
            self.corner(point, normal, Vec2::new(point.x, point.z) * 0.25, colour);
        }
    }

    /// Turns a profile of (radius, height) around the vertical of `place`, from bottom to top when it
    /// faces outwards; smooth along the way unless `flat`.
    pub(crate) fn lathe(
        &mut self,
        profile: &[(f32, f32)],
        sides: u32,
        place: Mat4,
        colour: Vec3,
        flat: bool,
    ) {
        let mut along = 0.0;
        for pair in profile.windows(2) {
            let (low, high) = (Vec2::from(pair[0]), Vec2::from(pair[1]));
            let length = (high - low).length();
            let slope = Vec2::new(high.y - low.y, low.x - high.x).normalize_or(Vec2::X);
            for side in 0..sides {
                let turn = |step: u32| (side + step) as f32 / sides as f32 * TAU;
                let around = |step: u32| Vec3::new(turn(step).sin(), 0.0, turn(step).cos());
                let point =
                    |at: Vec2, step: u32| place.transform_point3(around(step) * at.x + Vec3::Y * at.y);
                let normal = |step: u32| {
                    place.transform_vector3(around(step) * slope.x + Vec3::Y * slope.y).normalize_or(Vec3::Y)
                };
                let corners =
                    [(low, 0, along), (low, 1, along), (high, 1, along + length), (high, 0, along + length)];
                for [a, b, c] in [[0, 1, 2], [0, 2, 3]] {
                    let triangle = [a, b, c].map(|i: usize| point(corners[i].0, corners[i].1));
                    if triangle[0].distance(triangle[1]) < 1e-4 || triangle[1].distance(triangle[2]) < 1e-4 {
                        continue;
                    }
                    if flat {
                        self.facet(triangle, colour);
                        continue;
                    }
                    for i in [a, b, c] {
                        let (at, step, v) = corners[i];
                        let u = (side + step) as f32 / sides as f32 * 6.0;
                        self.corner(point(at, step), normal(step), Vec2::new(u, v * 0.5), colour);
                    }
                }
            }
            along += length;
        }
    }

    /// A box around the origin of `place` with these half sizes.
    pub(crate) fn cuboid(&mut self, half: Vec3, place: Mat4, colour: Vec3) {
        for axis in 0..3 {
            for sign in [-1.0, 1.0] {
                let mut n = Vec3::ZERO;
                n[axis] = sign;
                let mut u = Vec3::ZERO;
                u[(axis + 1) % 3] = 1.0;
                let v = n.cross(u);
                let at = |a: f32, b: f32| place.transform_point3((n + u * a + v * b) * half);
                self.facet([at(-1.0, -1.0), at(1.0, -1.0), at(1.0, 1.0)], colour);
                self.facet([at(-1.0, -1.0), at(1.0, 1.0), at(-1.0, 1.0)], colour);
            }
        }
    }

    /// A ball.
    pub(crate) fn ball(&mut self, radius: f32, place: Mat4) {
        let profile: Vec<_> = (0..=4)
            .map(|i| {
                let turn = i as f32 / 4.0 * TAU / 2.0;
                (radius * turn.sin(), -radius * turn.cos())
            })
            .collect();
        self.lathe(&profile, 8, place, WHITE, false);
    }

    fn corner(&mut self, point: Vec3, normal: Vec3, uv: Vec2, colour: Vec3) {
        let colour = (colour.clamp(Vec3::ZERO, Vec3::ONE) * 255.0).extend(255.0).to_array().map(|v| v as u8);
        self.corners.push(Corner {
            position: point.to_array(),
            normal: normal.to_array(),
            uv: uv.to_array(),
            colour,
        });
    }
}

/// A place.
pub(crate) fn at(x: f32, y: f32, z: f32) -> Mat4 {
    Mat4::from_translation(Vec3::new(x, y, z))
}
