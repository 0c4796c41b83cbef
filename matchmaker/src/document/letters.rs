//! How wide letters are, and how words become lines.

/// Widths of the letters from space to tilde in Helvetica, in thousandths of the size (Adobe's font metrics). The bold
/// ones of digits and points are the same, so that columns of numbers end where they should.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
/// Of the letters that are not listed: no small letter of Latin-1 is wider, and capitals are rare.
const OTHER: u16 = 611;

/// A text's width, in sizes of its font.
pub(super) fn width(text: &str) -> f32 {
    thousandths(text) as f32 / 1000.0
}

fn thousandths(text: &str) -> u32 {
    let of = |letter: char| {
        let at = u32::from(letter).checked_sub(0x20).and_then(|at| WIDTHS.get(at as usize));
        u32::from(*at.unwrap_or(&OTHER))
    };
    text.chars().map(of).sum()
}

/// Lines that are no wider than `room`, broken between words; a longer word is broken anywhere.
pub(super) fn wrap(text: &str, room: f32) -> Vec<String> {
    let room = (room * 1000.0).round() as u32;
    let fits = |line: &str, more: &str| line.is_empty() || thousandths(line) + thousandths(more) <= room;
    let mut lines = vec![];
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !fits(&line, &format!(" {word}")) {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for letter in word.chars() {
            if !fits(&line, letter.encode_utf8(&mut [0; 4])) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// As the fonts' encoding has it.
pub(super) fn latin_1(text: &str) -> Vec<u8> {
    let byte = |letter| {
        let byte = u8::try_from(u32::from(letter)).ok();
        byte.filter(|byte| matches!(byte, 0x20..=0x7e | 0xa0..)).unwrap_or(b'?')
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_in_words_that_are_too_long() {
        let room = width("one two");
        assert_eq!(wrap("one two three", room), ["one two", "three"]);
        assert_eq!(wrap("one twoo", room), ["one", "twoo"]);
        assert_eq!(wrap("  ", room), [""; 0]);
        let broken = wrap(&"a".repeat(40), room);
        assert_eq!(broken.concat(), "a".repeat(40));
        assert!(broken.len() > 1 && broken.iter().all(|line| width(line) <= room));
    }

    #[test]
    fn strange_letters_are_question_marks() {
        assert_eq!(latin_1("Café 日\n"), b"Caf\xe9 ??".to_vec());
    }
}
