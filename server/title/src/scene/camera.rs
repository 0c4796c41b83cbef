//! The camera of a scene and the hands that move it.
//!
//! It circles by itself until it is touched; then it orbits, zooms and flies as the player says.

use crate::clock::STEP_S;
use glam::{Mat4, Vec2, Vec3};
use nearframe_protocol::input::{InputEvent, PadState, TouchPhase};
use std::f32::consts::{PI, TAU};

/// Radians per second of the camera that circles by itself.
const CIRCLE_SPEED: f32 = 0.14;
/// Radians for a drag over the whole width of the picture.
const DRAG_TURN: f32 = PI;
/// Radians per px of relative mouse motion.
const MOTION_TURN: f32 = 0.004;
/// Radians per second at full stick.
const STICK_TURN: f32 = 2.4;
/// Zoom per wheel notch, and per second at full trigger.
const WHEEL_ZOOM: f32 = 0.12;
const TRIGGER_ZOOM: f32 = 1.2;
/// Share of the scene's radius flown per second.
const FLY_SPEED: f32 = 0.6;
/// Share of the way to what is wanted, per second: smooth, without lag that is felt.
const FOLLOW: f32 = 14.0;
const DEAD_ZONE: f32 = 0.15;
/// Tangent of half the vertical field of view.
const TAN_HALF_FOV: f32 = 0.42;
const PITCH_LIMIT: (f32, f32) = (-0.12, 1.5);
/// W3C standard mapping: the upper face button.
const PAD_Y: u32 = 1 << 3;

/// A place to look from, around a point.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pose {
    focus: Vec3,
    /// Radians around the vertical, and above the horizon.
    yaw: f32,
    pitch: f32,
    distance: f32,
}

/// A finger on the picture.
#[derive(Clone, Copy, Debug)]
struct Finger {
    id: u8,
    at: Vec2,
}

/// Camera, and what the player holds.
#[derive(Clone, Debug)]
pub(crate) struct Camera {
    home: Pose,
    wanted: Pose,
    now: Pose,
    radius: f32,
    aspect: f32,
    circling: bool,
    keys: [bool; 256],
    pad: PadState,
    dragging: bool,
    pointer: Option<Vec2>,
    fingers: [Option<Finger>; 2],
}

/// Keys that fly: axis of the camera (right, up, forward) and direction.
const FLY_KEYS: [(u8, usize, f32); 10] = [
    (7, 0, 1.0),
    (4, 0, -1.0),
    (79, 0, 1.0),
    (80, 0, -1.0),
    (8, 1, 1.0),
    (20, 1, -1.0),
    (26, 2, 1.0),
    (22, 2, -1.0),
    (82, 2, 1.0),
    (81, 2, -1.0),
];
const KEY_R: u8 = 21;

impl Camera {
    /// A camera that sees a box with these corners.
    pub(crate) fn new(low: Vec3, high: Vec3, aspect: f32) -> Self {
        let half = (high - low) / 2.0;
        let radius = half.length().max(1e-3);
        let wide = half.x.max(half.z);
        let fitting = (half.y / TAN_HALF_FOV).max(wide / (TAN_HALF_FOV * aspect));
        let distance = (fitting * 1.12 + wide * 0.55).max(radius * 0.5);
        let home = Pose { focus: (low + high) / 2.0, yaw: 0.6, pitch: 0.30, distance };
        Self {
            home,
            wanted: home,
            now: home,
            radius,
            aspect,
            circling: true,
            keys: [false; 256],
            pad: PadState::default(),
            dragging: false,
            pointer: None,
            fingers: [None; 2],
        }
    }

    pub(crate) fn apply(&mut self, event: &InputEvent) {
        match *event {
            InputEvent::Key { key, down } => {
                self.keys[usize::from(key.0)] = down;
                if down && key.0 == KEY_R {
                    self.reset();
                }
            }
            InputEvent::Motion { dx, dy } => {
                self.orbit(Vec2::new(f32::from(dx), f32::from(dy)) / 8.0 * MOTION_TURN);
            }
            InputEvent::Position { x, y } => {
                let at = place(x, y);
                let before = self.pointer.replace(at).unwrap_or(at);
                if self.dragging {
                    self.drag(at - before);
                }
            }
            InputEvent::Button { button: 0 | 2, down } => self.dragging = down,
            InputEvent::Wheel { dy, .. } => self.zoom(f32::from(dy) / 120.0 * WHEEL_ZOOM),
            InputEvent::Touch { id, phase, x, y } => self.touch(id, phase, place(x, y)),
            InputEvent::Pad { state, .. } => {
                if state.buttons & !self.pad.buttons & PAD_Y != 0 {
                    self.reset();
                }
                self.pad = state;
            }
            InputEvent::PadGone { .. } => self.pad = PadState::default(),
            InputEvent::Button { .. } | InputEvent::Text(_) => {}
        }
    }

    /// Goes on by one step of 1/120 s.
    pub(crate) fn advance(&mut self) {
        let turn = stick(self.pad.axes[2], self.pad.axes[3]) * STICK_TURN * STEP_S;
        if turn != Vec2::ZERO {
            self.orbit(turn);
        }
        let squeeze = |trigger: u16| f32::from(trigger) / 65535.0;
        let zoom = squeeze(self.pad.triggers[0]) - squeeze(self.pad.triggers[1]);
        if zoom.abs() > 0.05 {
            self.zoom(zoom * TRIGGER_ZOOM * STEP_S);
        }
        self.fly();
        if self.circling {
            self.wanted.yaw += CIRCLE_SPEED * STEP_S;
        }
        let follow = FOLLOW * STEP_S;
        self.now.yaw += (self.wanted.yaw - self.now.yaw) * follow;
        self.now.pitch += (self.wanted.pitch - self.now.pitch) * follow;
        self.now.distance += (self.wanted.distance - self.now.distance) * follow;
        self.now.focus += (self.wanted.focus - self.now.focus) * follow;
    }

    pub(crate) fn eye(&self) -> Vec3 {
        self.now.focus - self.forward() * self.now.distance
    }

    /// Right, up and forward, unit vectors.
    pub(crate) fn axes(&self) -> [Vec3; 3] {
        let forward = self.forward();
        let right = forward.cross(Vec3::Y).normalize_or(Vec3::X);
        [right, right.cross(forward), forward]
    }

    /// Half of the picture at distance 1.
    pub(crate) fn reach(&self) -> Vec2 {
        Vec2::new(TAN_HALF_FOV * self.aspect, TAN_HALF_FOV)
    }

    /// World to clip space, depth 0..1.
    pub(crate) fn projection(&self) -> Mat4 {
        let near = (self.now.distance * 0.02).max(self.radius * 0.002);
        let far = self.now.distance + self.radius * 6.0;
        let lens = Mat4::perspective_rh(2.0 * TAN_HALF_FOV.atan(), self.aspect, near, far);
        lens * Mat4::look_to_rh(self.eye(), self.forward(), Vec3::Y)
    }

    fn forward(&self) -> Vec3 {
        let Pose { yaw, pitch, .. } = self.now;
        Vec3::new(-yaw.sin() * pitch.cos(), -pitch.sin(), -yaw.cos() * pitch.cos())
    }

    fn reset(&mut self) {
        self.wanted = self.home;
        // The short way round.
        self.now.yaw = self.home.yaw + (self.now.yaw - self.home.yaw + PI).rem_euclid(TAU) - PI;
        self.circling = true;
    }

    fn drag(&mut self, moved: Vec2) {
        self.orbit(moved * DRAG_TURN * Vec2::new(1.0, 1.0 / self.aspect));
    }

    fn orbit(&mut self, turn: Vec2) {
        self.circling = false;
        self.wanted.yaw -= turn.x;
        self.wanted.pitch = (self.wanted.pitch + turn.y).clamp(PITCH_LIMIT.0, PITCH_LIMIT.1);
    }

    fn zoom(&mut self, amount: f32) {
        self.circling = false;
        let (near, far) = (self.radius * 0.08, self.radius * 5.0);
        self.wanted.distance = (self.wanted.distance * amount.clamp(-2.0, 2.0).exp()).clamp(near, far);
    }

    fn fly(&mut self) {
        let mut way = [0.0; 3];
        for (_, axis, direction) in FLY_KEYS.iter().filter(|(key, ..)| self.keys[usize::from(*key)]) {
            way[*axis] += direction;
        }
        let stick = stick(self.pad.axes[0], self.pad.axes[1]);
        let way = Vec3::new(way[0] + stick.x, way[1], way[2] - stick.y).clamp_length_max(1.0);
        if way == Vec3::ZERO {
            return;
        }
        self.circling = false;
        let [right, _, forward] = self.axes();
        let level = Vec3::new(forward.x, 0.0, forward.z).normalize_or(Vec3::NEG_Z);
        let speed = FLY_SPEED * self.radius * STEP_S;
        let moved = self.wanted.focus + (right * way.x + Vec3::Y * way.y + level * way.z) * speed;
        let from_home = (moved - self.home.focus).clamp_length_max(self.radius * 2.0);
        self.wanted.focus = self.home.focus + from_home;
    }

    fn touch(&mut self, id: u8, phase: TouchPhase, at: Vec2) {
        let known = self.fingers.iter().position(|finger| finger.is_some_and(|finger| finger.id == id));
        match (phase, known) {
            (TouchPhase::Begin, None) => {
                if let Some(free) = self.fingers.iter_mut().find(|finger| finger.is_none()) {
                    *free = Some(Finger { id, at });
                }
            }
            (TouchPhase::Move, Some(index)) => {
                let before = self.fingers;
                self.fingers[index] = Some(Finger { id, at });
                match (before, self.fingers) {
                    ([Some(a), Some(b)], [Some(c), Some(d)]) => {
                        let (from, to) = (a.at.distance(b.at).max(0.01), c.at.distance(d.at).max(0.01));
                        self.zoom((from / to).ln());
                        self.drag(((c.at + d.at) - (a.at + b.at)) / 2.0);
                    }
                    _ => self.drag(at - before[index].map_or(at, |finger| finger.at)),
                }
            }
            (TouchPhase::End | TouchPhase::Cancel, Some(index)) => self.fingers[index] = None,
            _ => {}
        }
    }
}

/// A point of the picture, 0..=1 from the top left.
fn place(x: u16, y: u16) -> Vec2 {
    Vec2::new(f32::from(x), f32::from(y)) / 65535.0
}

fn stick(x: i16, y: i16) -> Vec2 {
    let stick = Vec2::new(f32::from(x), f32::from(y)) / 32767.0;
    if stick.length() > DEAD_ZONE { stick.clamp_length_max(1.0) } else { Vec2::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::Key;

    fn camera() -> Camera {
        Camera::new(Vec3::new(-5.0, -4.0, -3.0), Vec3::new(7.0, 8.0, 9.0), 16.0 / 9.0)
    }

    fn after(camera: &mut Camera, steps: u32) {
        (0..steps).for_each(|_| camera.advance());
    }

    fn drag() -> [InputEvent; 3] {
        let at = |x| InputEvent::Position { x, y: 30_000 };
        [at(20_000), InputEvent::Button { button: 0, down: true }, at(40_000)]
    }

    #[test]
    fn it_circles_until_touched_and_again_after_reset() {
        let mut camera = camera();
        after(&mut camera, 120);
        assert!(camera.now.yaw > camera.home.yaw + 0.05);
        drag().iter().for_each(|event| camera.apply(event));
        after(&mut camera, 240);
        let still = camera.now.yaw;
        after(&mut camera, 240);
        assert!((camera.now.yaw - still).abs() < 1e-3);
        camera.apply(&InputEvent::Key { key: Key(KEY_R), down: true });
        after(&mut camera, 480);
        assert!((camera.now.yaw - still).abs() > 0.1 && camera.circling);
    }

    #[test]
    fn moving_the_mouse_without_a_button_does_nothing() {
        let mut camera = camera();
        camera.apply(&InputEvent::Position { x: 0, y: 0 });
        camera.apply(&InputEvent::Position { x: 60_000, y: 60_000 });
        assert!(camera.circling);
    }

    #[test]
    fn pinch_wheel_and_triggers_zoom_within_limits() {
        let touch = |id, phase, x| InputEvent::Touch { id, phase, x, y: 30_000 };
        let mut near = camera();
        for event in [
            touch(1, TouchPhase::Begin, 30_000),
            touch(2, TouchPhase::Begin, 35_000),
            touch(2, TouchPhase::Move, 50_000),
        ] {
            near.apply(&event);
        }
        assert!(near.wanted.distance < near.home.distance * 0.5);
        let mut far = camera();
        (0..1000).for_each(|_| far.apply(&InputEvent::Wheel { dx: 0, dy: 32_000 }));
        assert!((far.wanted.distance - far.radius * 5.0).abs() < 0.01);
        let state = PadState { triggers: [0, 65_535], ..PadState::default() };
        far.apply(&InputEvent::Pad { pad: 0, state });
        after(&mut far, 1200);
        assert!((far.wanted.distance - far.radius * 0.08).abs() < 0.01);
    }

    #[test]
    fn flying_goes_where_the_camera_looks_but_not_away_for_ever() {
        let mut camera = camera();
        let ahead = camera.forward();
        camera.apply(&InputEvent::Key { key: Key(26), down: true });
        after(&mut camera, 60);
        assert!((camera.wanted.focus - camera.home.focus).dot(ahead) > 1.0);
        after(&mut camera, 12_000);
        assert!(camera.wanted.focus.distance(camera.home.focus) <= camera.radius * 2.001);
        assert!(camera.projection().is_finite());
    }
}
