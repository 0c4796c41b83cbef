//! Keyboard, pointer, touch and input method.

use super::surface::allocate;
use super::{Client, Happening, WindowId};
use anyhow::{Context, Result};
use nearframe_probe::canvas::Canvas;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use wayland_client::protocol::wl_keyboard::{self, KeyState, WlKeyboard};
use wayland_client::protocol::wl_pointer::{self, ButtonState, WlPointer};
use wayland_client::protocol::wl_seat::{self, Capability, WlSeat};
use wayland_client::protocol::wl_shm::Format;
use wayland_client::protocol::wl_touch::{self, WlTouch};
use wayland_client::{Connection, Dispatch, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::wp::cursor_shape::v1::client::wp_cursor_shape_device_v1::{
    Shape, WpCursorShapeDeviceV1,
};
use wayland_protocols::wp::pointer_constraints::zv1::client::zwp_locked_pointer_v1::{
    self, ZwpLockedPointerV1,
};
use wayland_protocols::wp::pointer_constraints::zv1::client::zwp_pointer_constraints_v1::Lifetime;
use wayland_protocols::wp::relative_pointer::zv1::client::zwp_relative_pointer_v1::{
    self, ZwpRelativePointerV1,
};
use wayland_protocols::wp::text_input::zv3::client::zwp_text_input_v3::{self, ZwpTextInputV3};

impl Client {
    /// Locks the pointer to a window for as long as the program lives, and listens to its relative motion.
    pub(crate) fn lock_pointer(&mut self, id: WindowId) -> Result<()> {
        let pointer = self.pointer.as_ref().context("the compositor offers no pointer")?;
        let surface = &self.windows.get(&id).context("the window is gone")?.surface;
        let relative = self.globals.relative.as_ref().context("the compositor has no relative pointer")?;
        let constraints =
            self.globals.constraints.as_ref().context("the compositor cannot lock a pointer")?;
        relative.get_relative_pointer(pointer, &self.queue, ());
        constraints.lock_pointer(surface, pointer, None, Lifetime::Persistent, &self.queue, ());
        Ok(())
    }

    /// Shows this picture with its alpha as the cursor.
    pub(crate) fn set_cursor_picture(&mut self, canvas: &Canvas, hot: (i32, i32)) -> Result<()> {
        let pointer = self.pointer.as_ref().context("the compositor offers no pointer")?;
        let surface = self.globals.compositor.create_surface(&self.queue, ());
        let (buffer, file, _) = allocate(&self.globals.shm, &self.queue, canvas, Format::Argb8888)?;
        file.write_all_at(canvas.pixels(), 0).context("drawing the cursor")?;
        surface.attach(Some(&buffer), 0, 0);
        surface.damage_buffer(0, 0, canvas.width() as i32, canvas.height() as i32);
        surface.commit();
        pointer.set_cursor(self.entered, Some(&surface), hot.0, hot.1);
        if let Some((surface, buffer)) = self.cursor.replace((surface, buffer)) {
            surface.destroy();
            buffer.destroy();
        }
        Ok(())
    }

    /// Shows the system's crosshair as the cursor.
    pub(crate) fn set_cursor_crosshair(&self) -> Result<()> {
        let pointer = self.pointer.as_ref().context("the compositor offers no pointer")?;
        let shapes = self.globals.shapes.as_ref().context("the compositor knows no named cursors")?;
        let device = shapes.get_pointer(pointer, &self.queue, ());
        device.set_shape(self.entered, Shape::Crosshair);
        device.destroy();
        Ok(())
    }

    /// Hides the cursor.
    pub(crate) fn hide_cursor(&self) -> Result<()> {
        let pointer = self.pointer.as_ref().context("the compositor offers no pointer")?;
        pointer.set_cursor(self.entered, None, 0, 0);
        Ok(())
    }

    /// Asks for text from an input method.
    pub(crate) fn ask_for_text(&self) -> Result<()> {
        let manager = self.globals.text.as_ref().context("the compositor has no text input")?;
        manager.get_text_input(&self.globals.seat, &self.queue, ());
        Ok(())
    }
}

impl Dispatch<WlSeat, ()> for Client {
    fn event(
        client: &mut Self,
        seat: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        let wl_seat::Event::Capabilities { capabilities: WEnum::Value(offered) } = event else { return };
        let new = offered.difference(client.taken);
        client.taken = client.taken.union(new);
        if new.contains(Capability::Keyboard) {
            seat.get_keyboard(queue, ());
        }
        if new.contains(Capability::Touch) {
            seat.get_touch(queue, ());
        }
        if new.contains(Capability::Pointer) {
            client.pointer = Some(seat.get_pointer(queue, ()));
        }
    }
}

impl Dispatch<WlKeyboard, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_keyboard::Event::Key { serial, key, state: WEnum::Value(state), .. } => {
                // Newer seats may also tell repeats; a game takes what is pressed and released.
                let down = match state {
                    KeyState::Pressed => true,
                    KeyState::Released => false,
                    _ => return,
                };
                client.pressed = serial;
                client.tell(Happening::Key { code: key, down });
            }
            wl_keyboard::Event::Keymap { fd, size, .. } => match read_keymap(fd, size) {
                Ok(keymap) => client.tell(Happening::Keymap(keymap)),
                Err(error) => eprintln!("the keyboard's layout cannot be read: {error}"),
            },
            wl_keyboard::Event::Modifiers { mods_depressed, mods_latched, mods_locked, group, .. } => {
                client.tell(Happening::Modifiers([mods_depressed, mods_latched, mods_locked, group]));
            }
            wl_keyboard::Event::Leave { .. } => client.tell(Happening::KeysLost),
            _ => {}
        }
    }
}

/// The text ends with a zero byte, which is part of its size.
fn read_keymap(fd: OwnedFd, size: u32) -> std::io::Result<String> {
    let mut text = vec![0; size.saturating_sub(1) as usize];
    File::from(fd).read_exact_at(&mut text, 0)?;
    String::from_utf8(text).map_err(std::io::Error::other)
}

impl Dispatch<WlPointer, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlPointer,
        event: wl_pointer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_pointer::Event::Enter { serial, .. } => {
                client.entered = serial;
                client.tell(Happening::Entered);
            }
            wl_pointer::Event::Motion { surface_x, surface_y, .. } => {
                client.tell(Happening::Position { x: surface_x, y: surface_y });
            }
            wl_pointer::Event::Button { serial, button, state: WEnum::Value(state), .. } => {
                client.pressed = serial;
                client.tell(Happening::Button { code: button, down: state == ButtonState::Pressed });
            }
            wl_pointer::Event::Axis { .. } => client.wheel_turned = true,
            wl_pointer::Event::Frame if std::mem::take(&mut client.wheel_turned) => {
                client.tell(Happening::Wheel);
            }
            _ => {}
        }
    }
}

impl Dispatch<WlTouch, ()> for Client {
    fn event(
        client: &mut Self,
        _: &WlTouch,
        event: wl_touch::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_touch::Event::Down { serial, id, x, y, .. } => {
                client.pressed = serial;
                client.tell(Happening::Touch { id, x, y, begins: true });
            }
            wl_touch::Event::Motion { id, x, y, .. } => {
                client.tell(Happening::Touch { id, x, y, begins: false });
            }
            wl_touch::Event::Up { id, .. } => client.tell(Happening::TouchEnd { id }),
            wl_touch::Event::Cancel => client.tell(Happening::TouchCancel),
            _ => {}
        }
    }
}

impl Dispatch<ZwpRelativePointerV1, ()> for Client {
    fn event(
        client: &mut Self,
        _: &ZwpRelativePointerV1,
        event: zwp_relative_pointer_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zwp_relative_pointer_v1::Event::RelativeMotion { dx_unaccel, dy_unaccel, .. } = event {
            client.tell(Happening::Motion { dx: dx_unaccel, dy: dy_unaccel });
        }
    }
}

impl Dispatch<ZwpLockedPointerV1, ()> for Client {
    fn event(
        client: &mut Self,
        _: &ZwpLockedPointerV1,
        event: zwp_locked_pointer_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_locked_pointer_v1::Event::Locked => client.tell(Happening::Locked(true)),
            zwp_locked_pointer_v1::Event::Unlocked => client.tell(Happening::Locked(false)),
            _ => {}
        }
    }
}

impl Dispatch<ZwpTextInputV3, ()> for Client {
    fn event(
        client: &mut Self,
        input: &ZwpTextInputV3,
        event: zwp_text_input_v3::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_text_input_v3::Event::Enter { .. } => {
                input.enable();
                input.set_cursor_rectangle(0, 0, 1, 1);
                input.commit();
                client.tell(Happening::TextReady(true));
            }
            zwp_text_input_v3::Event::Leave { .. } => {
                input.disable();
                input.commit();
                client.tell(Happening::TextReady(false));
            }
            zwp_text_input_v3::Event::CommitString { text } => client.text = text.unwrap_or_default(),
            zwp_text_input_v3::Event::Done { .. } if !client.text.is_empty() => {
                let text = std::mem::take(&mut client.text);
                client.tell(Happening::Text(text));
            }
            _ => {}
        }
    }
}

delegate_noop!(Client: WpCursorShapeDeviceV1);
