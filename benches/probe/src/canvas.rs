//! A picture in memory that knows which of its rows changed.

/// Blue, green, red, alpha.
pub type Pixel = [u8; 4];

/// A rectangle in px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Width.
    pub w: usize,
    /// Height.
    pub h: usize,
}

/// BGRA, opaque, rows without padding.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    touched: Vec<bool>,
}

impl Canvas {
    /// A black picture of `width × height` px, all of it changed.
    pub fn new(width: usize, height: usize) -> Self {
        let pixels = [0, 0, 0, 255].repeat(width * height);
        Self { width, height, pixels, touched: vec![true; height] }
    }

    /// Width in px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes in a row.
    pub fn stride(&self) -> usize {
        self.width * 4
    }

    /// All pixels.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels of `h` rows from `y` on.
    pub fn rows(&self, y: usize, h: usize) -> &[u8] {
        &self.pixels[y * self.stride()..(y + h) * self.stride()]
    }

    /// One pixel.
    pub fn at(&self, x: usize, y: usize) -> Pixel {
        let i = y * self.stride() + x * 4;
        [self.pixels[i], self.pixels[i + 1], self.pixels[i + 2], self.pixels[i + 3]]
    }

    /// Fills what of `rect` lies inside the picture.
    pub fn fill(&mut self, rect: Rect, colour: Pixel) {
        let (right, bottom) = ((rect.x + rect.w).min(self.width), (rect.y + rect.h).min(self.height));
        if rect.x >= right || rect.y >= bottom {
            return;
        }
        let (stride, first) = (self.stride(), rect.y * self.stride());
        let row = &mut self.pixels[first + rect.x * 4..first + right * 4];
        row.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&colour));
        for y in rect.y + 1..bottom {
            self.pixels.copy_within(first + rect.x * 4..first + right * 4, y * stride + rect.x * 4);
        }
        self.touched[rect.y..bottom].fill(true);
    }

    /// Copies pixels into one row, from `x` on.
    ///
    /// # Panics
    /// When they do not lie inside the picture.
    pub fn copy(&mut self, x: usize, y: usize, pixels: &[u8]) {
        assert!(x * 4 + pixels.len() <= self.stride(), "inside the row");
        let first = y * self.stride() + x * 4;
        self.pixels[first..first + pixels.len()].copy_from_slice(pixels);
        self.touched[y] = true;
    }

    /// Which rows changed since the last call.
    pub fn take_touched(&mut self) -> Vec<bool> {
        std::mem::replace(&mut self.touched, vec![false; self.height])
    }
}

/// The runs of true in `rows`, as (first, count).
pub fn runs(rows: &[bool]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (y, _) in rows.iter().enumerate().filter(|(_, touched)| **touched) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == y => *count += 1,
            _ => runs.push((y, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_were_filled_count_as_changed() {
        let mut canvas = Canvas::new(8, 10);
        assert_eq!(runs(&canvas.take_touched()), [(0, 10)], "a new picture is new all over");
        assert_eq!(runs(&canvas.take_touched()), []);
        canvas.fill(Rect { x: 1, y: 2, w: 2, h: 3 }, [1, 2, 3, 255]);
        canvas.fill(Rect { x: 6, y: 9, w: 20, h: 20 }, [4, 5, 6, 255]);
        canvas.fill(Rect { x: 8, y: 0, w: 1, h: 1 }, [9; 4]);
        assert_eq!(runs(&canvas.take_touched()), [(2, 3), (9, 1)]);
        assert_eq!(canvas.at(2, 4), [1, 2, 3, 255]);
        assert_eq!(canvas.at(3, 4), [0, 0, 0, 255]);
        assert_eq!(canvas.at(7, 9), [4, 5, 6, 255]);
    }
}
