//! CPU flattening of a frame's layers to one opaque picture, for sessions without a GPU.

use crate::{Content, Frame, Layer, Pixels, Rect};

/// A picture that layers are drawn into when they are not one already.
#[derive(Debug)]
pub struct Canvas {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

/// A whole picture: BGRA8, the alpha bytes have no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flat<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// `height * stride` bytes.
    pub data: &'a [u8],
}

impl Canvas {
    /// For pictures of this size in pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, data: Vec::new() }
    }

    /// One picture of the frame over black. A single layer that is the whole scene is borrowed without a
    /// copy, at its own size where its shape is kept: letterboxing it gives the same picture. Whether it
    /// is opaque does not matter, because premultiplied colours over black are those colours. None when a
    /// layer is a GPU buffer.
    pub fn flatten<'a>(&'a mut self, frame: &'a Frame) -> Option<Flat<'a>> {
        if let [layer] = frame.layers.as_slice()
            && let Some(pixels) = self.whole_scene(layer)
        {
            return Some(Flat {
                width: pixels.width(),
                height: pixels.height(),
                stride: pixels.stride(),
                data: pixels.data(),
            });
        }
        self.data.clear();
        self.data.resize(self.width as usize * self.height as usize * 4, 0);
        for (index, layer) in frame.layers.iter().enumerate() {
            let Content::Shm(pixels) = &layer.content else { return None };
            self.draw(layer, pixels, layer.opaque || index == 0);
        }
        let stride = self.width as usize * 4;
        Some(Flat { width: self.width, height: self.height, stride, data: &self.data })
    }

    /// The pixels of a layer that fills the canvas as letterboxing them would.
    fn whole_scene<'a>(&self, layer: &'a Layer) -> Option<&'a Pixels> {
        let Content::Shm(pixels) = &layer.content else { return None };
        let (w, h) = (f64::from(pixels.width()), f64::from(pixels.height()));
        if layer.source != Rect::new(0.0, 0.0, w, h) {
            return None;
        }
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let scale = (width / w).min(height / h);
        let near = |a: i32, b: f64| (f64::from(a) - b).abs() <= 1.0;
        let target = layer.target;
        let fits = near(target.width, w * scale)
            && near(target.height, h * scale)
            && near(target.x, (width - w * scale) / 2.0)
            && near(target.y, (height - h * scale) / 2.0);
        fits.then_some(pixels)
    }

    /// `opaque` also holds for what lies on black.
    fn draw(&mut self, layer: &Layer, pixels: &Pixels, opaque: bool) {
        let target = layer.target;
        let (left, right) = clip(target.x, target.width, self.width);
        let (top, bottom) = clip(target.y, target.height, self.height);
        if left >= right || top >= bottom {
            return;
        }
        let columns = Axis::new(target.x, target.width, layer.source.x, layer.source.width, pixels.width());
        let rows = Axis::new(target.y, target.height, layer.source.y, layer.source.height, pixels.height());
        let stride = self.width as usize * 4;
        for y in top..bottom {
            let out = &mut self.data[y * stride..][left * 4..right * 4];
            let (upper, lower, down) = rows.sample(y);
            let upper = &pixels.data()[upper * pixels.stride()..][..pixels.stride()];
            let lower = &pixels.data()[lower * pixels.stride()..][..pixels.stride()];
            if columns.is_plain && rows.is_plain {
                let (first, _, _) = columns.sample(left);
                blend_row(out, &upper[first * 4..][..(right - left) * 4], opaque);
                continue;
            }
            for (x, out) in (left..right).zip(out.chunks_exact_mut(4)) {
                let (first, second, along) = columns.sample(x);
                let pixel = std::array::from_fn(|c| {
                    let mix = |row: &[u8]| {
                        u32::from(row[first * 4 + c]) * (256 - along) + u32::from(row[second * 4 + c]) * along
                    };
                    ((mix(upper) * (256 - down) + mix(lower) * down + (1 << 15)) >> 16) as u8
                });
                blend(out, pixel, opaque);
            }
        }
    }
}

/// One direction of a layer: from pixels of the canvas to those of the layer's picture.
struct Axis {
    start: f64,
    step: f64,
    target: i32,
    last: usize,
    /// Pixel by pixel, at whole positions.
    is_plain: bool,
}

impl Axis {
    fn new(target: i32, target_len: i32, source: f64, source_len: f64, len: u32) -> Self {
        let step = source_len / f64::from(target_len);
        let inside = source >= 0.0 && source + source_len <= f64::from(len);
        let is_plain = step == 1.0 && source.fract() == 0.0 && inside;
        Self { start: source, step, target, last: len as usize - 1, is_plain }
    }

    /// The two pixels around the centre of a canvas pixel and the weight of the second in 1/256.
    fn sample(&self, at: usize) -> (usize, usize, u32) {
        let offset = at as f64 - f64::from(self.target);
        let place = (self.start + (offset + 0.5) * self.step - 0.5).max(0.0);
        let first = (place as usize).min(self.last);
        let weight = ((place - place.floor()) * 256.0) as u32;
        (first, (first + 1).min(self.last), weight)
    }
}

/// The part of a span that lies on the canvas.
fn clip(start: i32, len: i32, canvas: u32) -> (usize, usize) {
    let end = i64::from(start) + i64::from(len);
    (i64::from(start).clamp(0, i64::from(canvas)) as usize, end.clamp(0, i64::from(canvas)) as usize)
}

fn blend_row(out: &mut [u8], row: &[u8], opaque: bool) {
    if opaque {
        out.copy_from_slice(row);
        return;
    }
    for (out, pixel) in out.chunks_exact_mut(4).zip(row.chunks_exact(4)) {
        blend(out, [pixel[0], pixel[1], pixel[2], pixel[3]], false);
    }
}

/// Source over: the colours are premultiplied.
fn blend(out: &mut [u8], pixel: [u8; 4], opaque: bool) {
    match pixel[3] {
        _ if opaque => out.copy_from_slice(&pixel),
        255 => out.copy_from_slice(&pixel),
        0 if pixel == [0; 4] => {}
        alpha => {
            let rest = 255 - u32::from(alpha);
            for (out, c) in out.iter_mut().zip(pixel) {
                *out = (u32::from(c) + (u32::from(*out) * rest + 127) / 255).min(255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn solid(width: u32, height: u32, bgra: [u8; 4]) -> Arc<Pixels> {
        Pixels::for_tests(width, height, bgra.repeat((width * height) as usize))
    }

    fn layer(pixels: &Arc<Pixels>, target: Rect<i32>, opaque: bool) -> Layer {
        let source = Rect::new(0.0, 0.0, f64::from(pixels.width()), f64::from(pixels.height()));
        Layer { content: Content::Shm(Arc::clone(pixels)), source, target, opaque }
    }

    fn frame(layers: Vec<Layer>) -> Frame {
        Frame { layers, ..Frame::default() }
    }

    fn pixel(flat: Flat<'_>, x: usize, y: usize) -> [u8; 4] {
        std::array::from_fn(|c| flat.data[y * flat.stride + x * 4 + c])
    }

    #[test]
    fn one_layer_that_is_the_scene_is_borrowed_at_its_own_size() {
        let mut canvas = Canvas::new(1280, 720);
        for (w, h, target) in
            [(1280, 720, Rect::new(0, 0, 1280, 720)), (640, 480, Rect::new(160, 0, 960, 720))]
        {
            let pixels = solid(w, h, [1, 2, 3, 0]);
            let frame = frame(vec![layer(&pixels, target, w == 640)]);
            let flat = canvas.flatten(&frame).unwrap();
            assert_eq!((flat.width, flat.height, flat.data.as_ptr()), (w, h, pixels.data().as_ptr()));
        }
    }

    #[test]
    fn a_stretched_or_shifted_layer_is_drawn() {
        let pixels = solid(4, 4, [9, 9, 9, 255]);
        for target in [Rect::new(0, 0, 8, 4), Rect::new(3, 0, 4, 4)] {
            let mut canvas = Canvas::new(8, 8);
            let frame = frame(vec![layer(&pixels, target, true)]);
            let flat = canvas.flatten(&frame).unwrap();
            assert_eq!((flat.width, flat.height), (8, 8));
            assert_eq!(pixel(flat, target.x as usize, 0)[0], 9);
            assert_eq!(pixel(flat, 0, 7)[0], 0);
        }
    }

    #[test]
    fn premultiplied_alpha_lies_over_what_is_behind() {
        let mut canvas = Canvas::new(2, 1);
        let back = solid(2, 1, [100, 100, 100, 255]);
        let glass = solid(1, 1, [0, 0, 128, 128]);
        let frame = frame(vec![
            layer(&back, Rect::new(0, 0, 2, 1), true),
            layer(&glass, Rect::new(1, 0, 1, 1), false),
        ]);
        let flat = canvas.flatten(&frame).unwrap();
        assert_eq!(pixel(flat, 0, 0)[..3], [100, 100, 100]);
        assert_eq!(pixel(flat, 1, 0)[..3], [50, 50, 178]);
    }

    #[test]
    fn layers_are_clipped_at_every_edge() {
        let red = solid(4, 4, [0, 0, 255, 255]);
        for (x, y, seen) in [(-3, -3, (0, 0)), (3, 3, (3, 3)), (-3, 3, (0, 3)), (3, -3, (3, 0))] {
            let mut canvas = Canvas::new(4, 4);
            let frame = frame(vec![layer(&red, Rect::new(x, y, 4, 4), true)]);
            let flat = canvas.flatten(&frame).unwrap();
            let shown: Vec<_> =
                (0..16).filter(|i| pixel(flat, i % 4, i / 4)[2] == 255).map(|i| (i % 4, i / 4)).collect();
            assert_eq!(shown, [seen]);
        }
        for target in [Rect::new(9, 0, 4, 4), Rect::new(i32::MAX, 0, i32::MAX, 4), Rect::new(0, 0, 0, -5)] {
            let mut canvas = Canvas::new(4, 4);
            let frame = frame(vec![layer(&red, target, true)]);
            assert!(canvas.flatten(&frame).unwrap().data.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn scaling_interpolates_and_keeps_to_the_crop() {
        let mut canvas = Canvas::new(4, 1);
        let ramp = Pixels::for_tests(2, 1, vec![0, 0, 0, 255, 200, 200, 200, 255]);
        let wide = frame(vec![layer(&ramp, Rect::new(0, 0, 4, 1), true)]);
        let flat = canvas.flatten(&wide).unwrap();
        let greys: Vec<_> = (0..4).map(|x| pixel(flat, x, 0)[0]).collect();
        assert_eq!(greys, [0, 50, 150, 200]);
        let mut crop = layer(&ramp, Rect::new(0, 0, 1, 1), true);
        crop.source = Rect::new(1.0, 0.0, 1.0, 1.0);
        let flat_frame = frame(vec![crop]);
        assert_eq!(pixel(canvas.flatten(&flat_frame).unwrap(), 0, 0)[0], 200);
    }
}
