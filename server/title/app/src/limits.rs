//! What a title may take of us. Each bound is far above what a game needs and far below what would hurt
//! the session worker.

/// Connections at once; a game and its launcher need a handful.
pub(crate) const CLIENTS: usize = 64;
/// Surfaces of all clients together: windows, menus, subsurfaces, cursors.
pub(crate) const SURFACES: usize = 256;
/// Edge of one buffer in pixels: what GPUs of today can sample.
pub(crate) const BUFFER_EDGE: i32 = 8192;
/// Bytes of copied pictures alive at once: fifteen pictures of 8-bit 4K.
pub(crate) const PICTURE_BYTES: usize = 512 << 20;
/// Frame callbacks or presentation feedbacks of one surface that wait at once; a client needs one or two.
pub(crate) const CALLBACKS: usize = 256;
/// Text of the clipboard, both ways.
pub(crate) const CLIPBOARD_BYTES: usize = 1 << 20;
/// Transfers of the clipboard under way at once.
pub(crate) const TRANSFERS: usize = 16;
/// Pictures at once whose drawing on the GPU has not finished; a client has a handful of buffers.
pub(crate) const FENCES: usize = 64;
/// Characters that one [`crate::Input::Text`] may type.
pub(crate) const TEXT_CHARS: usize = 4096;
/// Edge of a cursor picture: the largest that browsers accept may be smaller, none accepts more.
pub(crate) const CURSOR_EDGE: i32 = 256;
/// X11 windows known at once.
pub(crate) const X11_WINDOWS: usize = 512;
/// Characters of a window's title that are passed on.
pub(crate) const TITLE_CHARS: usize = 256;
/// Events that wait for the session to read them.
pub(crate) const EVENTS: usize = 256;
