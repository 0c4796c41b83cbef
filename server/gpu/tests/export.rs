//! Exported frames: every sample against a plain reference in f64, every byte as another device reads it.

use nearframe_gpu::{
    AdapterKind, ColourMatrix, CpuPicture, Gpu, GpuConverter, GpuError, GpuSurface, Layout, PeerDevice,
    Picture,
};
use std::sync::Arc;

/// A width that is a multiple of the tile, one of 8 only, and one of 2 only.
const SIZES: [(u32, u32); 3] = [(256, 144), (136, 78), (642, 362)];
const FORMATS: [(Layout, ColourMatrix); 5] = [
    (Layout::Nv12, ColourMatrix::Bt709),
    (Layout::P010, ColourMatrix::Bt709),
    (Layout::P010, ColourMatrix::Bt2020),
    (Layout::Yuv444, ColourMatrix::Bt709),
    (Layout::Yuv444, ColourMatrix::Bt2020),
];

/// A device that exports; `None` only where its driver says that it does not, which the one of software never does.
fn exporting() -> Option<Arc<Gpu>> {
    let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
    let Err(error) = gpu.exports() else { return Some(gpu) };
    assert_ne!(gpu.facts().kind, AdapterKind::Software, "{} exports, but: {error}", gpu.facts());
    eprintln!("skipped on {}: {error}", gpu.facts());
    None
}

/// Ten bits a channel, so that no format gets less than it can show.
struct Rgb {
    width: u32,
    height: u32,
    pixels: Vec<[u32; 3]>,
}

impl Rgb {
    fn new(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u32; 3]) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, pixels: pixels.map(|(x, y)| pixel(x, y)).collect() }
    }

    fn noise(width: u32, height: u32) -> Self {
        Self::new(width, height, |x, y| {
            let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77);
            h = (h ^ h >> 15).wrapping_mul(0x2c1b_3c6d);
            h ^= h >> 13;
            [h & 1023, h >> 10 & 1023, h >> 20 & 1023]
        })
    }

    fn gradient(width: u32, height: u32) -> Self {
        Self::new(width, height, |x, y| [x * 1023 / (width - 1), y * 1023 / (height - 1), (x * y) & 1023])
    }

    fn edges(width: u32, height: u32) -> Self {
        Self::new(width, height, |x, y| [(x / 3) & 1, (y / 5) & 1, ((x + y) / 7) & 1].map(|bit| bit * 1023))
    }

    fn texture(&self, gpu: &Gpu) -> wgpu::Texture {
        use wgpu::TextureUsages as Usage;
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: self.width, height: self.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgb10a2Unorm,
            usage: Usage::TEXTURE_BINDING | Usage::COPY_SRC | Usage::COPY_DST,
            view_formats: &[],
        });
        let words = self.pixels.iter().map(|[r, g, b]| r | g << 10 | b << 20 | 3 << 30);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(4 * self.width),
            rows_per_image: None,
        };
        gpu.queue().write_texture(texture.as_image_copy(), &bytes, layout, texture.size());
        texture
    }

    fn mean(&self, xs: std::ops::Range<u32>, ys: std::ops::Range<u32>) -> [f64; 3] {
        let count = f64::from(xs.len() as u32 * ys.len() as u32);
        let places = ys.flat_map(|y| xs.clone().map(move |x| (y * self.width + x) as usize));
        let sum = places.fold([0.0; 3], |sum, at| {
            [0, 1, 2].map(|channel| sum[channel] + f64::from(self.pixels[at][channel]) / 1023.0)
        });
        sum.map(|channel| channel / count)
    }
}

/// Y, Cb, Cr, unrounded, on the scale of the format.
fn reference([r, g, b]: [f64; 3], layout: Layout, matrix: ColourMatrix) -> [f64; 3] {
    let (kr, kb) = match matrix {
        ColourMatrix::Bt709 => (0.2126, 0.0722),
        ColourMatrix::Bt2020 => (0.2627, 0.0593),
    };
    let scale = if layout == Layout::P010 { 4.0 } else { 1.0 };
    let level = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - level) / (2.0 - 2.0 * kb), (r - level) / (2.0 - 2.0 * kr));
    [16.0 + 219.0 * level, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(|sample| sample * scale)
}

/// The sample `column` of a row of `plane`.
fn sample(surface: &GpuSurface, bytes: &[u8], plane: usize, row: u32, column: u32) -> f64 {
    let laid = surface.slot().planes[plane];
    let row = laid.offset_bytes as usize + row as usize * laid.stride_bytes as usize;
    if surface.slot().layout == Layout::P010 {
        let at = row + 2 * column as usize;
        let word = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(word & 63, 0, "the low bits of a 10-bit sample are zero");
        return f64::from(word >> 6);
    }
    f64::from(bytes[row + column as usize])
}

fn assert_matches(surface: &GpuSurface, bytes: &[u8], rgb: &Rgb, matrix: ColourMatrix, what: &str) {
    let layout = surface.slot().layout;
    let near = |got: f64, wanted: f64, place: (u32, u32)| {
        // Rounding to the nearest, with room for the shader's 24 bits.
        assert!((got - wanted).abs() <= 0.505, "{what}: {got} for {wanted:.3} at {place:?}");
    };
    for y in 0..rgb.height {
        for x in 0..rgb.width {
            let [luma, cb, cr] = reference(rgb.mean(x..x + 1, y..y + 1), layout, matrix);
            near(sample(surface, bytes, 0, y, x), luma, (x, y));
            if layout == Layout::Yuv444 {
                near(sample(surface, bytes, 1, y, x), cb, (x, y));
                near(sample(surface, bytes, 2, y, x), cr, (x, y));
            } else if x % 2 == 0 && y % 2 == 0 {
                let [_, cb, cr] = reference(rgb.mean(x..x + 2, y..y + 2), layout, matrix);
                near(sample(surface, bytes, 1, y / 2, x), cb, (x, y));
                near(sample(surface, bytes, 1, y / 2, x + 1), cr, (x, y));
            }
        }
    }
}

#[test]
fn every_sample_matches_the_reference_and_another_device_reads_the_same_bytes() {
    let Some(gpu) = exporting() else { return };
    let peer = PeerDevice::open(Arc::clone(&gpu)).unwrap();
    for (width, height) in SIZES {
        let pictures = [
            ("noise", Rgb::noise(width, height)),
            ("gradient", Rgb::gradient(width, height)),
            ("edges", Rgb::edges(width, height)),
        ];
        for (layout, matrix) in FORMATS {
            let mut converter = GpuConverter::new(Arc::clone(&gpu), layout, matrix, width, height).unwrap();
            for (name, rgb) in &pictures {
                let what = format!("{name} {width}×{height} {layout:?} {matrix:?}");
                let texture = rgb.texture(&gpu);
                let surface = converter.convert(&Picture::Gpu(&texture)).unwrap().unwrap();
                let theirs = peer.read(&surface).unwrap();
                assert_matches(&surface, &theirs, rgb, matrix, &what);
                let ours = converter.read_back(&surface).unwrap();
                let mismatches = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
                assert_eq!((mismatches, ours.len()), (0, theirs.len()), "{what}");
            }
        }
    }
    assert!(!gpu.is_lost());
}

#[test]
fn slots_are_reused_and_each_frame_is_its_own() {
    let Some(gpu) = exporting() else { return };
    let peer = PeerDevice::open(Arc::clone(&gpu)).unwrap();
    let mut converter =
        GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 64, 64).unwrap();
    assert_eq!(converter.slots(), 3);
    let texture = |grey: u32| Rgb::new(64, 64, |_, _| [grey; 3]).texture(&gpu);
    let frame = |converter: &mut GpuConverter, grey| {
        converter.convert(&Picture::Gpu(&texture(grey))).unwrap().unwrap()
    };
    let held: Vec<_> = [0, 512, 1023].map(|grey| frame(&mut converter, grey)).into();
    assert!(converter.convert(&Picture::Gpu(&texture(7))).unwrap().is_none(), "all slots are in use");
    let luma = |surface: &GpuSurface| peer.read(surface).unwrap()[0];
    assert_eq!(held.iter().map(luma).collect::<Vec<_>>(), [16, 126, 235]);
    let slots: Vec<_> = held.iter().map(|surface| surface.slot().id).collect();
    let newest = held.iter().map(GpuSurface::done).max().unwrap();
    drop(held);
    let again = frame(&mut converter, 1023);
    assert!(slots.contains(&again.slot().id) && again.ready() > newest);
    assert_eq!(luma(&again), 235);
}

#[test]
fn frames_outlive_their_ring() {
    let Some(gpu) = exporting() else { return };
    let peer = PeerDevice::open(Arc::clone(&gpu)).unwrap();
    let mut converter =
        GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 64, 64).unwrap();
    let picture = Rgb::new(64, 64, |_, _| [1023; 3]).texture(&gpu);
    let surface = converter.convert(&Picture::Gpu(&picture)).unwrap().unwrap();
    drop(converter);
    assert_eq!(peer.read(&surface).unwrap()[0], 235);
}

#[test]
fn pictures_of_another_size_and_of_the_cpu_are_fitted_with_black_bars() {
    let Some(gpu) = exporting() else { return };
    let peer = PeerDevice::open(Arc::clone(&gpu)).unwrap();
    let data = [40, 180, 250, 255].repeat(90 * 90);
    let picture = CpuPicture { width: 90, height: 90, stride: 360, data: &data };
    for (layout, black) in [(Layout::Nv12, 16.0), (Layout::P010, 64.0), (Layout::Yuv444, 16.0)] {
        let mut converter =
            GpuConverter::new(Arc::clone(&gpu), layout, ColourMatrix::Bt709, 640, 360).unwrap();
        for _ in 0..2 {
            let surface = converter.convert(&Picture::Cpu(picture)).unwrap().unwrap();
            let bytes = peer.read(&surface).unwrap();
            for x in 0..640 {
                let luma = sample(&surface, &bytes, 0, 180, x);
                assert_eq!(luma == black, !(140..500).contains(&x), "{layout:?}: luma {luma} at {x}");
            }
        }
    }
}

#[test]
fn what_no_encoder_takes_is_refused() {
    let Some(gpu) = exporting() else { return };
    let open = |layout, width, height| {
        GpuConverter::new(Arc::clone(&gpu), layout, ColourMatrix::Bt709, width, height).err()
    };
    assert!(matches!(open(Layout::I420, 64, 64), Some(GpuError::NoExport(_))));
    for (width, height) in [(63, 64), (64, 8), (64, 100_000)] {
        assert!(matches!(open(Layout::Nv12, width, height), Some(GpuError::BadSize { .. })));
    }
    let mut converter =
        GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 64, 64).unwrap();
    let short = CpuPicture { width: 64, height: 64, stride: 256, data: &[0; 100] };
    assert!(matches!(converter.convert(&Picture::Cpu(short)), Err(GpuError::BadPicture(_))));
    assert!(!gpu.is_lost());
}

#[test]
fn short_memory_gives_fewer_slots_and_then_a_refusal() {
    let Some(gpu) = exporting() else { return };
    let open = || GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 256, 256);
    let frame = 256 * 256 * 3 / 2;
    gpu.faults().limit_memory(2 * frame + frame / 2);
    let mut two = open().unwrap();
    assert_eq!(two.slots(), 2);
    let texture = Rgb::noise(256, 256).texture(&gpu);
    assert!(two.convert(&Picture::Gpu(&texture)).unwrap().is_some(), "two slots are enough to go on");
    gpu.faults().limit_memory(frame + frame / 2);
    let refused = open().unwrap_err();
    assert!(matches!(refused, GpuError::OutOfMemory { bytes } if bytes == frame), "{refused}");
    assert!(refused.to_string().contains("fewer sessions"), "{refused}");
}

#[test]
fn a_lost_device_says_so_and_a_new_one_goes_on() {
    let Some(gpu) = exporting() else { return };
    let mut converter =
        GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 64, 64).unwrap();
    let texture = Rgb::noise(64, 64).texture(&gpu);
    let held = converter.convert(&Picture::Gpu(&texture)).unwrap().unwrap();
    gpu.lose("reset by the test");
    let refused = converter.convert(&Picture::Gpu(&texture)).unwrap_err();
    assert!(matches!(&refused, GpuError::Lost(why) if why.contains("reset by the test")), "{refused}");
    assert!(matches!(
        GpuConverter::new(Arc::clone(&gpu), Layout::Nv12, ColourMatrix::Bt709, 64, 64),
        Err(GpuError::Lost(_))
    ));
    let Some(again) = exporting() else { return };
    let mut converter =
        GpuConverter::new(Arc::clone(&again), Layout::Nv12, ColourMatrix::Bt709, 64, 64).unwrap();
    let surface = converter.convert(&Picture::Gpu(&Rgb::noise(64, 64).texture(&again))).unwrap().unwrap();
    assert_ne!(surface.slot().id, held.slot().id, "an old import is never taken for a new slot");
}
