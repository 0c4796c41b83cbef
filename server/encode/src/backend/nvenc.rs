//! H.264, HEVC and AV1 on NVIDIA GPUs through NVENC.
//!
//! Pictures come from exported GPU memory without a copy, or from CPU memory with one. The driver is loaded at
//! run time. Follows NVIDIA's programming guide and header of the Video Codec SDK 12.1.

mod capability;
mod cuda;
mod driver;
mod import;
mod load;
mod options;
mod output;
mod params;
mod reader;
mod session;
mod status;
mod upload;
mod window;

pub use driver::NvidiaLibraries;
pub use load::{EncoderLoad, by_load};
pub use options::{INTRA_REFRESH_FRAMES, NvencOptions, NvencPreset};
pub use reader::CudaReader;

use super::adjust::Adjustable;
use crate::h264::{check_agreed, say_constrained, with_frame_num_gaps};
use crate::references::References;
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, SliceSink, VideoEncoder,
    VideoSettings,
};
use capability::Capability;
use cuda::{Context, Device};
use driver::Driver;
use import::Imports;
use nearframe_gpu::{DeviceUuid, Surface};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_PIC_TYPE;
use output::{Encoded, Output};
use params::{Config, Rate, Shape};
use session::{Session, Submission};
use status::failure;
use std::sync::Arc;
use std::time::Instant;
use upload::UploadBuffer;
use window::Window;

const NAME: &str = "NVENC";
/// No generation goes further; what this GPU takes is asked.
const MAX_SIDE: u32 = 8192;
/// A budget may be passed by this before a frame counts as too large: hardware meets it nearly, not exactly.
const BUDGET_TOLERANCE: f64 = 1.1;
/// Rates nearer than this to what is set are the same: telling the driver costs more than it gains.
const SAME_RATE: f64 = 0.02;

/// A GPU and how busy its encoder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvencDevice {
    /// As the driver names it.
    pub name: String,
    /// What tells it from others.
    pub uuid: Option<DeviceUuid>,
    /// `None`: the driver does not say.
    pub load: Option<EncoderLoad>,
}

/// The GPUs that the driver shows, in its order.
pub fn nvenc_devices(libraries: &NvidiaLibraries) -> Result<Vec<NvencDevice>, EncodeError> {
    let driver = Driver::load(libraries)?;
    let loads = loads(&driver);
    let devices = driver.cuda.devices().iter().zip(loads);
    Ok(devices
        .map(|(Device { name, uuid, .. }, load)| NvencDevice { name: name.clone(), uuid: *uuid, load })
        .collect())
}

fn loads(driver: &Driver) -> Vec<Option<EncoderLoad>> {
    let load = |device: &Device| driver.management.as_ref()?.load_of(device.uuid?);
    driver.cuda.devices().iter().map(load).collect()
}

/// One stream.
pub struct NvencEncoder {
    settings: VideoSettings,
    options: NvencOptions,
    capabilities: Capabilities,
    can: Capability,
    /// `None` once the driver hung: nothing is left to be called.
    parts: Option<Parts>,
    /// As declared in the stream.
    shape: Shape,
    /// As the driver was told.
    rate: (Rate, u32),
    references: References,
    window: Window,
    /// The next frame is predicted from this one alone.
    good: Option<u32>,
    keyframe_owed: bool,
    /// Names frames at the driver; a frame's own number may come twice.
    serial: u64,
    /// Length of the frame before, so that the next one's buffer need not grow.
    last_len: usize,
}

/// What lives at the driver, in the order in which it is let go.
struct Parts {
    output: Output,
    upload: Option<UploadBuffer>,
    imports: Option<Imports>,
    config: Config,
    session: Arc<Session>,
    /// The largest picture that this session can change to.
    most: (u32, u32),
}

impl Parts {
    fn open(
        driver: &Arc<Driver>,
        device: &Device,
        settings: &VideoSettings,
        options: &NvencOptions,
    ) -> Result<(Self, Capability), EncodeError> {
        let session = Session::open(driver, &Context::retain(&driver.cuda, device)?)?;
        let can = Capability::query(&session, settings.codec, options.preset)?;
        can.check(settings)?;
        let guid = params::codec_guid(settings.codec);
        let mut config = session.preset_config(settings.codec, guid, options.preset.guid())?;
        let shape = Shape::of(settings);
        let most = (settings.width, settings.height);
        let rate = Rate::even(settings.bitrate_bps, settings.fps).within(&shape, settings.fps);
        config.configure(&shape, rate, &can, options);
        session.initialize(config.initialize(&shape, settings.fps, most, &can, options))?;
        let output = Output::start(&session, params::slices(&can, options) > 1)?;
        Ok((Self { output, upload: None, imports: None, config, session, most }, can))
    }

    /// Hands a picture in and waits for its frame.
    fn code(&mut self, surface: &Surface, codec: Codec, frame: Frame) -> Result<Encoded, EncodeError> {
        let blocks = surface.width().div_ceil(16) as usize * surface.height().div_ceil(16) as usize;
        let output = self.output.buffer();
        let size = (surface.width(), surface.height());
        let format = params::buffer_format(codec);
        let submission = |input, pitch| Submission {
            input,
            output,
            width: size.0,
            height: size.1,
            pitch,
            format,
            timestamp: frame.serial,
            keyframe: frame.keyframe,
        };
        match surface {
            Surface::Cpu(surface) => {
                if self.upload.as_ref().is_none_or(|upload| upload.size() != size) {
                    self.upload = None;
                    self.upload = Some(UploadBuffer::create(&self.session, codec, size)?);
                }
                let upload = self.upload.as_ref().expect("it was made just now");
                let pitch = upload.write(surface)?;
                self.session.submit(submission(upload.raw(), pitch))?;
                self.output.take(frame.number, frame.refers_to, blocks, frame.expected_bytes)
            }
            Surface::Gpu(surface) => {
                if self.imports.is_none() {
                    self.imports = Some(Imports::new(&self.session)?);
                }
                let imports = self.imports.as_mut().expect("it was made just now");
                let mapped = imports.map(codec, surface)?;
                debug_assert_eq!(mapped.size, size, "surfaces are checked before they get here");
                self.session.submit(submission(mapped.input, mapped.pitch))?;
                let encoded = self.output.take(frame.number, frame.refers_to, blocks, frame.expected_bytes);
                if self.output.hangs() {
                    // The hardware may still read it, and the driver would not answer.
                    std::mem::forget(mapped);
                    return encoded;
                }
                drop(mapped);
                let encoded = encoded?;
                imports.done(surface)?;
                Ok(encoded)
            }
        }
    }

    fn close(self) {
        if self.output.hangs() {
            // Every call on this session might block for ever; the process ends with its own session soon.
            std::mem::forget(self);
        } else {
            self.session.flush();
        }
    }
}

/// What [`Parts::code`] has to know of a frame.
#[derive(Clone, Copy)]
struct Frame {
    number: u32,
    refers_to: Option<u32>,
    serial: u64,
    keyframe: bool,
    expected_bytes: usize,
}

impl NvencEncoder {
    /// Opens on the GPU that surfaces are exported from, or else on the one whose encoder is least busy of those
    /// that can do what the settings ask.
    pub fn open(settings: VideoSettings, options: &NvencOptions) -> Result<Self, EncodeError> {
        settings.check(NAME, MAX_SIDE, MAX_SIDE)?;
        let driver = Driver::load(&options.libraries)?;
        let devices = driver.cuda.devices();
        let candidates = match options.device {
            Some(wanted) => {
                devices.iter().position(|device| device.uuid == Some(wanted)).into_iter().collect()
            }
            None => by_load(&loads(&driver)),
        };
        let mut refusal = None;
        for at in candidates {
            match Parts::open(&driver, &devices[at], &settings, options) {
                Ok((parts, can)) => return Ok(Self::new(settings, options, &devices[at], parts, can)),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            status::unavailable(
                "the GPU that draws is no NVIDIA GPU of this driver: use another encoder".to_owned(),
            )
        }))
    }

    fn new(
        settings: VideoSettings,
        options: &NvencOptions,
        device: &Device,
        parts: Parts,
        can: Capability,
    ) -> Self {
        let shape = Shape::of(&settings);
        let imports = parts.session.context().can_import();
        let capabilities = Capabilities {
            name: NAME,
            codec: settings.codec,
            codecs: capability::codecs(&parts.session, options.preset),
            layout: settings.codec.hardware_layout(),
            device: device.uuid.filter(|_| imports),
            reference_invalidation: can.invalidation,
            slices: params::slices(&can, options) > 1,
        };
        Self {
            settings,
            options: NvencOptions { device: device.uuid.or(options.device), ..options.clone() },
            capabilities,
            can,
            parts: Some(parts),
            rate: (Rate::even(settings.bitrate_bps, settings.fps).within(&shape, settings.fps), settings.fps),
            window: Window::new(shape.references),
            shape,
            references: References::default(),
            good: None,
            keyframe_owed: true,
            serial: 0,
            last_len: 0,
        }
    }

    fn parts(&mut self) -> Result<&mut Parts, EncodeError> {
        self.parts.as_mut().ok_or_else(|| failure("encoding", "no session is open any more".to_owned()))
    }

    /// Tells the driver what frames may take from now on.
    fn apply_rate(&mut self, budget_bytes: Option<u32>) -> Result<(), EncodeError> {
        let fps = self.settings.fps;
        let rate = match budget_bytes {
            Some(bytes) => Rate::of_frame(bytes, fps),
            None => Rate::even(self.settings.bitrate_bps, fps),
        };
        let rate = rate.within(&self.shape, fps);
        let (now, now_fps) = self.rate;
        let change = (f64::from(rate.frame_bits) / f64::from(now.frame_bits.max(1)) - 1.0).abs();
        if now_fps == fps && (rate == now || change < SAME_RATE) {
            return Ok(());
        }
        let (can, shape, options) = (self.can, self.shape, self.options.clone());
        let parts = self.parts()?;
        parts.config.set_rate(rate, &can, &options);
        let params = parts.config.initialize(&shape, fps, parts.most, &can, &options);
        parts.session.reconfigure(params, false)?;
        self.rate = (rate, fps);
        Ok(())
    }

    /// A session of its own for what the one before cannot change to. That one ends first: it may be the only one
    /// that is allowed.
    fn reopen(&mut self, settings: &VideoSettings) -> Result<(), EncodeError> {
        let sink = self.parts.take().and_then(|parts| {
            let sink = parts.output.take_sink();
            parts.close();
            sink
        });
        let driver = Driver::load(&self.options.libraries)?;
        let devices = driver.cuda.devices();
        let at = devices.iter().position(|device| device.uuid == self.options.device).unwrap_or(0);
        let (parts, can) = Parts::open(&driver, &devices[at], settings, &self.options)?;
        parts.output.set_sink(sink);
        (self.parts, self.can) = (Some(parts), can);
        Ok(())
    }

    /// What the stream says is made true for players: H.264 is constrained baseline, and frames may be missing.
    fn finish(&mut self, data: Vec<u8>, keyframe: bool) -> Result<Vec<u8>, EncodeError> {
        if !keyframe || self.settings.codec != Codec::H264 {
            return Ok(data);
        }
        let mut data = with_frame_num_gaps(&data).unwrap_or_else(|| {
            // Decoders take a stream with missing frames for broken then: only keyframes mend it.
            self.capabilities.reference_invalidation = false;
            data
        });
        say_constrained(&mut data);
        check_agreed(&data).map_err(|why| failure("encoding", why))?;
        Ok(data)
    }
}

impl std::fmt::Debug for NvencEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NvencEncoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for NvencEncoder {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            parts.close();
        }
    }
}

impl Adjustable for NvencEncoder {
    const NAME: &'static str = NAME;

    fn settings(&mut self) -> &mut VideoSettings {
        &mut self.settings
    }

    fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError> {
        self.can.check(settings)
    }

    fn goes_on(&self, settings: &VideoSettings) -> Result<bool, EncodeError> {
        Ok(self.shape.covers(&Shape::of(settings)))
    }

    fn restart(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        let (can, options, shape) = (self.can, self.options.clone(), Shape::of(&settings));
        let rate = Rate::even(settings.bitrate_bps, settings.fps).within(&shape, settings.fps);
        let parts = self.parts()?;
        let fits = settings.width <= parts.most.0 && settings.height <= parts.most.1;
        if fits && (can.dynamic_size || (settings.width, settings.height) == (parts.most.0, parts.most.1)) {
            // Input buffers and registrations are of the old size.
            (parts.upload, parts.imports) = (None, None);
            parts.config.configure(&shape, rate, &can, &options);
            let params = parts.config.initialize(&shape, settings.fps, parts.most, &can, &options);
            parts.session.reconfigure(params, true)?;
        } else {
            self.reopen(&settings)?;
        }
        (self.settings, self.shape, self.rate) = (settings, shape, (rate, settings.fps));
        self.window = Window::new(shape.references);
        (self.keyframe_owed, self.good) = (true, None);
        Ok(())
    }
}

impl VideoEncoder for NvencEncoder {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit>, EncodeError> {
        let start = Instant::now();
        self.settings.check_surface(self.capabilities.layout, surface)?;
        self.settings.check_device(self.capabilities.device, surface)?;
        self.apply_rate(request.budget_bytes)?;
        let keyframe = request.keyframe || self.keyframe_owed || self.window.is_empty();
        let refers_to = self.good.or_else(|| self.references.newest()).filter(|_| !keyframe);
        self.serial += 1;
        let frame = Frame {
            number: request.frame,
            refers_to,
            serial: self.serial,
            keyframe,
            expected_bytes: self.last_len.max(self.rate.0.frame_bits as usize / 8) * 5 / 4,
        };
        let codec = self.settings.codec;
        let coded = self.parts()?.code(surface, codec, frame);
        if self.parts.as_ref().is_some_and(|parts| parts.output.hangs())
            && let Some(parts) = self.parts.take()
        {
            parts.close();
        }
        let encoded = coded?;
        if encoded.timestamp != frame.serial {
            return Err(failure("encoding", "another frame came out than went in".to_owned()));
        }
        let is_keyframe = encoded.kind == NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR as u32;
        if keyframe && !is_keyframe {
            return Err(failure("encoding", "a keyframe was asked for and none came".to_owned()));
        }
        let refers_to = refers_to.filter(|_| !is_keyframe);
        self.window.push(request.frame, frame.serial, is_keyframe);
        // The driver counts frames itself; only whose they are matters here.
        self.references.sent(request.frame, 0, refers_to);
        (self.keyframe_owed, self.good) = (false, None);
        let data = self.finish(encoded.data, is_keyframe)?;
        self.last_len = data.len();
        let over = |budget: u32| data.len() as f64 > BUDGET_TOLERANCE * f64::from(budget);
        Ok(Some(AccessUnit {
            frame: request.frame,
            keyframe: is_keyframe,
            refers_to,
            over_budget: request.budget_bytes.is_some_and(over),
            encode_time: start.elapsed(),
            data,
        }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.adjust_bitrate(bitrate_bps)
    }

    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        self.adjust_frame_rate(fps)
    }

    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        self.adjust_size(width, height)
    }

    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError> {
        self.references.acknowledge(frame);
        Ok(())
    }

    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        self.references.acknowledge(newest_good);
        self.references.lose_after(newest_good);
        let Some(newest) = self.references.newest() else { return Ok(Invalidated::KeyframeNeeded) };
        if self.keyframe_owed {
            return Ok(Invalidated::KeyframeNeeded);
        }
        if newest <= newest_good && self.references.is_intact(newest) && self.good.is_none() {
            return Ok(Invalidated::Refers { frame: newest });
        }
        let references = &self.references;
        let is_good = |frame: u32| frame <= newest_good && references.has(frame);
        let found = self.window.newest(is_good).filter(|_| self.capabilities.reference_invalidation);
        let Some(frame) = found else {
            self.keyframe_owed = true;
            return Ok(Invalidated::KeyframeNeeded);
        };
        let bad = self.window.retain_good(is_good);
        let parts = self.parts()?;
        bad.into_iter().try_for_each(|serial| parts.session.invalidate(serial))?;
        self.good = Some(frame);
        Ok(Invalidated::Refers { frame })
    }

    fn stream_slices(&mut self, sink: Option<SliceSink>) -> Result<(), EncodeError> {
        if !self.capabilities.slices {
            return Err(EncodeError::Unsupported {
                encoder: NAME,
                what: "slices before the picture is whole".to_owned(),
                allowed: "whole pictures: ask for more than one slice, on a GPU that hands them out"
                    .to_owned(),
            });
        }
        self.parts()?.output.set_sink(sink);
        Ok(())
    }
}
