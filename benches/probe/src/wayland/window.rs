//! Windows: the game's, dialogs and pop-ups.

use super::Manners;
use super::surface::{Buffers, allocate};
use super::{Client, Happening};
use anyhow::{Context, Result};
use nearframe_probe::canvas::{Canvas, Rect};
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_shm::Format;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, QueueHandle, delegate_noop};
use wayland_protocols::xdg::shell::client::xdg_popup::{self, XdgPopup};
use wayland_protocols::xdg::shell::client::xdg_positioner::{Anchor, Gravity, XdgPositioner};
use wayland_protocols::xdg::shell::client::xdg_surface::{self, XdgSurface};
use wayland_protocols::xdg::shell::client::xdg_toplevel::{self, XdgToplevel};

/// Widest or highest picture that a compositor may ask for, in px.
const MAX_SIDE: i32 = 8192;

/// A window of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowId(u32);

/// Where and how large a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The whole output, as large as the compositor says.
    FullScreen,
    /// A window of this size in px.
    Fixed { width: usize, height: usize },
    /// A dialog of this size above another window.
    Dialog { parent: WindowId, width: usize, height: usize },
    /// A pop-up menu that covers this part of another window and takes the input.
    PopUp { parent: WindowId, rect: Rect },
}

enum Role {
    Toplevel(XdgToplevel),
    PopUp(XdgPopup),
}

/// A window and its pictures.
pub(super) struct Window {
    pub(super) surface: WlSurface,
    shell: XdgSurface,
    role: Role,
    place: Place,
    canvas: Canvas,
    buffers: Buffers,
    /// Size that the compositor named last.
    named: (i32, i32),
    configured: bool,
}

impl Drop for Window {
    fn drop(&mut self) {
        match &self.role {
            Role::Toplevel(toplevel) => toplevel.destroy(),
            Role::PopUp(popup) => popup.destroy(),
        }
        self.shell.destroy();
        self.surface.destroy();
    }
}

impl Client {
    /// Opens a window; its first [`Happening::Frame`] follows when the compositor is ready for it.
    pub(crate) fn open(&mut self, place: Place) -> Result<WindowId> {
        self.last_window += 1;
        let id = WindowId(self.last_window);
        let surface = self.globals.compositor.create_surface(&self.queue, ());
        let shell = self.globals.shell.get_xdg_surface(&surface, &self.queue, id);
        let role = match place {
            Place::PopUp { parent, rect } => Role::PopUp(self.popup(&shell, id, parent, rect)?),
            _ => Role::Toplevel(self.toplevel(&shell, id, place)),
        };
        surface.commit();
        let (width, height) = match place {
            Place::FullScreen => self.size,
            Place::Fixed { width, height } | Place::Dialog { width, height, .. } => (width, height),
            Place::PopUp { rect, .. } => (rect.w, rect.h),
        };
        let window = Window {
            surface,
            shell,
            role,
            place,
            canvas: Canvas::new(width, height),
            buffers: Buffers::new(height),
            named: (0, 0),
            configured: false,
        };
        self.windows.insert(id, window);
        Ok(id)
    }

    fn toplevel(&self, shell: &XdgSurface, id: WindowId, place: Place) -> XdgToplevel {
        let toplevel = shell.get_toplevel(&self.queue, id);
        toplevel.set_app_id("nearframe-probe".to_owned());
        match place {
            Place::FullScreen => {
                toplevel.set_title("Probe".to_owned());
                toplevel.set_fullscreen(None);
            }
            Place::Fixed { width, height } | Place::Dialog { width, height, .. } => {
                toplevel.set_title("Probe: a small window".to_owned());
                toplevel.set_min_size(width as i32, height as i32);
                toplevel.set_max_size(width as i32, height as i32);
            }
            Place::PopUp { .. } => {}
        }
        if let Place::Dialog { parent, .. } = place
            && let Some(Role::Toplevel(parent)) = self.windows.get(&parent).map(|window| &window.role)
        {
            toplevel.set_parent(Some(parent));
        }
        toplevel
    }

    fn popup(&self, shell: &XdgSurface, id: WindowId, parent: WindowId, rect: Rect) -> Result<XdgPopup> {
        let parent = self.windows.get(&parent).context("the pop-up's window is gone")?;
        let positioner = self.globals.shell.create_positioner(&self.queue, ());
        positioner.set_size(rect.w as i32, rect.h as i32);
        positioner.set_anchor_rect(rect.x as i32, rect.y as i32, 1, 1);
        positioner.set_anchor(Anchor::TopLeft);
        positioner.set_gravity(Gravity::BottomRight);
        let popup = shell.get_popup(Some(&parent.shell), &positioner, &self.queue, id);
        positioner.destroy();
        popup.grab(&self.globals.seat, self.pressed);
        Ok(popup)
    }

    /// Closes a window.
    pub(crate) fn close(&mut self, id: WindowId) {
        self.windows.remove(&id);
    }

    /// What a window shows next.
    pub(crate) fn canvas(&mut self, id: WindowId) -> Option<&mut Canvas> {
        self.windows.get_mut(&id).map(|window| &mut window.canvas)
    }

    /// Shows the window's canvas and asks to be told when the next picture is due.
    pub(crate) fn show(&mut self, id: WindowId) -> Result<()> {
        self.present(id, Manners::Polite, true)
    }

    /// Shows the window's canvas at once, whatever the compositor thinks of it.
    pub(crate) fn show_unasked(&mut self, id: WindowId, manners: Manners) -> Result<()> {
        self.present(id, manners, false)
    }

    fn present(&mut self, id: WindowId, manners: Manners, callback: bool) -> Result<()> {
        let Some(window) = self.windows.get_mut(&id).filter(|window| window.configured) else {
            return Ok(());
        };
        if callback {
            window.surface.frame(&self.queue, id);
        }
        let (shm, queue) = (&self.globals.shm, &self.queue);
        let fresh = |canvas: &Canvas| allocate(shm, queue, canvas, Format::Xrgb8888);
        // Without a free buffer the commit still asks for the next turn.
        window.buffers.attach(&mut window.canvas, &window.surface, manners, fresh)?;
        window.surface.commit();
        Ok(())
    }

    /// Takes the size that was named, and starts drawing at the first time.
    fn configure(&mut self, id: WindowId, serial: u32) {
        let size = self.size;
        let Some(window) = self.windows.get_mut(&id) else { return };
        window.shell.ack_configure(serial);
        if window.place == Place::FullScreen {
            let side = |named: i32, own: usize| match named {
                1..=MAX_SIDE => named as usize,
                _ => own,
            };
            let (width, height) = (side(window.named.0, size.0), side(window.named.1, size.1));
            if (width, height) != (window.canvas.width(), window.canvas.height()) {
                window.canvas = Canvas::new(width, height);
                window.buffers = Buffers::new(height);
            }
        }
        if !std::mem::replace(&mut window.configured, true) {
            self.tell(Happening::Frame(id));
        }
    }
}

impl Dispatch<XdgSurface, WindowId> for Client {
    fn event(
        client: &mut Self,
        _: &XdgSurface,
        event: xdg_surface::Event,
        id: &WindowId,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            client.configure(*id, serial);
        }
    }
}

impl Dispatch<XdgToplevel, WindowId> for Client {
    fn event(
        client: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        id: &WindowId,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            xdg_toplevel::Event::Configure { width, height, .. } => {
                if let Some(window) = client.windows.get_mut(id) {
                    window.named = (width, height);
                }
            }
            xdg_toplevel::Event::Close => client.tell(Happening::Closed(*id)),
            _ => {}
        }
    }
}

impl Dispatch<XdgPopup, WindowId> for Client {
    fn event(
        client: &mut Self,
        _: &XdgPopup,
        event: xdg_popup::Event,
        id: &WindowId,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_popup::Event::PopupDone = event {
            client.tell(Happening::Closed(*id));
        }
    }
}

impl Dispatch<WlCallback, WindowId> for Client {
    fn event(
        client: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        id: &WindowId,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event
            && client.windows.contains_key(id)
        {
            client.tell(Happening::Frame(*id));
        }
    }
}

delegate_noop!(Client: ignore WlSurface);
delegate_noop!(Client: XdgPositioner);
