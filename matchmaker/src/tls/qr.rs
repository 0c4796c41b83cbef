//! An address as a picture that a phone's camera reads off a terminal.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// `text` as a QR code in half blocks, drawn light on dark as terminals are. `None` where it is too long.
pub fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    // The renderer draws what it calls dark with the foreground colour, which is light on a terminal.
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_square_with_a_quiet_border() {
        let drawn = qr_code("https://192.168.1.2:8643/").unwrap();
        let lines: Vec<_> = drawn.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|block| block == '█'), "the border is light");
    }

    #[test]
    fn what_no_code_can_hold_is_refused() {
        assert_eq!(qr_code(&"x".repeat(8000)), None);
    }
}
