//! A small Wayland client that does what a test tells it and writes down what it is told.

use std::{
    io::Write,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use wayland_client::{
    Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum, delegate_noop,
    globals::{GlobalList, GlobalListContents, registry_queue_init},
    protocol::{
        wl_buffer::WlBuffer, wl_callback, wl_callback::WlCallback, wl_compositor::WlCompositor,
        wl_data_device, wl_data_device::WlDataDevice, wl_data_device_manager::WlDataDeviceManager,
        wl_data_offer, wl_data_offer::WlDataOffer, wl_data_source, wl_data_source::WlDataSource, wl_keyboard,
        wl_keyboard::WlKeyboard, wl_pointer, wl_pointer::WlPointer, wl_registry::WlRegistry, wl_seat::WlSeat,
        wl_shm, wl_shm::WlShm, wl_shm_pool::WlShmPool, wl_surface::WlSurface, wl_touch, wl_touch::WlTouch,
    },
};
use wayland_protocols::{
    wp::{
        cursor_shape::v1::client::{
            wp_cursor_shape_device_v1::WpCursorShapeDeviceV1,
            wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
        },
        pointer_constraints::zv1::client::{
            zwp_confined_pointer_v1::ZwpConfinedPointerV1, zwp_locked_pointer_v1,
            zwp_locked_pointer_v1::ZwpLockedPointerV1, zwp_pointer_constraints_v1::ZwpPointerConstraintsV1,
        },
        relative_pointer::zv1::client::{
            zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1, zwp_relative_pointer_v1,
            zwp_relative_pointer_v1::ZwpRelativePointerV1,
        },
        text_input::zv3::client::{
            zwp_text_input_manager_v3::ZwpTextInputManagerV3, zwp_text_input_v3,
            zwp_text_input_v3::ZwpTextInputV3,
        },
    },
    xdg::shell::client::{
        xdg_popup, xdg_popup::XdgPopup, xdg_positioner::XdgPositioner, xdg_surface, xdg_surface::XdgSurface,
        xdg_toplevel, xdg_toplevel::XdgToplevel, xdg_wm_base, xdg_wm_base::XdgWmBase,
    },
};

/// What the client has been told.
#[derive(Debug, Default)]
pub struct Heard {
    pub keys: Vec<(u32, bool)>,
    pub keymaps: usize,
    pub focus: Option<WlSurface>,
    pub buttons: Vec<(u32, bool)>,
    pub positions: Vec<(f64, f64)>,
    pub relative: Vec<(f64, f64)>,
    pub wheel: Vec<i32>,
    pub touches: Vec<(i32, &'static str)>,
    pub entered: u32,
    pub locked: bool,
    pub text: Vec<String>,
    pub text_entered: bool,
    pub size: (i32, i32),
    pub popup: Option<(i32, i32, i32, i32)>,
    pub popup_done: bool,
    pub called: usize,
    pub released: usize,
    /// What this client has copied.
    pub copied: String,
    pub offer: Option<WlDataOffer>,
}

/// A connection with everything bound.
pub struct Client {
    pub connection: Connection,
    pub queue: EventQueue<Heard>,
    pub handle: QueueHandle<Heard>,
    pub heard: Heard,
    pub globals: GlobalList,
    pub compositor: WlCompositor,
    pub shm: WlShm,
    pub shell: XdgWmBase,
    pub seat: WlSeat,
    pub pointer: WlPointer,
}

/// A toplevel of the client.
#[derive(Clone)]
pub struct Window {
    pub surface: WlSurface,
    pub xdg: XdgSurface,
    pub toplevel: XdgToplevel,
}

impl Client {
    pub fn connect(socket: &Path) -> Self {
        let connection = Connection::from_socket(UnixStream::connect(socket).unwrap()).unwrap();
        let (globals, mut queue) = registry_queue_init::<Heard>(&connection).unwrap();
        let handle = queue.handle();
        let compositor = globals.bind(&handle, 4..=6, ()).unwrap();
        let shm = globals.bind(&handle, 1..=1, ()).unwrap();
        let shell = globals.bind(&handle, 3..=5, ()).unwrap();
        let seat: WlSeat = globals.bind(&handle, 8..=9, ()).unwrap();
        let pointer = seat.get_pointer(&handle, ());
        seat.get_keyboard(&handle, ());
        seat.get_touch(&handle, ());
        let mut heard = Heard::default();
        queue.roundtrip(&mut heard).unwrap();
        Self { connection, queue, handle, heard, globals, compositor, shm, shell, seat, pointer }
    }

    /// Everything sent has been read by the compositor, and everything it said before has been heard.
    pub fn roundtrip(&mut self) {
        self.queue.roundtrip(&mut self.heard).unwrap();
    }

    /// A toplevel that shows one colour, BGRA.
    pub fn window(&mut self, size: (i32, i32), colour: [u8; 4], parent: Option<&Window>) -> Window {
        let surface = self.compositor.create_surface(&self.handle, ());
        let xdg = self.shell.get_xdg_surface(&surface, &self.handle, ());
        let toplevel = xdg.get_toplevel(&self.handle, ());
        toplevel.set_parent(parent.map(|parent| &parent.toplevel));
        surface.commit();
        self.roundtrip();
        let window = Window { surface, xdg, toplevel };
        self.draw(&window.surface, size, colour);
        self.roundtrip();
        window
    }

    /// A menu at a place of the window.
    pub fn popup(&mut self, parent: &Window, at: (i32, i32), size: (i32, i32), colour: [u8; 4]) -> WlSurface {
        let positioner: XdgPositioner = self.shell.create_positioner(&self.handle, ());
        positioner.set_size(size.0, size.1);
        positioner.set_anchor_rect(at.0, at.1, 1, 1);
        positioner.set_anchor(wayland_protocols::xdg::shell::client::xdg_positioner::Anchor::TopLeft);
        positioner.set_gravity(wayland_protocols::xdg::shell::client::xdg_positioner::Gravity::BottomRight);
        positioner.set_constraint_adjustment(
            wayland_protocols::xdg::shell::client::xdg_positioner::ConstraintAdjustment::SlideX
                | wayland_protocols::xdg::shell::client::xdg_positioner::ConstraintAdjustment::SlideY,
        );
        let surface = self.compositor.create_surface(&self.handle, ());
        let xdg = self.shell.get_xdg_surface(&surface, &self.handle, ());
        xdg.get_popup(Some(&parent.xdg), &positioner, &self.handle, ());
        surface.commit();
        self.roundtrip();
        self.draw(&surface, size, colour);
        self.roundtrip();
        surface
    }

    /// Shows one colour, without waiting for anything.
    pub fn draw(&self, surface: &WlSurface, size: (i32, i32), colour: [u8; 4]) {
        self.attach(surface, size, colour);
        surface.commit();
    }

    pub fn attach(&self, surface: &WlSurface, (width, height): (i32, i32), colour: [u8; 4]) {
        let (pool, file) = self.pool(width * height * 4);
        let data = colour.repeat((width * height) as usize);
        rustix::io::pwrite(&file, &data, 0).unwrap();
        let buffer =
            pool.create_buffer(0, width, height, width * 4, wl_shm::Format::Argb8888, &self.handle, ());
        pool.destroy();
        surface.attach(Some(&buffer), 0, 0);
        surface.damage_buffer(0, 0, width, height);
    }

    pub fn pool(&self, bytes: i32) -> (WlShmPool, rustix::fd::OwnedFd) {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, bytes as u64).unwrap();
        (self.shm.create_pool(file.as_fd(), bytes, &self.handle, ()), file)
    }

    pub fn bind<I>(&self) -> I
    where
        I: Proxy + 'static,
        Heard: Dispatch<I, ()>,
    {
        self.globals.bind(&self.handle, 1..=1, ()).unwrap()
    }

    /// Draws anew whenever it is called, as a game with vertical sync does, until told to stop.
    pub fn animate(mut self, window: Window, size: (i32, i32)) -> Animation {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = self.heard.called;
            for shade in (0..=u8::MAX).cycle() {
                window.surface.frame(&self.handle, ());
                self.draw(&window.surface, size, [shade, 0, 0, 255]);
                self.connection.flush().unwrap();
                while self.heard.called == seen {
                    if self.queue.blocking_dispatch(&mut self.heard).is_err() {
                        return;
                    }
                }
                seen = self.heard.called;
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Animation { stop, thread: Some(thread) }
    }
}

/// A client that animates on its own.
pub struct Animation {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Animation {
    /// Asks it to stop; it does so at its next callback.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
    pub fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Heard {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wayland_client::protocol::wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

/// Writes the body of a `Dispatch` of one event enum.
macro_rules! hear {
    ($object:ty, $event:ty, |$heard:ident, $proxy:ident, $what:ident| $body:block) => {
        impl Dispatch<$object, ()> for Heard {
            fn event(
                $heard: &mut Self,
                $proxy: &$object,
                $what: $event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                $body
            }
        }
    };
}

hear!(WlCallback, wl_callback::Event, |heard, _proxy, _event| {
    heard.called += 1;
});
hear!(XdgWmBase, xdg_wm_base::Event, |_heard, shell, event| {
    if let xdg_wm_base::Event::Ping { serial } = event {
        shell.pong(serial);
    }
});
hear!(XdgSurface, xdg_surface::Event, |_heard, surface, event| {
    if let xdg_surface::Event::Configure { serial } = event {
        surface.ack_configure(serial);
    }
});
hear!(XdgToplevel, xdg_toplevel::Event, |heard, _proxy, event| {
    if let xdg_toplevel::Event::Configure { width, height, .. } = event {
        heard.size = (width, height);
    }
});
hear!(XdgPopup, xdg_popup::Event, |heard, _proxy, event| {
    match event {
        xdg_popup::Event::Configure { x, y, width, height } => heard.popup = Some((x, y, width, height)),
        xdg_popup::Event::PopupDone => heard.popup_done = true,
        _ => {}
    }
});
hear!(WlKeyboard, wl_keyboard::Event, |heard, _proxy, event| {
    match event {
        wl_keyboard::Event::Key { key, state, .. } => {
            heard.keys.push((key, state == WEnum::Value(wl_keyboard::KeyState::Pressed)));
        }
        wl_keyboard::Event::Keymap { .. } => heard.keymaps += 1,
        wl_keyboard::Event::Enter { surface, .. } => heard.focus = Some(surface),
        wl_keyboard::Event::Leave { .. } => heard.focus = None,
        _ => {}
    }
});
hear!(WlPointer, wl_pointer::Event, |heard, _proxy, event| {
    match event {
        wl_pointer::Event::Enter { serial, surface_x, surface_y, .. } => {
            heard.entered = serial;
            heard.positions.push((surface_x, surface_y));
        }
        wl_pointer::Event::Motion { surface_x, surface_y, .. } => {
            heard.positions.push((surface_x, surface_y));
        }
        wl_pointer::Event::Button { button, state, .. } => {
            heard.buttons.push((button, state == WEnum::Value(wl_pointer::ButtonState::Pressed)));
        }
        wl_pointer::Event::AxisValue120 { value120, .. } => heard.wheel.push(value120),
        _ => {}
    }
});
hear!(WlTouch, wl_touch::Event, |heard, _proxy, event| {
    match event {
        wl_touch::Event::Down { id, .. } => heard.touches.push((id, "down")),
        wl_touch::Event::Motion { id, .. } => heard.touches.push((id, "move")),
        wl_touch::Event::Up { id, .. } => heard.touches.push((id, "up")),
        wl_touch::Event::Cancel => heard.touches.push((-1, "cancel")),
        _ => {}
    }
});
hear!(ZwpRelativePointerV1, zwp_relative_pointer_v1::Event, |heard, _proxy, event| {
    if let zwp_relative_pointer_v1::Event::RelativeMotion { dx, dy, .. } = event {
        heard.relative.push((dx, dy));
    }
});
hear!(ZwpLockedPointerV1, zwp_locked_pointer_v1::Event, |heard, _proxy, event| {
    heard.locked = matches!(event, zwp_locked_pointer_v1::Event::Locked);
});
hear!(ZwpTextInputV3, zwp_text_input_v3::Event, |heard, _proxy, event| {
    match event {
        zwp_text_input_v3::Event::CommitString { text } => heard.text.extend(text),
        zwp_text_input_v3::Event::Enter { .. } => heard.text_entered = true,
        _ => {}
    }
});
hear!(WlBuffer, wayland_client::protocol::wl_buffer::Event, |heard, buffer, _event| {
    heard.released += 1;
    buffer.destroy();
});

hear!(WlDataSource, wl_data_source::Event, |heard, _proxy, event| {
    if let wl_data_source::Event::Send { fd, .. } = event {
        std::fs::File::from(fd).write_all(heard.copied.as_bytes()).unwrap();
    }
});
hear!(WlDataOffer, wl_data_offer::Event, |_heard, _proxy, _event| {});

impl Dispatch<WlDataDevice, ()> for Heard {
    fn event(
        heard: &mut Self,
        _: &WlDataDevice,
        event: wl_data_device::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_data_device::Event::Selection { id } = event {
            heard.offer = id;
        }
    }
    wayland_client::event_created_child!(Heard, WlDataDevice, [
        wl_data_device::EVT_DATA_OFFER_OPCODE => (WlDataOffer, ()),
    ]);
}

delegate_noop!(Heard: WlDataDeviceManager);
delegate_noop!(Heard: WlCompositor);
delegate_noop!(Heard: wayland_client::protocol::wl_subcompositor::WlSubcompositor);
delegate_noop!(Heard: wayland_client::protocol::wl_subsurface::WlSubsurface);
delegate_noop!(Heard: wayland_protocols::wp::viewporter::client::wp_viewporter::WpViewporter);
delegate_noop!(Heard: wayland_protocols::wp::viewporter::client::wp_viewport::WpViewport);
delegate_noop!(Heard: wayland_client::protocol::wl_region::WlRegion);
delegate_noop!(Heard: ignore WlShm);
delegate_noop!(Heard: WlShmPool);
delegate_noop!(Heard: ignore WlSeat);
delegate_noop!(Heard: ignore WlSurface);
delegate_noop!(Heard: XdgPositioner);
delegate_noop!(Heard: ZwpPointerConstraintsV1);
delegate_noop!(Heard: ignore ZwpConfinedPointerV1);
delegate_noop!(Heard: ZwpRelativePointerManagerV1);
delegate_noop!(Heard: ZwpTextInputManagerV3);
delegate_noop!(Heard: WpCursorShapeManagerV1);
delegate_noop!(Heard: WpCursorShapeDeviceV1);
