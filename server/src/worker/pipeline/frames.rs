//! Pictures into frames that the encoder takes, where it reads them.

use nearframe_encode::{Capabilities, Codec};
use nearframe_gpu::{ColourMatrix, Conversion, Converter, DeviceUuid, Gpu, GpuConverter, GpuError, Layout};
use nearframe_gpu::{Picture, Surface};
use std::sync::Arc;
use tracing::info;

/// What an encoder reads.
#[derive(Clone, Copy, Debug)]
struct Taken {
    layout: Layout,
    device: Option<DeviceUuid>,
    matrix: ColourMatrix,
}

impl Taken {
    /// Ten bits are for HDR10; into eight a title's HDR10 is tone-mapped.
    fn by(encoder: &Capabilities) -> Self {
        let matrix = if encoder.codec == Codec::Hevc10 { ColourMatrix::Bt2020 } else { ColourMatrix::Bt709 };
        Self { layout: encoder.layout, device: encoder.device, matrix }
    }
}

#[derive(Debug)]
enum Way {
    /// Into CPU memory.
    Cpu(Box<Converter>),
    /// Into memory of the GPU that the encoder imports: no copy.
    Gpu(Box<GpuConverter>),
}

/// The converter of a session.
#[derive(Debug)]
pub(crate) struct Frames {
    gpu: Option<Arc<Gpu>>,
    taken: Taken,
    way: Way,
    /// Which conversion was found faster.
    known: Option<Conversion>,
}

impl Frames {
    /// Frames of a size for an encoder, from pictures on `gpu` or in CPU memory.
    pub(crate) fn new(
        gpu: Option<Arc<Gpu>>,
        encoder: &Capabilities,
        width: u32,
        height: u32,
    ) -> Result<Self, GpuError> {
        let taken = Taken::by(encoder);
        let way = open(gpu.as_ref(), taken, None, (width, height))?;
        let mut frames = Self { gpu, taken, way, known: None };
        frames.note_conversion();
        Ok(frames)
    }

    /// Ten bits have one way alone, which says nothing of the others.
    fn note_conversion(&mut self) {
        if let Way::Cpu(converter) = &self.way
            && self.taken.layout != Layout::P010
        {
            self.known = Some(converter.conversion());
        }
    }

    /// Frames of another size from now on.
    pub(super) fn resize(&mut self, width: u32, height: u32) -> Result<(), GpuError> {
        self.way = open(self.gpu.as_ref(), self.taken, self.known, (width, height))?;
        self.note_conversion();
        Ok(())
    }

    /// Frames for another encoder from now on.
    pub(super) fn serve(&mut self, encoder: &Capabilities, width: u32, height: u32) -> Result<(), GpuError> {
        self.taken = Taken::by(encoder);
        self.resize(width, height)
    }

    /// A converted frame; `None`: all are in use, this one is to be left out.
    pub(crate) fn convert(&mut self, picture: &Picture<'_>) -> Result<Option<Surface>, GpuError> {
        match &mut self.way {
            Way::Cpu(converter) => converter.convert(picture),
            Way::Gpu(converter) => Ok(converter.convert(picture)?.map(Surface::from)),
        }
    }

    /// The device that pictures lie on.
    pub(super) fn gpu(&self) -> Option<&Arc<Gpu>> {
        self.gpu.as_ref()
    }

    /// For the statistics.
    pub(super) fn conversion(&self) -> String {
        match &self.way {
            Way::Cpu(converter) => converter.conversion().to_string(),
            Way::Gpu(_) => "shader, no copy".to_owned(),
        }
    }
}

/// `known`: which conversion was found faster before.
fn open(
    gpu: Option<&Arc<Gpu>>,
    taken: Taken,
    known: Option<Conversion>,
    (width, height): (u32, u32),
) -> Result<Way, GpuError> {
    if let Some(gpu) = gpu.filter(|gpu| taken.device.is_some() && gpu.exports().ok() == taken.device) {
        match GpuConverter::new(Arc::clone(gpu), taken.layout, taken.matrix, width, height) {
            Ok(converter) => return Ok(Way::Gpu(Box::new(converter))),
            Err(GpuError::NoExport(why)) => info!(why, "frames go through the CPU"),
            Err(error) => return Err(error),
        }
    }
    let converter = match (gpu, known) {
        (Some(gpu), Some(known)) => {
            Converter::with_conversion(Arc::clone(gpu), taken.layout, width, height, known)
        }
        (gpu, _) => Converter::new(gpu.cloned(), taken.layout, width, height),
    };
    converter.map(|converter| Way::Cpu(Box::new(converter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_gpu::{AdapterKind, CpuPicture, Hdr10Picture, Hdr10Pixels};

    fn encoder(device: Option<DeviceUuid>) -> Capabilities {
        Capabilities {
            name: "test",
            codec: Codec::H264,
            codecs: vec![Codec::H264],
            layout: Layout::Nv12,
            device,
            reference_invalidation: true,
            slices: false,
        }
    }

    fn converted(frames: &mut Frames) -> Surface {
        let data = [90; 64 * 64 * 4];
        let picture = CpuPicture { width: 64, height: 64, stride: 256, data: &data };
        frames.convert(&Picture::Cpu(picture)).unwrap().unwrap()
    }

    #[test]
    fn an_encoder_on_the_same_gpu_gets_frames_without_a_copy_and_any_other_gets_them_in_cpu_memory() {
        let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
        let device = match gpu.exports() {
            Ok(device) => device,
            Err(error) => {
                assert_ne!(gpu.facts().kind, AdapterKind::Software, "{} exports, but: {error}", gpu.facts());
                return eprintln!("skipped on {}: {error}", gpu.facts());
            }
        };
        for (encoder, on_gpu) in [
            (encoder(Some(device)), true),
            (encoder(Some(DeviceUuid([7; 16]))), false),
            (encoder(None), false),
        ] {
            let mut frames = Frames::new(Some(Arc::clone(&gpu)), &encoder, 64, 64).unwrap();
            for (width, height) in [(64, 64), (128, 96)] {
                frames.resize(width, height).unwrap();
                let surface = converted(&mut frames);
                assert_eq!(surface.as_cpu().is_none(), on_gpu);
                assert_eq!((surface.width(), surface.height()), (width, height));
            }
        }
        let mut frames = Frames::new(None, &encoder(Some(device)), 64, 64).unwrap();
        assert!(converted(&mut frames).as_cpu().is_some(), "a title without a GPU has nothing to export");
    }

    #[test]
    fn what_a_title_draws_in_hdr10_is_ten_bits_for_who_sees_them_and_eight_for_all_others() {
        let wide = Capabilities { codec: Codec::Hevc10, layout: Layout::P010, ..encoder(None) };
        let data = [90; 64 * 64 * 4];
        let pixels = Hdr10Pixels::Cpu(CpuPicture { width: 64, height: 64, stride: 256, data: &data });
        let picture = Picture::Hdr10(Hdr10Picture { pixels, peak_nits: 1000 });
        let mut frames = Frames::new(None, &encoder(None), 64, 64).unwrap();
        assert_eq!(frames.convert(&picture).unwrap().unwrap().layout(), Layout::Nv12);
        frames.serve(&wide, 128, 96).unwrap();
        let surface = frames.convert(&picture).unwrap().unwrap();
        assert_eq!((surface.layout(), surface.width()), (Layout::P010, 128));
        frames.serve(&encoder(None), 64, 64).unwrap();
        assert_eq!(converted(&mut frames).layout(), Layout::Nv12);
    }
}
