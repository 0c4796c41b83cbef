//! What rate control is told: constant bitrate over a buffer of one frame. Pure.

use ash::vk;

/// What the next frame is encoded under; any difference is told to the hardware before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) mode: vk::VideoEncodeRateControlModeFlagsKHR,
    pub(super) bitrate_bps: u32,
    pub(super) fps: u32,
    /// The most that the next frame may take.
    pub(super) frame_bytes: Option<u32>,
}

impl Rate {
    /// The buffer holds one frame, in ms, as drivers count it: whole and at least one.
    pub(super) fn buffer_ms(&self) -> u32 {
        (1000 / self.fps.max(1)).max(1)
    }

    /// The only layer: there are no temporal ones.
    pub(super) fn layer(&self) -> vk::VideoEncodeRateControlLayerInfoKHR<'static> {
        vk::VideoEncodeRateControlLayerInfoKHR::default()
            .average_bitrate(self.bitrate_bps.into())
            .max_bitrate(self.bitrate_bps.into())
            .frame_rate_numerator(self.fps)
            .frame_rate_denominator(1)
    }

    /// All but the layer, which is chained by whoever keeps it.
    pub(super) fn control(&self) -> vk::VideoEncodeRateControlInfoKHR<'static> {
        vk::VideoEncodeRateControlInfoKHR::default()
            .rate_control_mode(self.mode)
            .virtual_buffer_size_in_ms(self.buffer_ms())
            .initial_virtual_buffer_size_in_ms(self.buffer_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_holds_one_frame_and_the_mean_is_the_most() {
        let rate = |fps| Rate {
            mode: vk::VideoEncodeRateControlModeFlagsKHR::CBR,
            bitrate_bps: 8_000_000,
            fps,
            frame_bytes: None,
        };
        assert_eq!([30, 60, 120, 240].map(|fps| rate(fps).buffer_ms()), [33, 16, 8, 4]);
        let (layer, control) = (rate(60).layer(), rate(60).control());
        assert_eq!((layer.average_bitrate, layer.max_bitrate), (8_000_000, 8_000_000));
        assert_eq!((layer.frame_rate_numerator, layer.frame_rate_denominator), (60, 1));
        assert_eq!(control.virtual_buffer_size_in_ms, control.initial_virtual_buffer_size_in_ms);
    }
}
