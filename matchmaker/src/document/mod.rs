//! A document of words and tables as PDF (ISO 32000-1): A4, the fonts that every reader has, nothing embedded.
//!
//! Deliberately without styles of its own making: titles, headings, sentences that wrap, and tables whose head stands
//! again on every page that their rows go on to. Letters outside of Latin-1, which those fonts lack, become question
//! marks.

mod letters;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use letters::{latin_1, width, wrap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use std::io::Write;

/// A4, in points.
const PAGE: (f32, f32) = (595.28, 841.89);
const MARGIN: f32 = 42.0;
/// What a line of a page has room for, in points.
pub(crate) const ROOM: f32 = PAGE.0 - 2.0 * MARGIN;
/// The lowest baseline of what is written: the page's number is below it.
const LOWEST: f32 = MARGIN + 18.0;
/// From one baseline to the next, in sizes of the font.
const LEADING: f32 = 1.35;
/// Between two columns, in points.
const GAP: f32 = 6.0;

const TITLE: Face = Face { font: BOLD, size: 18.0 };
const HEADING: Face = Face { font: BOLD, size: 11.0 };
const TEXT: Face = Face { font: PLAIN, size: 9.0 };
const HEAD: Face = Face { font: BOLD, size: 7.5 };
const ROW: Face = Face { font: PLAIN, size: 7.5 };
const SUM: Face = HEAD;
const FOOT: Face = Face { font: PLAIN, size: 7.0 };

const PLAIN: Name<'static> = Name(b"P");
const BOLD: Name<'static> = Name(b"B");
const FONTS: [(Name<'static>, Name<'static>); 2] =
    [(PLAIN, Name(b"Helvetica")), (BOLD, Name(b"Helvetica-Bold"))];

/// A font and its size in points.
#[derive(Clone, Copy)]
struct Face {
    font: Name<'static>,
    size: f32,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// What stands above it.
    pub(crate) name: &'static str,
    /// Its share of the page's width, in thousandths.
    pub(crate) permille: u16,
    /// Numbers stand at the right.
    pub(crate) is_number: bool,
}

impl Column {
    /// A column of words.
    pub(crate) const fn words(name: &'static str, permille: u16) -> Self {
        Self { name, permille, is_number: false }
    }

    /// A column of numbers.
    pub(crate) const fn numbers(name: &'static str, permille: u16) -> Self {
        Self { name, permille, is_number: true }
    }
}

/// A document that is being written, from its top on.
pub(crate) struct Document {
    name: String,
    pages: Vec<Content>,
    /// The last baseline on the last page.
    y: f32,
}

impl Document {
    /// An empty one with this name, which stands at the foot of each page.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), pages: vec![Content::new()], y: PAGE.1 - MARGIN }
    }

    /// The document's name, large.
    pub(crate) fn title(&mut self, text: &str) {
        self.line(TITLE, text);
        self.y -= 4.0;
    }

    /// A part's name, which stays with what it heads.
    pub(crate) fn heading(&mut self, text: &str) {
        self.y -= HEADING.size;
        if self.y < LOWEST + 6.0 * HEADING.size {
            self.turn();
        }
        self.line(HEADING, text);
    }

    /// A sentence, in as many lines as it takes.
    pub(crate) fn text(&mut self, text: &str) {
        for line in wrap(text, ROOM / TEXT.size) {
            self.line(TEXT, &line);
        }
    }

    /// A table. Rows have as many cells as there are columns; what is too wide for its column is cut.
    pub(crate) fn table(&mut self, columns: &[Column], rows: &[Vec<String>], sums: &[Vec<String>]) {
        self.y -= 3.0;
        if self.y < LOWEST + 3.0 * LEADING * ROW.size {
            self.turn();
        }
        self.head(columns);
        for (cells, face) in rows.iter().map(|row| (row, ROW)).chain(sums.iter().map(|row| (row, SUM))) {
            if self.y - LEADING * face.size < LOWEST {
                self.turn();
                self.head(columns);
            }
            self.row(face, columns, cells);
        }
        self.y -= 3.0;
    }

    fn head(&mut self, columns: &[Column]) {
        let names: Vec<String> = columns.iter().map(|column| column.name.to_owned()).collect();
        self.row(HEAD, columns, &names);
        self.y -= 3.0;
        let y = self.y;
        self.page().set_line_width(0.5).move_to(MARGIN, y).line_to(PAGE.0 - MARGIN, y).stroke();
    }

    fn row(&mut self, face: Face, columns: &[Column], cells: &[String]) {
        self.y -= LEADING * face.size;
        let (y, mut x) = (self.y, MARGIN);
        for (column, cell) in columns.iter().zip(cells) {
            let room = ROOM * f32::from(column.permille) / 1000.0;
            let mut cell = cell.clone();
            while width(&cell) * face.size > room - GAP && cell.pop().is_some() {}
            let used = width(&cell) * face.size;
            let at = if column.is_number { x + room - GAP - used } else { x };
            put(self.page(), face, (at, y), &cell);
            x += room;
        }
    }

    /// Writes a line, on the next page where this one is full.
    fn line(&mut self, face: Face, text: &str) {
        if self.y - LEADING * face.size < LOWEST {
            self.turn();
        }
        self.y -= LEADING * face.size;
        let y = self.y;
        put(self.page(), face, (MARGIN, y), text);
    }

    fn turn(&mut self) {
        self.pages.push(Content::new());
        self.y = PAGE.1 - MARGIN;
    }

    fn page(&mut self) -> &mut Content {
        self.pages.last_mut().expect("a document begins with a page")
    }

    /// Its bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        let Self { name, pages, .. } = self;
        let count = pages.len();
        let (catalog, tree, info) = (Ref::new(1), Ref::new(2), Ref::new(3));
        // Objects are numbered by i32; a document of 2^29 pages does not fit into memory before.
        let font = |at: usize| Ref::new(4 + at as i32);
        let page = |at: usize| Ref::new(4 + FONTS.len() as i32 + 2 * at as i32);
        let content = |at: usize| Ref::new(5 + FONTS.len() as i32 + 2 * at as i32);
        let mut pdf = Pdf::new();
        pdf.set_version(1, 7);
        pdf.catalog(catalog).pages(tree).lang(TextStr("en"));
        pdf.document_info(info).title(TextStr(&name)).producer(TextStr("nearframe"));
        pdf.pages(tree).kids((0..count).map(page)).count(count as i32);
        for (at, (_, base)) in FONTS.iter().enumerate() {
            pdf.type1_font(font(at)).base_font(*base).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (at, mut drawn) in pages.into_iter().enumerate() {
            put(&mut drawn, FOOT, (MARGIN, MARGIN), &format!("{name}, page {} of {count}", at + 1));
            let mut sheet = pdf.page(page(at));
            sheet.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(content(at));
            let mut resources = sheet.resources();
            let mut fonts = resources.fonts();
            for (at, (name, _)) in FONTS.iter().enumerate() {
                fonts.pair(*name, font(at));
            }
            fonts.finish();
            resources.finish();
            sheet.finish();
            pdf.stream(content(at), &compress(&drawn.finish())).filter(Filter::FlateDecode);
        }
        pdf.finish()
    }
}

fn put(content: &mut Content, face: Face, (x, y): (f32, f32), text: &str) {
    let text = latin_1(text);
    content.begin_text().set_font(face.font, face.size).next_line(x, y).show(Str(&text)).end_text();
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes what is written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use std::io::Read;

    /// The drawing of each page, read back out of the bytes.
    fn drawings(pdf: &[u8]) -> Vec<String> {
        let find = |from: usize, what: &[u8]| {
            pdf[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
        };
        let (mut at, mut found) = (0, Vec::new());
        while let Some(begins) = find(at, b"stream\n") {
            let ends = find(begins, b"\nendstream").unwrap();
            let mut drawing = Vec::new();
            ZlibDecoder::new(&pdf[begins + 7..ends]).read_to_end(&mut drawing).unwrap();
            found.push(drawing.into_iter().map(char::from).collect());
            at = ends + 10;
        }
        found
    }

    #[test]
    fn a_table_goes_on_under_its_head_and_no_row_is_lost() {
        let columns = [Column::words("Name", 500), Column::numbers("Amount", 500)];
        let rows: Vec<_> = (0..200).map(|n| vec![format!("row {n}."), n.to_string()]).collect();
        let mut document = Document::new("Statement");
        document.title("Statement");
        document.table(&columns, &rows, &[vec!["all".into(), "19900".into()]]);
        let pages = drawings(&document.finish());
        assert_eq!(pages.len(), 3);
        for (at, page) in pages.iter().enumerate() {
            assert!(page.contains("(Name) Tj") && page.contains("(Amount) Tj"), "page {at}");
            assert!(page.contains(&format!(", page {} of 3", at + 1)), "page {at}");
        }
        let all = pages.concat();
        assert!((0..200).all(|n| all.matches(&format!("(row {n}.) Tj")).count() == 1), "each row once");
        assert_eq!(all.matches("(19900) Tj").count(), 1);
    }

    #[test]
    fn what_is_too_wide_is_cut_in_a_table_and_goes_on_in_a_sentence() {
        let mut document = Document::new("a");
        let long = "word ".repeat(60);
        document.text(&long);
        document.table(&[Column::words("x", 100)], &[vec!["W".repeat(100)]], &[]);
        let [page] = &drawings(&document.finish())[..] else { panic!("one page") };
        assert_eq!(page.matches("word").count(), 60);
        assert!(page.matches("Tj").count() > 4 && !page.contains(&"W".repeat(8)), "{page}");
    }

    #[test]
    fn an_empty_document_has_a_page() {
        let pdf = Document::new("a").finish();
        assert!(pdf.starts_with(b"%PDF-1.7") && pdf.ends_with(b"%%EOF"));
        assert_eq!(drawings(&pdf).len(), 1);
    }
}
