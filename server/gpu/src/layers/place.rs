//! Where a layer lies in the frame, as the shader takes it.

use bytemuck::{Pod, Zeroable};

/// Beyond this, single precision no longer tells neighbouring pixels apart; no picture is as large.
const MOST_PIXELS: f64 = 65_536.0;

/// One instance of `Quad` in `shaders/layers.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct Quad {
    edges: [f32; 4],
    corner: [f32; 4],
    step: [f32; 2],
    flags: [u32; 2],
}

impl Quad {
    pub(super) const ATTRIBUTES: [wgpu::VertexAttribute; 4] =
        wgpu::vertex_attr_array![0 => Float32x4, 1 => Float32x4, 2 => Float32x2, 3 => Uint32x2];
}

/// One direction of a layer, cut to the frame.
struct Axis {
    /// First pixel of the frame and the one after the last.
    from: f64,
    to: f64,
    /// The place of `from` in the picture.
    source: f64,
    step: f64,
    is_exact: bool,
}

/// The part of a layer within a frame; `None` when nothing of it shows.
pub(super) fn place(
    source: [f64; 4],
    target: [i32; 4],
    (width, height): (u32, u32),
    opaque: bool,
) -> Option<Quad> {
    let columns = axis(source[0], source[2], target[0], target[2], width)?;
    let rows = axis(source[1], source[3], target[1], target[3], height)?;
    let across = |at: f64| (at * 2.0 / f64::from(width) - 1.0) as f32;
    let down = |at: f64| (1.0 - at * 2.0 / f64::from(height)) as f32;
    Some(Quad {
        edges: [across(columns.from), down(rows.from), across(columns.to), down(rows.to)],
        corner: [columns.from as f32, rows.from as f32, columns.source as f32, rows.source as f32],
        step: [columns.step as f32, rows.step as f32],
        flags: [u32::from(columns.is_exact && rows.is_exact), u32::from(opaque)],
    })
}

fn axis(source: f64, source_len: f64, target: i32, target_len: i32, frame: u32) -> Option<Axis> {
    let (start, end) = (i64::from(target), i64::from(target) + i64::from(target_len));
    let (from, to) = (start.max(0), end.min(i64::from(frame)));
    if from >= to || !(source.abs() <= MOST_PIXELS && source_len.abs() <= MOST_PIXELS) {
        return None;
    }
    let step = source_len / f64::from(target_len);
    let place = source + (from - start) as f64 * step;
    let is_exact = step.abs() == 1.0 && place.fract() == 0.0;
    Some(Axis { from: from as f64, to: to as f64, source: place, step, is_exact })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_layer_is_cut_at_the_frame_and_stays_where_it_was() {
        let quad = place([0.0, 0.0, 40.0, 40.0], [-10, 60, 80, 80], (100, 100), false).unwrap();
        assert_eq!(quad.corner, [0.0, 60.0, 5.0, 0.0]);
        assert_eq!(quad.step, [0.5, 0.5]);
        assert_eq!(quad.flags, [0, 0]);
    }

    #[test]
    fn only_whole_pixels_at_their_own_size_are_exact() {
        let exact = |source, target| place(source, target, (64, 64), true).unwrap().flags[0] == 1;
        assert!(exact([3.0, 4.0, 8.0, 8.0], [-2, 5, 8, 8]));
        assert!(exact([0.0, 8.0, 8.0, -8.0], [0, 0, 8, 8]), "upside down");
        assert!(!exact([0.5, 0.0, 8.0, 8.0], [0, 0, 8, 8]));
        assert!(!exact([0.0, 0.0, 8.0, 8.0], [0, 0, 9, 8]));
    }

    #[test]
    fn what_is_outside_or_without_sense_does_not_show() {
        let shows = |source, target| place(source, target, (64, 64), true).is_some();
        let whole = [0.0, 0.0, 8.0, 8.0];
        for target in [[64, 0, 8, 8], [-8, 0, 8, 8], [0, 0, 0, 8], [0, 0, 8, -8], [i32::MAX, 0, i32::MAX, 8]]
        {
            assert!(!shows(whole, target), "{target:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, 1e300, -1e300] {
            assert!(!shows([bad, 0.0, 8.0, 8.0], [0, 0, 8, 8]) && !shows([0.0, 0.0, 8.0, bad], [0, 0, 8, 8]));
        }
    }

    proptest! {
        #[test]
        fn whatever_shows_is_finite_and_within_the_frame(
            source in any::<[f64; 4]>(), target in any::<[i32; 4]>(), small in any::<[i8; 4]>(),
            width in 1u32..8192, height in 1u32..8192,
        ) {
            for target in [target, small.map(i32::from)] {
                let Some(quad) = place(source, target, (width, height), false) else { continue };
                prop_assert!(quad.edges.iter().all(|edge| (-1.0..=1.0).contains(edge)));
                prop_assert!(quad.corner.iter().chain(&quad.step).all(|value| value.is_finite()));
            }
        }
    }
}
