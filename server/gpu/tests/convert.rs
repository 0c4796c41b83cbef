//! Every sample of every conversion against a plain reference in f64.

use nearframe_gpu::{Conversion, Converter, CpuPicture, Gpu, GpuError, Layout, Picture, Surface, adapters};
use std::sync::{Arc, OnceLock};

const LAYOUTS: [Layout; 2] = [Layout::Nv12, Layout::I420];
/// Widths that are a multiple of 64, of 8, of 2 only, sizes of odd macroblock counts, and one narrower than any register.
const SIZES: [(u32, u32); 5] = [(320, 180), (136, 78), (642, 362), (62, 34), (30, 18)];

/// An RGB picture.
#[derive(Clone)]
struct Rgb {
    width: u32,
    height: u32,
    pixels: Vec<[u8; 3]>,
}

impl Rgb {
    fn new(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, pixels: pixels.map(|(x, y)| pixel(x, y)).collect() }
    }

    fn bgra(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|&[r, g, b]| [b, g, r, 255]).collect()
    }

    fn rgba(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
    }

    fn at(&self, x: u32, y: u32) -> [f64; 3] {
        self.pixels[(y * self.width + x) as usize].map(|value| f64::from(value) / 255.0)
    }

    /// Luma, Cb and Cr by ITU-R BT.709, limited range, unrounded.
    fn reference(&self) -> [Vec<f64>; 3] {
        let weigh = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let (mut luma, mut cb, mut cr) = (Vec::new(), Vec::new(), Vec::new());
        for y in 0..self.height {
            luma.extend((0..self.width).map(|x| 16.0 + 219.0 * weigh(self.at(x, y))));
        }
        for y in (0..self.height).step_by(2) {
            for x in (0..self.width).step_by(2) {
                let block = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| self.at(x, y));
                let mean =
                    [0, 1, 2].map(|channel| block.iter().map(|pixel| pixel[channel]).sum::<f64>() / 4.0);
                let level = weigh(mean);
                cb.push(128.0 + 224.0 * (mean[2] - level) / 1.8556);
                cr.push(128.0 + 224.0 * (mean[0] - level) / 1.5748);
            }
        }
        [luma, cb, cr]
    }
}

/// Gradients, hard saturated edges, and noise.
fn pictures(width: u32, height: u32) -> Vec<(&'static str, Rgb)> {
    let gradient = Rgb::new(width, height, |x, y| {
        [(x * 255 / (width - 1)) as u8, (y * 255 / (height - 1)) as u8, ((x + y) % 256) as u8]
    });
    let saturated = Rgb::new(width, height, |x, y| {
        let bits = x / 3 + y / 5;
        [bits & 1, bits >> 1 & 1, bits >> 2 & 1].map(|bit| bit as u8 * 255)
    });
    let noise = Rgb::new(width, height, |x, y| {
        let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77);
        h = (h ^ h >> 15).wrapping_mul(0x2c1b_3c6d);
        h ^= h >> 13;
        [h as u8, (h >> 8) as u8, (h >> 16) as u8]
    });
    vec![("gradient", gradient), ("saturated", saturated), ("noise", noise)]
}

/// Luma, Cb and Cr of a surface of either layout.
fn planes(surface: &Surface) -> [Vec<u8>; 3] {
    let surface = surface.as_cpu().expect("converters without a ring in GPU memory give CPU memory");
    let chroma = surface.chroma();
    let (cb, cr) = match surface.layout() {
        Layout::Nv12 => chroma.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip(),
        Layout::I420 => {
            let (cb, cr) = chroma.split_at(chroma.len() / 2);
            (cb.to_vec(), cr.to_vec())
        }
        other => panic!("no test asks for {other:?}"),
    };
    [surface.luma().to_vec(), cb, cr]
}

fn assert_matches(surface: &Surface, picture: &Rgb, what: &str) {
    for (plane, (got, wanted)) in planes(surface).iter().zip(picture.reference()).enumerate() {
        assert_eq!(got.len(), wanted.len(), "{what}");
        for (at, (&got, wanted)) in got.iter().zip(wanted).enumerate() {
            let wrong = (f64::from(got) - wanted.round()).abs();
            assert!(wrong <= 1.0, "{what}: plane {plane}, sample {at}: {got} for {wanted:.2}");
        }
    }
}

fn cpu(picture: &Rgb, data: &[u8]) -> CpuPictureOwned {
    CpuPictureOwned {
        width: picture.width,
        height: picture.height,
        stride: 4 * picture.width,
        data: data.to_vec(),
    }
}

struct CpuPictureOwned {
    width: u32,
    height: u32,
    stride: u32,
    data: Vec<u8>,
}

impl CpuPictureOwned {
    fn picture(&self) -> Picture<'_> {
        let Self { width, height, stride, ref data } = *self;
        Picture::Cpu(CpuPicture { width, height, stride, data })
    }
}

/// The machine's adapter.
fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers")))
}

fn texture(gpu: &Gpu, picture: &Rgb, format: wgpu::TextureFormat) -> wgpu::Texture {
    use wgpu::TextureUsages as Usage;
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: picture.width, height: picture.height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: Usage::TEXTURE_BINDING | Usage::COPY_SRC | Usage::COPY_DST,
        view_formats: &[],
    });
    let bytes = if format == wgpu::TextureFormat::Bgra8Unorm { picture.bgra() } else { picture.rgba() };
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(4 * picture.width),
        rows_per_image: None,
    };
    gpu.queue().write_texture(texture.as_image_copy(), &bytes, layout, texture.size());
    gpu.queue().submit([]);
    texture
}

#[test]
fn cpu_pictures_match_the_reference_without_any_gpu() {
    for (width, height) in SIZES {
        for layout in LAYOUTS {
            let mut converter = Converter::new(None, layout, width, height).unwrap();
            assert_eq!(converter.conversion(), Conversion::Simd);
            for (name, picture) in pictures(width, height) {
                let owned = cpu(&picture, &picture.bgra());
                let surface = converter.convert(&owned.picture()).unwrap().unwrap();
                assert_matches(&surface, &picture, &format!("{name} {width}×{height} {layout:?}"));
            }
        }
    }
}

#[test]
fn padded_rows_are_read_with_their_stride() {
    let (_, picture) = pictures(62, 34).remove(2);
    let mut padded = Vec::new();
    for row in picture.bgra().chunks(4 * 62) {
        padded.extend_from_slice(row);
        padded.extend_from_slice(&[0xaa; 40]);
    }
    let owned = CpuPictureOwned { width: 62, height: 34, stride: 4 * 62 + 40, data: padded };
    let mut converter = Converter::new(None, Layout::I420, 62, 34).unwrap();
    let surface = converter.convert(&owned.picture()).unwrap().unwrap();
    assert_matches(&surface, &picture, "padded");
}

#[test]
fn gpu_pictures_match_the_reference_by_either_conversion() {
    let gpu = gpu();
    for (width, height) in SIZES {
        for layout in LAYOUTS {
            for conversion in [Conversion::Simd, Conversion::Shader] {
                let mut converter =
                    Converter::with_conversion(Arc::clone(&gpu), layout, width, height, conversion).unwrap();
                assert_eq!(converter.conversion(), conversion);
                for (name, picture) in pictures(width, height) {
                    for format in [wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureFormat::Bgra8Unorm] {
                        let texture = texture(&gpu, &picture, format);
                        let surface = converter.convert(&Picture::Gpu(&texture)).unwrap().unwrap();
                        let what = format!("{name} {width}×{height} {layout:?} {conversion} {format:?}");
                        assert_matches(&surface, &picture, &what);
                    }
                }
            }
        }
    }
}

/// Luma and chroma of pixels outside columns `x0..x1` and rows `y0..y1` must be black.
fn assert_bars(surface: &Surface, (x0, x1): (usize, usize), (y0, y1): (usize, usize), what: &str) {
    let width = surface.width() as usize;
    let [luma, cb, cr] = planes(surface);
    for (at, &sample) in luma.iter().enumerate() {
        let inside = (x0..x1).contains(&(at % width)) && (y0..y1).contains(&(at / width));
        assert!(inside || sample == 16, "{what}: luma {sample} at {at}");
        assert!(!inside || sample > 100, "{what}: luma {sample} at {at}");
    }
    for (at, (&cb, &cr)) in cb.iter().zip(&cr).enumerate() {
        let (x, y) = (at % (width / 2) * 2, at / (width / 2) * 2);
        let inside = (x0..x1).contains(&x) && (y0..y1).contains(&y);
        assert!(inside || (cb, cr) == (128, 128), "{what}: chroma {cb} {cr} at {at}");
    }
}

#[test]
fn bars_are_exactly_black_on_cpu_and_gpu() {
    let square = Rgb::new(90, 90, |_, _| [250, 180, 40]);
    let wide = Rgb::new(200, 40, |_, _| [250, 180, 40]);
    for layout in LAYOUTS {
        let check = |surface: &Surface, tall: bool, what: &str| {
            if tall {
                assert_bars(surface, (140, 500), (0, 360), what);
            } else {
                assert_bars(surface, (0, 640), (116, 244), what);
            }
        };
        let mut converter = Converter::new(None, layout, 640, 360).unwrap();
        for (picture, tall) in [(&square, true), (&wide, false)] {
            let owned = cpu(picture, &picture.bgra());
            check(&converter.convert(&owned.picture()).unwrap().unwrap(), tall, "cpu");
        }
        let gpu = gpu();
        let mut converter = Converter::new(Some(Arc::clone(&gpu)), layout, 640, 360).unwrap();
        for (picture, tall) in [(&square, true), (&wide, false)] {
            let texture = texture(&gpu, picture, wgpu::TextureFormat::Rgba8Unorm);
            check(&converter.convert(&Picture::Gpu(&texture)).unwrap().unwrap(), tall, "gpu");
        }
    }
}

#[test]
fn cpu_and_gpu_scale_alike() {
    let gpu = gpu();
    let picture = Rgb::new(100, 70, |x, y| {
        let wave = (f64::from(x) / 6.0).sin() * (f64::from(y) / 5.0).cos();
        [(128.0 + 100.0 * wave) as u8, (x * 2) as u8, (y * 3) as u8]
    });
    let owned = cpu(&picture, &picture.bgra());
    let texture = texture(&gpu, &picture, wgpu::TextureFormat::Rgba8Unorm);
    for (width, height) in [(320, 180), (64, 48)] {
        let mut on_cpu = Converter::new(None, Layout::I420, width, height).unwrap();
        let mut on_gpu = Converter::new(Some(Arc::clone(&gpu)), Layout::I420, width, height).unwrap();
        let ours = on_cpu.convert(&owned.picture()).unwrap().unwrap();
        let theirs = on_gpu.convert(&Picture::Gpu(&texture)).unwrap().unwrap();
        for (plane, (a, b)) in planes(&ours).iter().zip(planes(&theirs)).enumerate() {
            let worst = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 3, "{width}×{height}: plane {plane} differs by {worst}");
        }
    }
}

#[test]
fn an_exhausted_ring_leaves_the_frame_out_and_recovers() {
    let picture = Rgb::new(64, 64, |_, _| [1, 2, 3]);
    let owned = cpu(&picture, &picture.bgra());
    let mut converter = Converter::new(None, Layout::Nv12, 64, 64).unwrap();
    let held: Vec<_> = (0..3).map(|_| converter.convert(&owned.picture()).unwrap().unwrap()).collect();
    assert!(converter.convert(&owned.picture()).unwrap().is_none());
    drop(held);
    assert!(converter.convert(&owned.picture()).unwrap().is_some());
}

#[test]
fn broken_pictures_and_sizes_are_refused() {
    assert!(matches!(Converter::new(None, Layout::I420, 63, 64), Err(GpuError::BadSize { .. })));
    assert!(matches!(Converter::new(None, Layout::I420, 64, 5000), Err(GpuError::BadSize { .. })));
    assert!(matches!(Converter::new(None, Layout::Yuv444, 64, 64), Err(GpuError::BadLayout(_))));
    let mut converter = Converter::new(None, Layout::I420, 64, 64).unwrap();
    for (width, height, stride, len) in
        [(64, 64, 256, 100), (64, 64, 100, 64 * 64 * 4), (64, 64, 257, 64 * 64 * 5), (0, 64, 0, 0)]
    {
        let owned = CpuPictureOwned { width, height, stride, data: vec![0; len] };
        assert!(matches!(converter.convert(&owned.picture()), Err(GpuError::BadPicture(_))));
    }
    let gpu = gpu();
    let picture = Rgb::new(64, 64, |_, _| [9; 3]);
    let fine = texture(&gpu, &picture, wgpu::TextureFormat::Rgba8Unorm);
    assert!(matches!(converter.convert(&Picture::Gpu(&fine)), Err(GpuError::NeedsDevice)));
    let mut converter = Converter::new(Some(Arc::clone(&gpu)), Layout::I420, 64, 64).unwrap();
    let srgb = texture(&gpu, &picture, wgpu::TextureFormat::Rgba8UnormSrgb);
    assert!(matches!(converter.convert(&Picture::Gpu(&srgb)), Err(GpuError::BadPicture(_))));
    assert!(!gpu.is_lost());
}

#[test]
fn the_opened_adapter_is_among_those_that_are_listed() {
    let gpu = gpu();
    let listed = adapters();
    assert!(listed.contains(gpu.facts()), "{} is not in {listed:?}", gpu.facts());
    assert!(listed.is_sorted_by_key(|facts| facts.kind));
}
