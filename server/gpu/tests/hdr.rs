//! HDR10 into standard range and into P010, on the CPU and on the GPU, against a plain reference in f64.

use nearframe_gpu::{
    AdapterKind, ColourMatrix, Conversion, Converter, CpuPicture, Gpu, GpuConverter, GpuError, Hdr10Picture,
    Hdr10Pixels, Layout, Picture, hdr10_code,
};
use std::sync::Arc;

const SIZES: [(u32, u32); 3] = [(320, 180), (136, 78), (62, 34)];
const PEAKS: [u16; 3] = [150, 1000, 4000];

/// SMPTE ST 2084, equation 4.1: cd/m² of a code.
fn eotf(code: f64) -> f64 {
    let (m1, m2) = (2610.0 / 16384.0, 2523.0 / 32.0);
    let (c1, c2, c3) = (107.0 / 128.0, 2413.0 / 128.0, 2392.0 / 128.0);
    let root = code.powf(1.0 / m2);
    10_000.0 * (f64::max(root - c1, 0.0) / (c2 - c3 * root)).powf(1.0 / m1)
}

/// Its inverse, by halving: nothing here shares a line with what is tested.
fn code_of(nits: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if eotf(middle) < nits { low = middle } else { high = middle }
    }
    low
}

/// ITU-R BT.2390-11, 5.4.1, for a black of nothing and a white of 203 cd/m².
fn eetf(code: f64, peak_nits: f64) -> f64 {
    let peak = code_of(peak_nits);
    let (e1, max_lum) = ((code / peak).min(1.0), code_of(203.0) / peak);
    let ks = 1.5 * max_lum - 0.5;
    let e2 = if e1 < ks {
        e1
    } else {
        let t = (e1 - ks) / (1.0 - ks);
        (2.0 * t.powi(3) - 3.0 * t.powi(2) + 1.0) * ks
            + (t.powi(3) - 2.0 * t.powi(2) + t) * (1.0 - ks)
            + (-2.0 * t.powi(3) + 3.0 * t.powi(2)) * max_lum
    };
    e2 * peak
}

/// R′G′B′ of standard range.
fn standard(codes: [f64; 3], peak_nits: u16) -> [f64; 3] {
    let brightest = codes.into_iter().fold(0.0, f64::max);
    let gain = if brightest > 0.0 { eotf(eetf(brightest, peak_nits.into())) / eotf(brightest) } else { 1.0 };
    let [r, g, b] = codes.map(|code| eotf(code) * gain / 203.0);
    let narrow = [
        1.660_491 * r - 0.587_641 * g - 0.072_850 * b,
        -0.124_550 * r + 1.132_900 * g - 0.008_349 * b,
        -0.018_151 * r - 0.100_579 * g + 1.118_730 * b,
    ];
    narrow.map(|light| {
        let light = light.clamp(0.0, 1.0);
        if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
    })
}

/// Y, Cb, Cr from 0 to 1 and −0.5 to 0.5.
fn differences([r, g, b]: [f64; 3], kr: f64, kb: f64) -> [f64; 3] {
    let level = kr * r + (1.0 - kr - kb) * g + kb * b;
    [level, (b - level) / (2.0 - 2.0 * kb), (r - level) / (2.0 - 2.0 * kr)]
}

struct Hdr {
    width: u32,
    height: u32,
    pixels: Vec<[u16; 3]>,
}

impl Hdr {
    fn new(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u16; 3]) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
    }

    /// Greys and colours from nothing to 10 000 cd/m², and noise below.
    fn all_levels(width: u32, height: u32) -> Self {
        Self::new(width, height, |x, y| {
            let level = (x * 1023 / (width - 1)) as u16;
            let h = (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77)).wrapping_mul(0x2c1b_3c6d);
            match y * 6 / height {
                0 => [level; 3],
                1 => [level, 0, level / 2],
                2 => [level / 3, level, 0],
                3 => [0, level / 2, level],
                4 => [hdr10_code(203.0), level, hdr10_code(80.0)],
                _ => [h >> 2 & 1023, h >> 12 & 1023, h >> 22 & 1023].map(|code| code as u16),
            }
        })
    }

    fn words(&self) -> Vec<u8> {
        let word = |[r, g, b]: &[u16; 3]| u32::from(*r) | u32::from(*g) << 10 | u32::from(*b) << 20 | 3 << 30;
        self.pixels.iter().flat_map(|pixel| word(pixel).to_le_bytes()).collect()
    }

    fn at(&self, x: u32, y: u32) -> [f64; 3] {
        self.pixels[(y * self.width + x) as usize].map(|code| f64::from(code) / 1023.0)
    }

    /// Luma, Cb and Cr of the whole picture, where each pixel shows `colour`.
    fn planes(&self, kr: f64, kb: f64, colour: impl Fn([f64; 3]) -> [f64; 3]) -> [Vec<f64>; 3] {
        let colours: Vec<_> = (0..self.height)
            .flat_map(|y| (0..self.width).map(move |x| (x, y)))
            .map(|(x, y)| colour(self.at(x, y)))
            .collect();
        let luma = colours.iter().map(|colour| differences(*colour, kr, kb)[0]).collect();
        let (mut cb, mut cr) = (Vec::new(), Vec::new());
        let wide = self.width as usize;
        for (y, x) in
            (0..self.height as usize).step_by(2).flat_map(|y| (0..wide).step_by(2).map(move |x| (y, x)))
        {
            let block = [y * wide + x, y * wide + x + 1, (y + 1) * wide + x, (y + 1) * wide + x + 1];
            let mean = [0, 1, 2].map(|c| block.iter().map(|at| colours[*at][c]).sum::<f64>() / 4.0);
            let [_, blue, red] = differences(mean, kr, kb);
            cb.push(blue);
            cr.push(red);
        }
        [luma, cb, cr]
    }

    /// As eight bits of BT.709.
    fn standard_planes(&self, peak: u16) -> [Vec<f64>; 3] {
        let [luma, cb, cr] = self.planes(0.2126, 0.0722, |codes| standard(codes, peak));
        let scaled = |plane: Vec<f64>, offset, span| plane.iter().map(|v| offset + span * v).collect();
        [scaled(luma, 16.0, 219.0), scaled(cb, 128.0, 224.0), scaled(cr, 128.0, 224.0)]
    }

    /// As ten bits of BT.2020.
    fn wide_planes(&self) -> [Vec<f64>; 3] {
        let [luma, cb, cr] = self.planes(0.2627, 0.0593, |codes| codes);
        let scaled = |plane: Vec<f64>, offset, span| plane.iter().map(|v| offset + span * v).collect();
        [scaled(luma, 64.0, 876.0), scaled(cb, 512.0, 896.0), scaled(cr, 512.0, 896.0)]
    }

    fn texture(&self, gpu: &Gpu, format: wgpu::TextureFormat) -> wgpu::Texture {
        use wgpu::TextureUsages as Usage;
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: self.width, height: self.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: Usage::TEXTURE_BINDING | Usage::COPY_DST,
            view_formats: &[],
        });
        let (bytes, pixel) = match format {
            wgpu::TextureFormat::Rgb10a2Unorm => (self.words(), 4),
            _ => {
                let channels = self.pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 1023]);
                (channels.flat_map(|code| half(f32::from(code) / 1023.0).to_le_bytes()).collect(), 8)
            }
        };
        let rows = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(pixel * self.width),
            rows_per_image: None,
        };
        gpu.queue().write_texture(texture.as_image_copy(), &bytes, rows, texture.size());
        texture
    }
}

/// IEEE 754 binary16 of 0 to 1, to the nearest.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 15;
    if exponent <= 0 {
        return (value * 16_777_216.0).round() as u16;
    }
    let rounded = (bits & 0x7f_ffff) + 0x1000;
    ((exponent as u32) << 10).wrapping_add(rounded >> 13) as u16
}

fn cpu<'a>(hdr: &Hdr, words: &'a [u8], peak_nits: u16) -> Picture<'a> {
    let (width, height) = (hdr.width, hdr.height);
    let pixels = Hdr10Pixels::Cpu(CpuPicture { width, height, stride: 4 * width, data: words });
    Picture::Hdr10(Hdr10Picture { pixels, peak_nits })
}

fn on_gpu(texture: &wgpu::Texture, peak_nits: u16) -> Picture<'_> {
    Picture::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Gpu(texture), peak_nits })
}

fn gpu() -> Arc<Gpu> {
    Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers")
}

/// Samples without padding: luma, Cb, Cr.
fn split(layout: Layout, luma: &[u8], chroma: &[u8]) -> [Vec<f64>; 3] {
    let eight = |bytes: &[u8]| bytes.iter().map(|sample| f64::from(*sample)).collect::<Vec<_>>();
    let ten = |bytes: &[u8]| -> Vec<f64> {
        let words = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        words.inspect(|word| assert_eq!(word & 63, 0)).map(|word| f64::from(word >> 6)).collect()
    };
    let (luma, chroma) = match layout {
        Layout::P010 => (ten(luma), ten(chroma)),
        _ => (eight(luma), eight(chroma)),
    };
    let (cb, cr) = match layout {
        Layout::I420 => {
            let (cb, cr) = chroma.split_at(chroma.len() / 2);
            (cb.to_vec(), cr.to_vec())
        }
        _ => chroma.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip(),
    };
    [luma, cb, cr]
}

/// `most`: how far luma and chroma may be off.
fn assert_near(got: &[Vec<f64>; 3], wanted: &[Vec<f64>; 3], most: [f64; 2], what: &str) {
    for (plane, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert_eq!(got.len(), wanted.len(), "{what}");
        let most = most[plane.min(1)];
        for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            assert!(
                (got - wanted).abs() <= most,
                "{what}: plane {plane}, sample {at}: {got} for {wanted:.3}"
            );
        }
    }
}

/// The CPU's tables go through eight bits of R, G and B: half a step of each, and the rounding of the sample.
const BY_TABLE: [f64; 2] = [1.5, 1.8];
/// The shader rounds once; its powers are of 24 bits.
const BY_SHADER: [f64; 2] = [0.7, 0.7];
/// Codes of 11 bits.
const FROM_HALF_FLOATS: [f64; 2] = [1.4, 1.4];

#[test]
fn pictures_in_cpu_memory_are_tone_mapped_as_the_reference_says() {
    for (width, height) in SIZES {
        let hdr = Hdr::all_levels(width, height);
        let words = hdr.words();
        for layout in [Layout::Nv12, Layout::I420] {
            let mut converter = Converter::new(None, layout, width, height).unwrap();
            for peak in PEAKS {
                let surface = converter.convert(&cpu(&hdr, &words, peak)).unwrap().unwrap();
                let surface = surface.as_cpu().unwrap();
                let got = split(layout, surface.luma(), surface.chroma());
                let what = format!("{width}×{height} {layout:?} from {peak}");
                assert_near(&got, &hdr.standard_planes(peak), BY_TABLE, &what);
            }
        }
    }
}

#[test]
fn ten_bits_stay_ten_bits_in_cpu_memory() {
    for (width, height) in SIZES {
        let hdr = Hdr::all_levels(width, height);
        let words = hdr.words();
        let mut converter = Converter::new(None, Layout::P010, width, height).unwrap();
        let surface = converter.convert(&cpu(&hdr, &words, 1000)).unwrap().unwrap();
        let surface = surface.as_cpu().unwrap();
        let got = split(Layout::P010, surface.luma(), surface.chroma());
        assert_near(&got, &hdr.wide_planes(), [0.55, 0.55], &format!("{width}×{height}"));
    }
}

#[test]
fn textures_are_read_back_in_ten_bits_and_converted_alike() {
    let gpu = gpu();
    let (width, height) = SIZES[0];
    let hdr = Hdr::all_levels(width, height);
    for format in [wgpu::TextureFormat::Rgb10a2Unorm, wgpu::TextureFormat::Rgba16Float] {
        let texture = hdr.texture(&gpu, format);
        for (layout, wanted, most) in [
            (Layout::I420, hdr.standard_planes(1000), BY_TABLE),
            (Layout::P010, hdr.wide_planes(), [1.1, 1.1]),
        ] {
            for conversion in [Conversion::Simd, Conversion::Shader] {
                let mut converter =
                    Converter::with_conversion(Arc::clone(&gpu), layout, width, height, conversion).unwrap();
                let surface = converter.convert(&on_gpu(&texture, 1000)).unwrap().unwrap();
                let surface = surface.as_cpu().unwrap();
                let got = split(layout, surface.luma(), surface.chroma());
                assert_near(&got, &wanted, most, &format!("{format:?} {layout:?} {conversion}"));
            }
        }
    }
}

/// Frames that stay on the GPU, as far as its driver exports; the one of software always does.
#[test]
fn the_shader_tone_maps_and_passes_on_as_the_reference_says() {
    let gpu = gpu();
    if let Err(error) = gpu.exports() {
        assert_ne!(gpu.facts().kind, AdapterKind::Software, "{} exports, but: {error}", gpu.facts());
        return eprintln!("skipped on {}: {error}", gpu.facts());
    }
    for (width, height) in SIZES {
        let hdr = Hdr::all_levels(width, height);
        let words = hdr.words();
        let textures = [wgpu::TextureFormat::Rgb10a2Unorm, wgpu::TextureFormat::Rgba16Float]
            .map(|format| hdr.texture(&gpu, format));
        for (layout, matrix) in [(Layout::Nv12, ColourMatrix::Bt709), (Layout::P010, ColourMatrix::Bt2020)] {
            let mut converter = GpuConverter::new(Arc::clone(&gpu), layout, matrix, width, height).unwrap();
            for peak in PEAKS {
                let wanted =
                    if layout == Layout::P010 { hdr.wide_planes() } else { hdr.standard_planes(peak) };
                for (name, picture, most) in [
                    ("uploaded", cpu(&hdr, &words, peak), BY_SHADER),
                    ("ten bits", on_gpu(&textures[0], peak), BY_SHADER),
                    ("half floats", on_gpu(&textures[1], peak), FROM_HALF_FLOATS),
                ] {
                    let surface = converter.convert(&picture).unwrap().unwrap();
                    let bytes = converter.read_back(&surface).unwrap();
                    let planes = &surface.slot().planes;
                    let rows = |plane: usize, rows: u32| -> Vec<u8> {
                        let (at, stride) =
                            (planes[plane].offset_bytes as usize, planes[plane].stride_bytes as usize);
                        let row = layout.row_bytes(width);
                        (0..rows as usize).flat_map(|y| &bytes[at + y * stride..][..row]).copied().collect()
                    };
                    let got = split(layout, &rows(0, height), &rows(1, height / 2));
                    assert_near(
                        &got,
                        &wanted,
                        most,
                        &format!("{name} {width}×{height} {layout:?} from {peak}"),
                    );
                }
            }
        }
    }
    assert!(!gpu.is_lost());
}

#[test]
fn a_picture_of_another_size_is_scaled_with_black_bars_in_either_range() {
    let white = hdr10_code(203.0);
    let square = Hdr::new(90, 90, |_, _| [white; 3]);
    let words = square.words();
    for (layout, black, bright) in [(Layout::Nv12, 16.0, 195.0), (Layout::P010, 64.0, 570.0)] {
        let mut converter = Converter::new(None, layout, 640, 360).unwrap();
        let surface = converter.convert(&cpu(&square, &words, 1000)).unwrap().unwrap();
        let surface = surface.as_cpu().unwrap();
        let [luma, cb, cr] = split(layout, surface.luma(), surface.chroma());
        for (at, sample) in luma.iter().enumerate() {
            let inside = (140..500).contains(&(at % 640));
            assert!(if inside { *sample > bright } else { *sample == black }, "{layout:?}: {sample} at {at}");
        }
        let grey = if layout == Layout::P010 { 512.0 } else { 128.0 };
        assert!(cb.iter().chain(&cr).all(|sample| (sample - grey).abs() <= 1.0), "{layout:?}");
    }
}

#[test]
fn what_has_no_place_in_ten_bits_and_what_is_no_hdr10_is_refused() {
    let gpu = gpu();
    let mut converter = Converter::new(Some(Arc::clone(&gpu)), Layout::P010, 64, 64).unwrap();
    let data = vec![0; 64 * 64 * 4];
    let standard = CpuPicture { width: 64, height: 64, stride: 256, data: &data };
    assert!(matches!(converter.convert(&Picture::Cpu(standard)), Err(GpuError::BadPicture(_))));
    let texture = gpu.blank_picture(64, 64);
    assert!(matches!(converter.convert(&Picture::Gpu(&texture)), Err(GpuError::BadPicture(_))));
    assert!(matches!(converter.convert(&on_gpu(&texture, 1000)), Err(GpuError::BadPicture(_))));
    let short = CpuPicture { data: &data[..100], ..standard };
    let short = Picture::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Cpu(short), peak_nits: 1000 });
    assert!(matches!(converter.convert(&short), Err(GpuError::BadPicture(_))));
    let hdr = Hdr::new(64, 64, |_, _| [512; 3]);
    let ten_bits = hdr.texture(&gpu, wgpu::TextureFormat::Rgb10a2Unorm);
    let mut without = Converter::new(None, Layout::Nv12, 64, 64).unwrap();
    assert!(matches!(without.convert(&on_gpu(&ten_bits, 1000)), Err(GpuError::NeedsDevice)));
}
