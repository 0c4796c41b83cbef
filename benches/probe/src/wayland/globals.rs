//! What the compositor offers.

use super::Client;
use anyhow::{Context, Result};
use wayland_client::globals::{GlobalList, GlobalListContents};
use wayland_client::protocol::wl_compositor::WlCompositor;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::protocol::wl_shm::WlShm;
use wayland_client::{Connection, Dispatch, QueueHandle, delegate_noop};
use wayland_protocols::wp::cursor_shape::v1::client::wp_cursor_shape_manager_v1::WpCursorShapeManagerV1;
use wayland_protocols::wp::pointer_constraints::zv1::client::zwp_pointer_constraints_v1::ZwpPointerConstraintsV1;
use wayland_protocols::wp::relative_pointer::zv1::client::zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1;
use wayland_protocols::wp::text_input::zv3::client::zwp_text_input_manager_v3::ZwpTextInputManagerV3;
use wayland_protocols::xdg::shell::client::xdg_wm_base::{self, XdgWmBase};

/// What must be there, and what only some modes need.
pub(crate) struct Globals {
    pub(super) compositor: WlCompositor,
    pub(super) shm: WlShm,
    pub(super) shell: XdgWmBase,
    pub(super) seat: WlSeat,
    pub(super) constraints: Option<ZwpPointerConstraintsV1>,
    pub(super) relative: Option<ZwpRelativePointerManagerV1>,
    pub(super) shapes: Option<WpCursorShapeManagerV1>,
    pub(super) text: Option<ZwpTextInputManagerV3>,
}

impl Globals {
    pub(super) fn bind(list: &GlobalList, queue: &QueueHandle<Client>) -> Result<Self> {
        Ok(Self {
            compositor: list.bind(queue, 4..=6, ()).context("the compositor has no wl_compositor")?,
            shm: list.bind(queue, 1..=1, ()).context("the compositor has no wl_shm")?,
            shell: list.bind(queue, 1..=6, ()).context("the compositor has no xdg_wm_base")?,
            seat: list.bind(queue, 5..=8, ()).context("the compositor has no wl_seat")?,
            constraints: list.bind(queue, 1..=1, ()).ok(),
            relative: list.bind(queue, 1..=1, ()).ok(),
            shapes: list.bind(queue, 1..=1, ()).ok(),
            text: list.bind(queue, 1..=1, ()).ok(),
        })
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Client {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<XdgWmBase, ()> for Client {
    fn event(
        _: &mut Self,
        shell: &XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            shell.pong(serial);
        }
    }
}

delegate_noop!(Client: WlCompositor);
delegate_noop!(Client: ignore WlShm);
delegate_noop!(Client: ZwpPointerConstraintsV1);
delegate_noop!(Client: ZwpRelativePointerManagerV1);
delegate_noop!(Client: WpCursorShapeManagerV1);
delegate_noop!(Client: ZwpTextInputManagerV3);
