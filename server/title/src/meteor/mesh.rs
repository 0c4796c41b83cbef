//! Low-poly shapes, made at start: flat-shaded triangles with a colour per corner.

use crate::rng::Rng;
use bytemuck::{Pod, Zeroable};
use glam::Vec3;
use std::ops::Range;

/// Shapes of meteors.
pub(crate) const ROCK_SHAPES: usize = 4;
/// All shapes: rocks, then [`GEM`] and [`SHIP`].
pub(crate) const SHAPES: usize = ROCK_SHAPES + 2;
pub(crate) const GEM: usize = ROCK_SHAPES;
pub(crate) const SHIP: usize = ROCK_SHAPES + 1;

/// One corner of a triangle.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Corner {
    pub(crate) position: [f32; 3],
    pub(crate) normal: [f32; 3],
    /// Linear RGB; the fourth is how much it shines by itself.
    pub(crate) colour: [f32; 4],
}

/// All shapes in one vertex buffer.
pub(crate) struct Shapes {
    pub(crate) corners: Vec<Corner>,
    /// Which corners belong to which shape.
    pub(crate) ranges: [Range<u32>; SHAPES],
}

impl Shapes {
    pub(crate) fn new() -> Self {
        let mut corners = Vec::new();
        let ranges = std::array::from_fn(|shape| {
            let start = corners.len() as u32;
            match shape {
                SHIP => ship(&mut corners),
                GEM => gem(&mut corners),
                _ => rock(&mut corners, shape as u64),
            }
            start..corners.len() as u32
        });
        Self { corners, ranges }
    }
}

fn triangle(out: &mut Vec<Corner>, points: [Vec3; 3], colour: [f32; 4]) {
    let normal = (points[1] - points[0]).cross(points[2] - points[0]).normalize_or_zero().to_array();
    out.extend(points.map(|position| Corner { position: position.to_array(), normal, colour }));
}

/// Triangles of an octahedron, seen counter-clockwise from outside in a right-handed sense.
fn octahedron() -> Vec<[Vec3; 3]> {
    let (x, y, z) = (Vec3::X, Vec3::Y, Vec3::Z);
    vec![[x, y, z], [y, -x, z], [-x, -y, z], [-y, x, z], [y, x, -z], [-x, y, -z], [-y, -x, -z], [x, -y, -z]]
}

/// Splits every triangle into four and puts the new corners onto the unit sphere.
fn subdivide(faces: &[[Vec3; 3]]) -> Vec<[Vec3; 3]> {
    let split = |[a, b, c]: &[Vec3; 3]| {
        let middle = |a: &Vec3, b: &Vec3| (*a + *b).normalize();
        let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
        [[*a, ab, ca], [ab, *b, bc], [ca, bc, *c], [ab, bc, ca]]
    };
    faces.iter().flat_map(split).collect()
}

/// A dented ball of radius about 1 with dark hollows and light ridges.
fn rock(out: &mut Vec<Corner>, seed: u64) {
    let mut rng = Rng::new(seed * 77 + 5);
    let dents: Vec<(Vec3, f32)> = (0..14)
        .map(|_| {
            let way = Vec3::new(rng.range(-1.0, 1.0), rng.range(-1.0, 1.0), rng.range(-1.0, 1.0));
            (way.normalize_or(Vec3::X), rng.range(-0.32, 0.22))
        })
        .collect();
    let stretch = Vec3::new(rng.range(0.85, 1.15), rng.range(0.75, 1.0), rng.range(0.85, 1.2));
    let height = |p: Vec3| {
        let bump = |(way, depth): &(Vec3, f32)| depth * (p.dot(*way) - 0.6).max(0.0) / 0.4;
        (1.0 + dents.iter().map(bump).sum::<f32>()).max(0.55)
    };
    for face in subdivide(&subdivide(&octahedron())) {
        let middle = height((face[0] + face[1] + face[2]).normalize());
        let tone = (0.42 + (middle - 0.85) * 1.5 + rng.range(-0.06, 0.06)).clamp(0.12, 1.0);
        triangle(out, face.map(|p| p * height(p) * stretch), [tone, tone, tone, 0.0]);
    }
}

/// A slim crystal.
fn gem(out: &mut Vec<Corner>) {
    for (i, face) in octahedron().into_iter().enumerate() {
        let tone = if i % 2 == 0 { 1.0 } else { 0.6 };
        triangle(out, face.map(|p| p * Vec3::new(0.7, 1.15, 0.7)), [tone, tone, tone, 0.55]);
    }
}

/// A small fighter, nose along +z, about 2.4 long and 2.6 wide; mirrored at x = 0.
fn ship(out: &mut Vec<Corner>) {
    const HULL: [f32; 4] = [0.62, 0.68, 0.8, 0.0];
    const BELLY: [f32; 4] = [0.2, 0.22, 0.3, 0.0];
    const WING: [f32; 4] = [0.32, 0.36, 0.5, 0.0];
    const TRIM: [f32; 4] = [1.0, 0.24, 0.1, 0.35];
    const GLASS: [f32; 4] = [0.1, 0.75, 1.0, 0.6];
    const JET: [f32; 4] = [0.4, 0.75, 1.0, 1.0];
    let v = Vec3::new;
    let (nose, spine, tail) = (v(0.0, 0.0, 1.5), v(0.0, 0.38, -0.35), v(0.0, 0.3, -0.95));
    let (keel, flank, stern) = (v(0.0, -0.2, -0.3), v(0.36, 0.02, -0.25), v(0.3, 0.04, -1.0));
    let (root, tip, trail) = (v(0.3, 0.02, 0.35), v(1.35, -0.1, -0.75), v(0.32, 0.02, -0.85));
    let half: [([Vec3; 3], [f32; 4]); 13] = [
        ([nose, spine, flank], HULL),
        ([spine, tail, flank], HULL),
        ([tail, stern, flank], HULL),
        ([nose, flank, keel], BELLY),
        ([flank, stern, keel], BELLY),
        ([root, trail, tip], WING),
        ([root, tip, trail], BELLY),
        ([tip, v(1.5, -0.1, -0.95), v(1.1, -0.06, -0.8)], TRIM),
        ([tip, v(1.1, -0.06, -0.8), v(1.45, -0.05, 0.0)], TRIM),
        ([v(0.26, 0.24, -0.6), v(0.5, 0.85, -1.15), v(0.24, 0.2, -1.05)], TRIM),
        ([v(0.24, 0.2, -1.05), v(0.5, 0.85, -1.15), v(0.26, 0.24, -0.6)], WING),
        ([v(0.0, 0.26, 0.55), v(0.0, 0.44, -0.1), v(0.17, 0.24, 0.05)], GLASS),
        ([tail, v(0.0, -0.1, -0.95), stern], JET),
    ];
    for (points, colour) in half {
        triangle(out, points, colour);
        let mirrored = points.map(|p| p * v(-1.0, 1.0, 1.0));
        triangle(out, [mirrored[0], mirrored[2], mirrored[1]], colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_small_closed_enough_and_faces_outwards() {
        let shapes = Shapes::new();
        assert!(shapes.corners.len() < 3000);
        for range in &shapes.ranges[..ROCK_SHAPES] {
            for corner in &shapes.corners[range.start as usize..range.end as usize] {
                let (p, n) = (Vec3::from(corner.position), Vec3::from(corner.normal));
                assert!(p.dot(n) > 0.0 && (0.35..1.9).contains(&p.length()), "{p} {n}");
            }
        }
    }
}
