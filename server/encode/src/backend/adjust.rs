//! How every encoder follows its settings: what is refused, what goes on, and what begins the stream anew.

use crate::video::{EncodeError, VideoSettings, check_bitrate};

/// An encoder whose settings change while it runs.
pub(super) trait Adjustable {
    /// For errors.
    const NAME: &'static str;

    /// As they are now.
    fn settings(&mut self) -> &mut VideoSettings;

    /// Refuses what it does not encode.
    fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError>;

    /// Whether the stream, as it was declared, may go on at this frame rate.
    fn goes_on(&self, settings: &VideoSettings) -> Result<bool, EncodeError>;

    /// Begins the stream anew with settings that were checked; the next frame is a keyframe. After a refusal all is as
    /// before.
    fn restart(&mut self, settings: VideoSettings) -> Result<(), EncodeError>;

    /// [`crate::VideoEncoder::set_bitrate`].
    fn adjust_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        check_bitrate(Self::NAME, bitrate_bps)?;
        self.settings().bitrate_bps = bitrate_bps;
        Ok(())
    }

    /// [`crate::VideoEncoder::set_frame_rate`].
    fn adjust_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        let settings = VideoSettings { fps, ..*self.settings() };
        self.check(&settings)?;
        if !self.goes_on(&settings)? {
            return self.restart(settings);
        }
        *self.settings() = settings;
        Ok(())
    }

    /// [`crate::VideoEncoder::set_size`].
    fn adjust_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        let settings = VideoSettings { width, height, ..*self.settings() };
        self.check(&settings)?;
        if settings == *self.settings() { Ok(()) } else { self.restart(settings) }
    }
}
