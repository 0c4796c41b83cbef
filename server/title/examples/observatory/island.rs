//! The island and everything on it. Metres, y up.

use crate::shapes::{Mesh, at};
use glam::{Mat4, Vec2, Vec3};
use image::{Rgb, RgbImage};
use std::f32::consts::{PI, TAU};

/// Meshes, in the order of the looks.
const GROUND: usize = 0;
const BRICKS: usize = 1;
const COPPER: usize = 2;
const IRON: usize = 3;
const LIGHT: usize = 4;
const WATER: usize = 5;
const LEAVES: usize = 6;
const WOOD: usize = 7;
const GLASS: usize = 8;

const WHITE: Vec3 = Vec3::ONE;
/// Where the observatory stands, and the pond lies.
const HILL: Vec2 = Vec2::new(-2.6, -1.4);
const POND: Vec2 = Vec2::new(4.2, 3.2);
const HILL_Y: f32 = 2.1;

/// All meshes.
pub(crate) fn build() -> Vec<Mesh> {
    let mut meshes: Vec<Mesh> = (0..9).map(|_| Mesh::default()).collect();
    ground(&mut meshes[GROUND]);
    observatory(&mut meshes);
    pond(&mut meshes);
    lamps(&mut meshes);
    trees(&mut meshes);
    greenhouse(&mut meshes);
    meshes
}

fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A repeatable number in 0..1 for a pair of numbers.
fn chance(a: f32, b: f32) -> f32 {
    ((a * 127.1 + b * 311.7).sin() * 43758.547).rem_euclid(1.0)
}

fn edge(turn: f32) -> f32 {
    9.6 + 0.7 * (3.0 * turn + 1.0).sin() + 0.45 * (5.0 * turn).sin()
}

fn height(p: Vec2) -> f32 {
    let hill = HILL_Y * (1.0 - smooth(2.7, 5.4, p.distance(HILL)));
    let basin = -0.75 * (1.0 - smooth(1.5, 2.7, p.distance(POND)));
    let waves = 0.16 * (p.x * 0.9).sin() * (p.y * 1.1 + 0.5).cos();
    hill + basin + waves * smooth(2.6, 4.5, p.distance(HILL)) + 0.12
}

/// Distance to the path from the door to the pond.
fn off_path(p: Vec2) -> f32 {
    let (from, to) = (HILL + Vec2::new(1.6, 1.1), POND + Vec2::new(-1.9, -0.9));
    let t = ((p - from).dot(to - from) / (to - from).length_squared()).clamp(0.0, 1.0);
    let bend = Vec2::new(0.0, 0.7) * (t * PI).sin();
    p.distance(from + (to - from) * t + bend)
}

fn soil(p: Vec2, steep: f32) -> Vec3 {
    let tint = 0.85 + 0.3 * chance((p.x * 3.0).floor(), (p.y * 3.0).floor());
    if off_path(p) < 0.42 {
        return Vec3::new(0.42, 0.38, 0.33) * tint;
    }
    if p.distance(POND) < 2.35 {
        return Vec3::new(0.50, 0.41, 0.26) * tint;
    }
    let grass =
        Vec3::new(0.13, 0.24, 0.06).lerp(Vec3::new(0.24, 0.30, 0.08), chance(p.x.floor(), p.y.floor()));
    grass.lerp(Vec3::new(0.25, 0.22, 0.19), smooth(0.35, 0.8, steep)) * tint
}

fn ground(mesh: &mut Mesh) {
    const SIDES: u32 = 52;
    const RINGS: u32 = 14;
    let turn = |side: u32| side as f32 / SIDES as f32 * TAU;
    let way = |side: u32| Vec2::new(turn(side).sin(), turn(side).cos());
    let top = |ring: u32, side: u32| {
        let p = way(side) * edge(turn(side)) * (ring as f32 / RINGS as f32);
        Vec3::new(p.x, height(p), p.y)
    };
    let below = |ring: u32, side: u32| {
        let share = ring as f32 / 6.0;
        let jag = 0.8 + 0.35 * chance(ring as f32, (side % SIDES) as f32);
        let p = way(side) * edge(turn(side)) * (1.0 - share).powf(0.7) * if ring == 0 { 1.0 } else { jag };
        Vec3::new(p.x, -0.35 - 7.5 * share * jag, p.y)
    };
    for side in 0..SIDES {
        for ring in 0..RINGS {
            let (a, b) = (top(ring, side), top(ring, side + 1));
            let (c, d) = (top(ring + 1, side + 1), top(ring + 1, side));
            for triangle in [[a, d, c], [a, c, b]] {
                let middle = (triangle[0] + triangle[1] + triangle[2]) / 3.0;
                let normal = (triangle[1] - triangle[0]).cross(triangle[2] - triangle[0]);
                if normal.length() > 1e-6 {
                    let colour = soil(Vec2::new(middle.x, middle.z), 1.0 - normal.normalize().y);
                    mesh.facet(triangle, colour);
                }
            }
        }
        let rim = [top(RINGS, side), top(RINGS, side + 1)];
        mesh.facet([rim[0], below(0, side), below(0, side + 1)], Vec3::new(0.16, 0.10, 0.06));
        mesh.facet([rim[0], below(0, side + 1), rim[1]], Vec3::new(0.16, 0.10, 0.06));
        for ring in 0..6 {
            let (a, b) = (below(ring, side), below(ring, side + 1));
            let (c, d) = (below(ring + 1, side + 1), below(ring + 1, side));
            let tone = 0.7 + 0.5 * chance(side as f32, ring as f32 + 0.5);
            let rock = Vec3::new(0.20, 0.17, 0.16) * tone;
            mesh.facet([a, d, c], rock);
            mesh.facet([a, c, b], rock);
        }
    }
}

fn observatory(meshes: &mut [Mesh]) {
    let base = at(HILL.x, HILL_Y, HILL.y);
    let tower = [(2.1, -0.3), (2.1, 0.15), (1.85, 0.15), (1.75, 2.5), (1.95, 2.6), (1.95, 2.8), (1.6, 2.8)];
    for pair in tower.windows(2) {
        meshes[BRICKS].lathe(pair, 24, base, WHITE, false);
    }
    meshes[IRON].lathe(&[(1.98, 2.62), (2.02, 2.7), (1.98, 2.78)], 24, base, WHITE, false);
    dome(meshes, base);
    let telescope = base
        * at(0.0, 3.3, 0.0)
        * Mat4::from_rotation_y(0.75)
        * Mat4::from_rotation_x(0.85)
        * Mat4::from_translation(Vec3::Y * -0.3);
    meshes[IRON].lathe(
        &[(0.0, 0.0), (0.26, 0.0), (0.26, 1.3), (0.34, 1.35), (0.34, 2.6), (0.30, 2.6)],
        20,
        telescope,
        WHITE,
        false,
    );
    meshes[COPPER].lathe(
        &[(0.36, 2.25), (0.37, 2.3), (0.37, 2.45), (0.36, 2.5)],
        20,
        telescope,
        WHITE,
        false,
    );
    meshes[GLASS].lathe(&[(0.30, 2.52), (0.0, 2.58)], 20, telescope, WHITE, false);
    let door = base * Mat4::from_rotation_y(0.97);
    meshes[WOOD].cuboid(Vec3::new(0.42, 0.75, 0.10), door * at(0.0, 0.75, 1.85), WHITE);
    meshes[IRON].cuboid(Vec3::new(0.50, 0.06, 0.14), door * at(0.0, 1.55, 1.86), WHITE);
    meshes[BRICKS].cuboid(Vec3::new(0.7, 0.10, 0.5), door * at(0.0, -0.02, 2.2), WHITE);
    for turn in [2.2, 3.4, 4.7, 5.9] {
        let window = base * Mat4::from_rotation_y(turn + 0.5);
        meshes[LIGHT].cuboid(Vec3::new(0.16, 0.34, 0.05), window * at(0.0, 1.55, 1.79), WHITE);
        meshes[IRON].cuboid(Vec3::new(0.22, 0.05, 0.10), window * at(0.0, 1.16, 1.80), WHITE);
    }
}

/// A copper dome with a slit towards the telescope's way.
fn dome(meshes: &mut [Mesh], base: Mat4) {
    const SIDES: u32 = 30;
    const OPEN: u32 = 3;
    let radius = 1.72;
    let point = |side: u32, step: u32| {
        let (turn, rise) =
            (0.75 + (side as f32 - OPEN as f32 / 2.0) / SIDES as f32 * TAU, step as f32 / 10.0 * PI / 2.0);
        Vec3::new(turn.sin() * rise.cos(), rise.sin(), turn.cos() * rise.cos())
    };
    let place = |p: Vec3| base.transform_point3(p * radius + Vec3::Y * 2.8);
    for side in OPEN..SIDES {
        for step in 0..10 {
            let quad =
                [point(side, step), point(side + 1, step), point(side + 1, step + 1), point(side, step + 1)];
            // Plates: every fourth seam is darker.
            let tone = if side % 4 == 0 { 0.7 } else { 1.0 };
            meshes[COPPER].facet([quad[0], quad[1], quad[2]].map(place), WHITE * tone);
            if step < 9 {
                meshes[COPPER].facet([quad[0], quad[2], quad[3]].map(place), WHITE * tone);
            }
            let inner = [quad[0], quad[2], quad[1]].map(|p| place(p * 0.97));
            meshes[IRON].facet(inner, WHITE * 0.6);
            meshes[IRON].facet([quad[0], quad[3], quad[2]].map(|p| place(p * 0.97)), WHITE * 0.6);
        }
    }
    meshes[LIGHT].ball(0.16, base * at(0.0, 3.0, 0.0));
    meshes[COPPER].ball(0.12, base * at(0.0, 2.8 + radius + 0.05, 0.0));
}

fn pond(meshes: &mut [Mesh]) {
    let place = at(POND.x, -0.12, POND.y);
    let sides = 40;
    for side in 0..sides {
        let rim = |step: u32| {
            let turn = (side + step) as f32 / sides as f32 * TAU;
            place.transform_point3(Vec3::new(turn.sin(), 0.0, turn.cos()) * 2.35)
        };
        meshes[WATER].facet([place.transform_point3(Vec3::ZERO), rim(0), rim(1)], WHITE);
    }
    for stone in 0..22 {
        let seed = stone as f32;
        let turn = seed / 22.0 * TAU + chance(seed, 1.0) * 0.2;
        let p = POND + Vec2::new(turn.sin(), turn.cos()) * (2.3 + 0.3 * chance(seed, 2.0));
        let size = 0.14 + 0.2 * chance(seed, 3.0);
        let spot = at(p.x, height(p) + size * 0.2, p.y) * Mat4::from_rotation_y(seed);
        let profile = [
            (0.0, -size),
            (size, -size * 0.5),
            (size * 0.9, size * 0.3),
            (size * 0.4, size * 0.6),
            (0.0, size * 0.65),
        ];
        meshes[GROUND].lathe(
            &profile,
            6,
            spot,
            Vec3::new(0.3, 0.29, 0.3) * (0.7 + 0.6 * chance(seed, 4.0)),
            true,
        );
    }
}

fn lamps(meshes: &mut [Mesh]) {
    for (x, z) in [(0.3, 0.55), (2.2, 2.8), (2.5, 0.6), (5.2, 0.2), (-1.2, 3.4), (6.6, 4.9)] {
        let foot = at(x, height(Vec2::new(x, z)), z);
        meshes[IRON].lathe(
            &[(0.12, -0.1), (0.12, 0.1), (0.05, 0.16), (0.04, 1.25), (0.10, 1.3), (0.0, 1.31)],
            6,
            foot,
            WHITE,
            false,
        );
        meshes[LIGHT].ball(0.12, foot * at(0.0, 1.42, 0.0));
        meshes[IRON].lathe(&[(0.19, 1.53), (0.0, 1.68)], 6, foot, WHITE, true);
    }
}

fn trees(meshes: &mut [Mesh]) {
    let mut planted = 0;
    let mut seed = 0.0;
    // Places are drawn until enough are free; the bound keeps a mistake from running for ever.
    while planted < 22 && seed < 400.0 {
        seed += 1.0;
        let (turn, share) = (chance(seed, 7.0) * TAU, chance(seed, 8.0).sqrt());
        let p = Vec2::new(turn.sin(), turn.cos()) * edge(turn) * share * 0.92;
        let free = p.distance(HILL) > 3.6
            && p.distance(POND) > 3.1
            && off_path(p) > 1.0
            && p.distance(GREENHOUSE) > 2.0;
        if !free {
            continue;
        }
        planted += 1;
        let size = 0.7 + 0.6 * chance(seed, 9.0);
        let foot =
            at(p.x, height(p) - 0.1, p.y) * Mat4::from_rotation_y(seed) * Mat4::from_scale(Vec3::splat(size));
        meshes[WOOD].lathe(&[(0.13, 0.0), (0.08, 0.8)], 6, foot, WHITE, true);
        let green = Vec3::new(0.05, 0.17, 0.09).lerp(Vec3::new(0.13, 0.24, 0.07), chance(seed, 10.0));
        for (low, wide, tall) in [(0.5, 0.85, 1.0), (1.05, 0.66, 0.9), (1.55, 0.45, 0.85)] {
            meshes[LEAVES].lathe(
                &[(0.0, low + 0.1), (wide, low), (0.0, low + tall)],
                6,
                foot,
                green * (0.8 + low * 0.3),
                true,
            );
        }
    }
}

const GREENHOUSE: Vec2 = Vec2::new(-3.4, 5.0);

fn greenhouse(meshes: &mut [Mesh]) {
    let base = at(GREENHOUSE.x, height(GREENHOUSE) - 0.05, GREENHOUSE.y) * Mat4::from_rotation_y(-0.5);
    meshes[BRICKS].cuboid(Vec3::new(1.3, 0.22, 0.85), base * at(0.0, 0.15, 0.0), WHITE);
    meshes[GLASS].cuboid(Vec3::new(1.2, 0.5, 0.75), base * at(0.0, 0.85, 0.0), WHITE);
    for (x, z) in [(-1.2, -0.75), (1.2, -0.75), (-1.2, 0.75), (1.2, 0.75), (0.0, 0.75), (0.0, -0.75)] {
        meshes[IRON].cuboid(Vec3::new(0.035, 0.5, 0.035), base * at(x, 0.85, z), WHITE);
    }
    for z in [-0.75, 0.75] {
        meshes[IRON].cuboid(Vec3::new(1.24, 0.035, 0.035), base * at(0.0, 1.36, z), WHITE);
    }
    meshes[LIGHT].ball(0.09, base * at(0.0, 1.15, 0.0));
    for plant in 0..7 {
        let x = plant as f32 * 0.33 - 1.0;
        let tall = 0.3 + 0.3 * chance(plant as f32, 3.0);
        meshes[LEAVES].lathe(
            &[(0.0, 0.35), (0.15, 0.5), (0.0, 0.5 + tall)],
            6,
            base * at(x, 0.0, 0.2),
            Vec3::new(0.16, 0.36, 0.08),
            true,
        );
    }
}

const SIDE: u32 = 128;

/// Height of the wall at a px, 0 in the joints, and which brick it is.
fn wall(x: u32, y: u32) -> (f32, f32) {
    let row = y / 16;
    let shifted = (x + row % 2 * 16) % SIDE;
    let (in_x, in_y) = (shifted % 32, y % 16);
    let joint = in_x.min(31 - in_x).min(in_y).min(15 - in_y) as f32;
    ((joint / 2.0).min(1.0), chance((shifted / 32) as f32, row as f32))
}

/// Colours of the wall, sRGB.
pub(crate) fn bricks() -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (high, brick) = wall(x, y);
        let tone = (0.62 + 0.3 * brick) * (0.55 + 0.45 * high) + (chance(x as f32, y as f32) - 0.5) * 0.06;
        Rgb([228.0, 212.0, 190.0].map(|channel| (channel * tone).clamp(0.0, 255.0) as u8))
    })
}

/// Normals of a height field that repeats.
fn relief(strength: f32, height: impl Fn(u32, u32) -> f32) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let dx = height((x + 1) % SIDE, y) - height((x + SIDE - 1) % SIDE, y);
        let dy = height(x, (y + 1) % SIDE) - height(x, (y + SIDE - 1) % SIDE);
        let normal = Vec3::new(-dx * strength, -dy * strength, 1.0).normalize();
        Rgb(((normal * 0.5 + 0.5) * 255.0).to_array().map(|v| v as u8))
    })
}

/// Normals of the wall.
pub(crate) fn brick_relief() -> RgbImage {
    relief(0.9, |x, y| wall(x, y).0)
}

/// Normals of a light wind on water.
pub(crate) fn ripples() -> RgbImage {
    relief(0.45, |x, y| {
        let (u, v) = (x as f32 / SIDE as f32 * TAU, y as f32 / SIDE as f32 * TAU);
        0.5 * (3.0 * u + 2.0 * v).sin() + 0.4 * (5.0 * v - 2.0 * u).sin() + 0.25 * (7.0 * u + 6.0 * v).sin()
    })
}
