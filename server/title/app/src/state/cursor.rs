//! The pointer's look: it is shown by the player's page, never in the picture.

use smithay::{
    input::{
        Seat,
        pointer::{CursorImageStatus, CursorImageSurfaceData},
    },
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    wayland::compositor::with_states,
};

use super::State;
use crate::{Content, Cursor, Pixels, limits};

/// What the title wants the pointer to look like.
pub(crate) struct CursorState {
    status: CursorImageStatus,
    /// The picture that was converted last.
    converted: Option<(usize, (i32, i32))>,
}

impl Default for CursorState {
    fn default() -> Self {
        Self { status: CursorImageStatus::default_named(), converted: None }
    }
}

impl CursorState {
    pub(crate) fn forget(&mut self, surface: &WlSurface) {
        if matches!(&self.status, CursorImageStatus::Surface(own) if own == surface) {
            self.status = CursorImageStatus::default_named();
            self.converted = None;
        }
    }
}

impl State {
    pub(crate) fn cursor_image_changed(&mut self, _: &Seat<Self>, status: CursorImageStatus) {
        self.cursor.status = status;
        self.cursor.converted = None;
    }

    /// Brings the page's cursor up to date, converting a picture only when it is new.
    pub(crate) fn refresh_cursor(&mut self) {
        match &self.cursor.status {
            CursorImageStatus::Hidden => self.outlet.cursor = Cursor::Hidden,
            CursorImageStatus::Named(icon) => self.outlet.cursor = Cursor::Named(icon.name()),
            CursorImageStatus::Surface(surface) => {
                let Some(view) = self.surfaces.get(surface) else { return };
                let hot = hotspot(surface);
                let content = view.picture.as_ref().map(|picture| &picture.content);
                let Some(Content::Shm(pixels)) = content else {
                    self.outlet.cursor = Cursor::Hidden;
                    return;
                };
                let mark = Some((std::sync::Arc::as_ptr(pixels) as usize, hot));
                if self.cursor.converted != mark {
                    self.outlet.cursor = picture(pixels, hot);
                    self.cursor.converted = mark;
                }
            }
        }
    }
}

fn hotspot(surface: &WlSurface) -> (i32, i32) {
    with_states(surface, |states| {
        let data = states.data_map.get::<CursorImageSurfaceData>()?;
        let hotspot = data.lock().ok()?.hotspot;
        Some((hotspot.x, hotspot.y))
    })
    .unwrap_or_default()
}

/// From premultiplied BGRA to straight RGBA. Larger pictures than a page can show are cut.
fn picture(pixels: &Pixels, hot: (i32, i32)) -> Cursor {
    let edge = limits::CURSOR_EDGE as u32;
    let (width, height) = (pixels.width().min(edge), pixels.height().min(edge));
    let mut rgba = Vec::with_capacity(width as usize * height as usize * 4);
    for row in pixels.data().chunks_exact(pixels.stride()).take(height as usize) {
        for pixel in row.chunks_exact(4).take(width as usize) {
            let alpha = u32::from(pixel[3]);
            let straight = |c: u8| match alpha {
                0 => 0,
                alpha => ((u32::from(c) * 255 + alpha / 2) / alpha).min(255) as u8,
            };
            rgba.extend([straight(pixel[2]), straight(pixel[1]), straight(pixel[0]), pixel[3]]);
        }
    }
    let hot_x = hot.0.clamp(0, width as i32 - 1);
    let hot_y = hot.1.clamp(0, height as i32 - 1);
    if rgba.chunks_exact(4).all(|pixel| pixel[3] == 0) {
        return Cursor::Hidden;
    }
    Cursor::Picture { width, height, hot_x, hot_y, rgba }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_straight_rgba_and_an_empty_one_is_hidden() {
        let half = Pixels::for_tests(1, 1, vec![0, 64, 128, 128]);
        let Cursor::Picture { rgba, hot_x, .. } = picture(&half, (5, -3)) else { panic!("no picture") };
        assert_eq!((rgba, hot_x), (vec![255, 128, 0, 128], 0));
        assert_eq!(picture(&Pixels::for_tests(1, 1, vec![0; 4]), (0, 0)), Cursor::Hidden);
    }

    #[test]
    fn a_large_cursor_is_cut_to_what_pages_show() {
        let large = Pixels::for_tests(300, 2, vec![255; 300 * 2 * 4]);
        let Cursor::Picture { width, height, rgba, .. } = picture(&large, (0, 0)) else {
            panic!("no picture")
        };
        assert_eq!((width, height, rgba.len()), (256, 2, 256 * 2 * 4));
    }
}
