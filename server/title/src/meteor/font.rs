//! Lettering: strokes on a 4 × 6 grid, turned into a distance field at start, so that text is crisp at
//! any size and can glow.

/// A cell of the atlas in px, and cells per row.
const CELL_W: usize = 32;
const CELL_H: usize = 48;
const COLUMNS: usize = 8;
const ROWS: usize = 6;
/// Size of the atlas in px.
pub(crate) const ATLAS_W: usize = CELL_W * COLUMNS;
pub(crate) const ATLAS_H: usize = CELL_H * ROWS;
/// Grid units to px, and where the grid begins in its cell.
const UNIT_PX: f32 = 5.0;
const MARGIN_X: f32 = 1.2;
const MARGIN_Y: f32 = 1.8;
/// The field falls from 1 on a stroke to 0 at this many grid units.
const REACH: f32 = 1.1;

/// Width and height of a glyph's cell, and the step to the next, relative to the letter height.
pub(crate) const CELL_RATIO: f32 = (CELL_W as f32 / UNIT_PX) / 6.0;
pub(crate) const CELL_TALL: f32 = (CELL_H as f32 / UNIT_PX) / 6.0;
pub(crate) const ADVANCE: f32 = 5.6 / 6.0;

/// The glyph of a ship, as shown for each life.
pub(crate) const SHIP_GLYPH: char = '^';

/// Glyphs: strokes apart by spaces, each a line through points of two digits, x (0..=4) and y (0..=6,
/// downwards).
const GLYPHS: [(char, &str); 45] = [
    ('A', "0602204246 0444"),
    ('B', "003041423303 334445360600"),
    ('C', "4130100105163645"),
    ('D', "00304145360600"),
    ('E', "40000646 0333"),
    ('F', "400006 0333"),
    ('G', "41301001051636454323"),
    ('H', "0006 4046 0343"),
    ('I', "1030 2026 1636"),
    ('J', "404536160504"),
    ('K', "0006 400346"),
    ('L', "000646"),
    ('M', "0600234046"),
    ('N', "06004640"),
    ('O', "103041453616050110"),
    ('P', "06003041423303"),
    ('Q', "103041453616050110 2446"),
    ('R', "06003041423303 2346"),
    ('S', "413010010213334445361605"),
    ('T', "0040 2026"),
    ('U', "000516364540"),
    ('V', "002640"),
    ('W', "0016233640"),
    ('X', "0046 4006"),
    ('Y', "002340 2326"),
    ('Z', "00400646"),
    ('0', "103041453616050110 1432"),
    ('1', "112026 1636"),
    ('2', "01103041420646"),
    ('3', "0110304142334445361605 1333"),
    ('4', "36300444"),
    ('5', "400003334445361605"),
    ('6', "4130100105163645443303"),
    ('7', "004016"),
    ('8', "103041423313020110 3344453616050413"),
    ('9', "4313020110304145361605"),
    ('-', "1333"),
    ('.', "2626"),
    (':', "2222 2525"),
    ('!', "2024 2626"),
    ('x', "0246 4206"),
    ('/', "4006"),
    ('+', "2125 0343"),
    (SHIP_GLYPH, "20462506201320"),
    ('_', "0343"),
];

/// Place of a character in the atlas: left, top, width, height in 0..=1; none for spaces and what has
/// no glyph.
pub(crate) fn cell(character: char) -> Option<[f32; 4]> {
    let index = GLYPHS.iter().position(|(known, _)| *known == character)?;
    let (column, row) = (index % COLUMNS, index / COLUMNS);
    let (w, h) = (1.0 / COLUMNS as f32, 1.0 / ROWS as f32);
    Some([column as f32 * w, row as f32 * h, w, h])
}

/// Width of a line in units of its letter height.
pub(crate) fn line_width(text: &str) -> f32 {
    text.chars().count() as f32 * ADVANCE
}

/// The atlas: one byte per px, 255 on a stroke, 0 far from any.
pub(crate) fn atlas() -> Vec<u8> {
    let mut pixels = vec![0; ATLAS_W * ATLAS_H];
    for (index, (_, strokes)) in GLYPHS.iter().enumerate() {
        let segments = segments(strokes);
        let (left, top) = (index % COLUMNS * CELL_W, index / COLUMNS * CELL_H);
        for i in 0..CELL_W * CELL_H {
            let (px, py) = (i % CELL_W, i / CELL_W);
            let x = (px as f32 + 0.5) / UNIT_PX - MARGIN_X;
            let y = (py as f32 + 0.5) / UNIT_PX - MARGIN_Y;
            let near = segments.iter().map(|s| distance(*s, x, y)).fold(f32::MAX, f32::min);
            pixels[(top + py) * ATLAS_W + left + px] = ((1.0 - near / REACH).max(0.0) * 255.0) as u8;
        }
    }
    pixels
}

type Segment = [f32; 4];

fn segments(strokes: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    for stroke in strokes.split(' ') {
        let numbers: Vec<f32> = stroke.bytes().map(|digit| f32::from(digit - b'0')).collect();
        let points: Vec<_> = numbers.chunks_exact(2).collect();
        segments.extend(points.windows(2).map(|w| [w[0][0], w[0][1], w[1][0], w[1][1]]));
    }
    segments
}

fn distance([ax, ay, bx, by]: Segment, x: f32, y: f32) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy).max(1e-6);
    let t = along.clamp(0.0, 1.0);
    ((x - ax - dx * t).powi(2) + (y - ay - dy * t).powi(2)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glyph_is_well_formed_drawn_and_apart_from_its_neighbours() {
        let atlas = atlas();
        for (index, (character, strokes)) in GLYPHS.iter().enumerate() {
            assert!(strokes.bytes().all(|b| b == b' ' || (b'0'..=b'6').contains(&b)), "{character}");
            assert!(
                strokes.split(' ').all(|stroke| stroke.len() >= 4 && stroke.len() % 2 == 0),
                "{character}"
            );
            let (left, top) = (index % COLUMNS * CELL_W, index / COLUMNS * CELL_H);
            let row = |y: usize| &atlas[(top + y) * ATLAS_W + left..][..CELL_W];
            assert!((0..CELL_H).any(|y| row(y).iter().any(|v| *v > 200)), "{character} is empty");
            assert!(row(0).iter().chain(row(CELL_H - 1)).all(|v| *v == 0), "{character} touches its cell");
            assert!((0..CELL_H).all(|y| row(y)[0] == 0 && row(y)[CELL_W - 1] == 0), "{character}");
        }
        assert!(cell('A').is_some() && cell(' ').is_none() && cell('é').is_none());
    }
}
