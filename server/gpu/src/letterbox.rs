//! Where a picture lies in a frame of another shape.

/// A rectangle in pixels; every field is even, so that no chroma sample mixes picture and bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The largest centred rectangle with the source's proportions, to the next even size. Sizes are at
/// least 2 and the target's are even.
pub(crate) fn fit(source: (u32, u32), target: (u32, u32)) -> Placement {
    let (sw, sh) = (u64::from(source.0), u64::from(source.1));
    let (tw, th) = (u64::from(target.0), u64::from(target.1));
    let (width, height) = if sw * th >= sh * tw {
        (target.0, even(sh * tw, sw, target.1))
    } else {
        (even(sw * th, sh, target.0), target.1)
    };
    Placement { x: (target.0 - width) / 4 * 2, y: (target.1 - height) / 4 * 2, width, height }
}

/// `numerator / denominator` rounded to an even number in `2..=max`.
fn even(numerator: u64, denominator: u64, max: u32) -> u32 {
    let half = (numerator + denominator) / (2 * denominator);
    u32::try_from(half * 2).unwrap_or(u32::MAX).clamp(2, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_square_gets_bars_at_the_sides_and_a_wide_picture_above_and_below() {
        assert_eq!(fit((600, 600), (1280, 720)), Placement { x: 280, y: 0, width: 720, height: 720 });
        assert_eq!(fit((1920, 800), (1280, 720)), Placement { x: 0, y: 92, width: 1280, height: 534 });
        assert_eq!(fit((640, 360), (1280, 720)), Placement { x: 0, y: 0, width: 1280, height: 720 });
    }

    proptest! {
        #[test]
        fn the_picture_lies_within_the_frame_on_even_pixels(
            sw in 1u32..8000, sh in 1u32..8000, tw in 8u32..2000, th in 8u32..2000
        ) {
            let target = (tw * 2, th * 2);
            let placed = fit((sw, sh), target);
            prop_assert!(placed.width >= 2 && placed.height >= 2);
            prop_assert!(placed.x + placed.width <= target.0 && placed.y + placed.height <= target.1);
            prop_assert!([placed.x, placed.y, placed.width, placed.height].iter().all(|v| v % 2 == 0));
            prop_assert!(placed.width == target.0 || placed.height == target.1);
        }
    }
}
