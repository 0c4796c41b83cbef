//! Layers on the GPU, every pixel against a plain reference.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use nearframe_gpu::{
    Converter, CpuPicture, Gpu, GpuContent, GpuError, GpuLayer, LayerCompositor, Layout, Picture,
};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// Odd sizes, so that no row happens to be aligned.
const FRAME: (u32, u32) = (37, 23);

/// Premultiplied BGRA with a place in the frame.
#[derive(Clone, Debug)]
struct Window {
    width: u32,
    height: u32,
    padding: u32,
    data: Vec<u8>,
    source: [f64; 4],
    target: [i32; 4],
    opaque: bool,
}

impl Window {
    fn new(width: u32, height: u32, seed: u32, target: [i32; 4]) -> Self {
        let padding = seed % 3;
        let mut data = Vec::new();
        for at in 0..height * (width + padding) {
            let mut hash = (at ^ seed).wrapping_mul(0x9e37_79b1);
            hash = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
            let [b, g, r, a] = hash.to_le_bytes();
            let alpha = [0, 255, a][(hash >> 7) as usize % 3];
            data.extend([b, g, r].map(|colour| (u32::from(colour) * u32::from(alpha) / 255) as u8));
            data.push(alpha);
        }
        let source = [0.0, 0.0, f64::from(width), f64::from(height)];
        Self { width, height, padding, data, source, target, opaque: seed.is_multiple_of(2) }
    }

    fn layer(&self, id: u64) -> GpuLayer<'_> {
        let stride = 4 * (self.width + self.padding);
        let picture = CpuPicture { width: self.width, height: self.height, stride, data: &self.data };
        let content = GpuContent::Pixels { id, picture };
        GpuLayer { content, source: self.source, target: self.target, opaque: self.opaque }
    }

    fn pixel(&self, x: i64, y: i64) -> [f64; 4] {
        let x = x.clamp(0, i64::from(self.width) - 1) as usize;
        let y = y.clamp(0, i64::from(self.height) - 1) as usize;
        let at = 4 * (y * (self.width + self.padding) as usize + x);
        std::array::from_fn(|channel| f64::from(self.data[at + channel]))
    }

    /// Bilinear, which is the pixel itself in its middle.
    fn sample(&self, x: f64, y: f64) -> [f64; 4] {
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, upper) = (x.floor(), y.floor());
        let (along, down) = (x - left, y - upper);
        std::array::from_fn(|channel| {
            let row = |y: i64| {
                self.pixel(left as i64, y)[channel] * (1.0 - along)
                    + self.pixel(left as i64 + 1, y)[channel] * along
            };
            row(upper as i64) * (1.0 - down) + row(upper as i64 + 1) * down
        })
    }

    fn draw(&self, frame: &mut [[f64; 3]]) {
        for (at, out) in frame.iter_mut().enumerate() {
            let (x, y) = ((at as u32 % FRAME.0) as i32, (at as u32 / FRAME.0) as i32);
            let (column, row) = (x - self.target[0], y - self.target[1]);
            if !(0..self.target[2]).contains(&column) || !(0..self.target[3]).contains(&row) {
                continue;
            }
            let along = |at: i32, first: usize| {
                self.source[first]
                    + (f64::from(at) + 0.5) * self.source[first + 2] / f64::from(self.target[first + 2])
            };
            let pixel = self.sample(along(column, 0), along(row, 1));
            let rest = if self.opaque { 0.0 } else { 1.0 - pixel[3] / 255.0 };
            for (out, colour) in out.iter_mut().zip(pixel) {
                *out = (colour + *out * rest).round().min(255.0);
            }
        }
    }
}

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers")))
}

/// Rows of RGBA.
fn read(gpu: &Gpu, texture: &wgpu::Texture) -> Vec<[u8; 4]> {
    let stride = (4 * texture.width()).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(stride * texture.height()),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
        texture.size(),
    );
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = buffer.get_mapped_range(..).unwrap();
    let rows = bytes.chunks(stride as usize);
    rows.flat_map(|row| row.as_chunks().0[..texture.width() as usize].to_vec()).collect()
}

/// Composes and compares; `tolerance` a layer that is blended or scaled.
fn assert_composed(compositor: &mut LayerCompositor, gpu: &Gpu, windows: &[Window], tolerance: f64) {
    static VERSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let version = || VERSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let layers: Vec<_> = windows.iter().map(|window| window.layer(version())).collect();
    let composed = compositor.compose(&layers).unwrap();
    let composed = read(gpu, composed);
    let mut expected = vec![[0.0; 3]; (FRAME.0 * FRAME.1) as usize];
    windows.iter().for_each(|window| window.draw(&mut expected));
    for (at, (got, [b, g, r])) in composed.iter().zip(expected).enumerate() {
        let (x, y) = (at as u32 % FRAME.0, at as u32 / FRAME.0);
        assert!(f64::from(got[3]) >= 255.0 - tolerance, "at {x}, {y}: alpha {}: {windows:?}", got[3]);
        for (got, wanted) in got.iter().zip([r, g, b]) {
            let wrong = (f64::from(*got) - wanted).abs();
            assert!(wrong <= tolerance, "at {x}, {y}: {got} for {wanted}: {windows:?}");
        }
    }
}

fn placed(most: u32) -> impl Strategy<Value = Window> {
    (1..most, 1..most, any::<u32>(), -20i32..50, -20i32..40)
        .prop_map(|(w, h, seed, x, y)| Window::new(w, h, seed, [x, y, w as i32, h as i32]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn opaque_layers_at_their_own_size_arrive_bit_for_bit(
        mut windows in prop::collection::vec(placed(40), 0..6), crop in 0u32..4, upside_down: bool,
    ) {
        let gpu = gpu();
        for window in &mut windows {
            let [width, height] = [window.width, window.height].map(|side| side.saturating_sub(crop).max(1));
            window.source = [window.width - width, window.height - height, width, height].map(f64::from);
            if upside_down {
                window.source[1] += window.source[3];
                window.source[3] = -window.source[3];
            }
            (window.target[2], window.target[3], window.opaque) = (width as i32, height as i32, true);
        }
        let mut compositor = LayerCompositor::new(Arc::clone(&gpu), FRAME.0, FRAME.1).unwrap();
        assert_composed(&mut compositor, &gpu, &windows, 0.0);
    }

    #[test]
    fn premultiplied_layers_lie_over_each_other(windows in prop::collection::vec(placed(40), 0..6)) {
        let gpu = gpu();
        let mut compositor = LayerCompositor::new(Arc::clone(&gpu), FRAME.0, FRAME.1).unwrap();
        // Hardware may round each blend either way.
        assert_composed(&mut compositor, &gpu, &windows, windows.len() as f64);
    }

    #[test]
    fn scaled_layers_are_interpolated(
        mut window in placed(30), width in 1i32..60, height in 1i32..60, crop in 0.0f64..0.4,
    ) {
        let gpu = gpu();
        let (w, h) = (f64::from(window.width), f64::from(window.height));
        window.source = [crop * w, crop * h, w * (1.0 - 2.0 * crop), h * (1.0 - 2.0 * crop)];
        (window.target[2], window.target[3]) = (width, height);
        let mut compositor = LayerCompositor::new(Arc::clone(&gpu), FRAME.0, FRAME.1).unwrap();
        // Devices weigh neighbours in steps of 1/256: up to one step of full contrast each way.
        assert_composed(&mut compositor, &gpu, &[window], 3.0);
    }
}

#[test]
fn content_is_uploaded_once_a_version() {
    let gpu = gpu();
    let mut compositor = LayerCompositor::new(Arc::clone(&gpu), FRAME.0, FRAME.1).unwrap();
    let mut window = Window::new(8, 8, 0, [0, 0, 8, 8]);
    let before = compositor.compose(&[window.layer(1)]).unwrap();
    let before = read(&gpu, before);
    window.data.fill(9);
    let same = compositor.compose(&[window.layer(1)]).unwrap();
    assert_eq!(read(&gpu, same), before, "the same version is not looked at again");
    let new = compositor.compose(&[window.layer(2)]).unwrap();
    assert_eq!(read(&gpu, new)[0], [9, 9, 9, 255]);
    let again = compositor.compose(&[]).unwrap();
    assert_eq!(read(&gpu, again)[0], [0, 0, 0, 255], "no layers are black");
}

#[test]
fn broken_layers_are_refused_and_leave_the_picture() {
    let gpu = gpu();
    let mut compositor = LayerCompositor::new(Arc::clone(&gpu), FRAME.0, FRAME.1).unwrap();
    let good = Window::new(8, 8, 0, [0, 0, 8, 8]);
    let before = compositor.compose(&[good.layer(1)]).unwrap();
    let before = read(&gpu, before);
    let short = CpuPicture { width: 8, height: 8, stride: 32, data: &[0; 100] };
    let content = GpuContent::Pixels { id: 2, picture: short };
    let bad = GpuLayer { content, ..good.layer(1) };
    assert!(matches!(compositor.compose(&[bad]), Err(GpuError::BadPicture(_))));
    let side = gpu.device().limits().max_texture_dimension_2d + 1;
    let long = vec![0; 4 * side as usize];
    let wide = CpuPicture { width: side, height: 1, stride: 4 * side, data: &long };
    let wide = GpuLayer { content: GpuContent::Pixels { id: 3, picture: wide }, ..good.layer(1) };
    assert!(matches!(compositor.compose(&[wide]), Err(GpuError::BadLayers(_))));
    assert!(matches!(compositor.compose(&[good.layer(1); 513]), Err(GpuError::BadLayers(_))));
    let nowhere = GpuLayer { source: [f64::NAN; 4], ..good.layer(4) };
    assert_eq!(read(&gpu, compositor.picture()), before);
    compositor.compose(&[nowhere]).unwrap();
    for size in [(0, 4), (4, 0), (1 << 20, 4)] {
        assert!(matches!(
            LayerCompositor::new(Arc::clone(&gpu), size.0, size.1),
            Err(GpuError::BadLayers(_))
        ));
    }
    assert!(!gpu.is_lost());
}

#[test]
fn a_composed_frame_is_converted_as_it_is() {
    let gpu = gpu();
    let mut window = Window::new(64, 64, 0, [0, 0, 64, 64]);
    let (_, ring) = (window.data.fill(200), Layout::I420);
    let mut compositor = LayerCompositor::new(Arc::clone(&gpu), 64, 64).unwrap();
    let mut converter = Converter::new(Some(Arc::clone(&gpu)), ring, 64, 64).unwrap();
    let frame = compositor.compose(&[window.layer(1)]).unwrap();
    let surface = converter.convert(&Picture::Gpu(frame)).unwrap().unwrap();
    // 16 + 219 × 200 / 255.
    assert!(surface.as_cpu().unwrap().luma().iter().all(|luma| luma.abs_diff(188) <= 1));
}
