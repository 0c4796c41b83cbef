//! text-input v3, with the player's page as the input method. smithay's own serves only input methods
//! that are Wayland clients, so the protocol is spoken here.

use smithay::{
    reexports::{
        wayland_protocols::wp::text_input::zv3::server::{
            zwp_text_input_manager_v3::{self, ZwpTextInputManagerV3},
            zwp_text_input_v3::{self, ZwpTextInputV3},
        },
        wayland_server::{
            Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, backend::ClientId,
            protocol::wl_surface::WlSurface,
        },
    },
    utils::Rectangle,
};

use super::State;
use crate::{Rect, limits};

/// Text fields of one client are few; more are ignored.
const INSTANCES: usize = 64;
/// The protocol's messages hold 4000 bytes of text.
const COMMIT_BYTES: usize = 4000;

/// All text-input objects, and which surface has the keyboard.
#[derive(Debug, Default)]
pub(crate) struct TextInputs {
    instances: Vec<Instance>,
    focus: Option<WlSurface>,
}

#[derive(Debug)]
struct Instance {
    object: ZwpTextInputV3,
    /// Commits so far: the serial that `done` must name.
    commits: u32,
    entered: Option<WlSurface>,
    pending: Field,
    current: Field,
}

/// What the client says of its text field.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    enabled: bool,
    caret: Option<Rect<i32>>,
}

/// Announces the protocol.
pub(crate) fn offer(display: &DisplayHandle) {
    display.create_global::<State, ZwpTextInputManagerV3, ()>(1, ());
}

impl TextInputs {
    /// The keyboard went to another surface.
    pub(crate) fn set_focus(&mut self, focus: Option<WlSurface>) {
        self.focus = focus;
        for instance in &mut self.instances {
            instance.follow(self.focus.as_ref());
        }
    }

    pub(crate) fn forget(&mut self, surface: &WlSurface) {
        if self.focus.as_ref() == Some(surface) {
            self.set_focus(None);
        }
    }

    fn active(&self) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.entered.is_some() && instance.current.enabled)
    }

    /// Gives text to the field in focus; says whether there is one.
    pub(crate) fn commit(&self, text: &str) -> bool {
        let Some(instance) = self.active() else { return false };
        let text: String = text.chars().take(limits::TEXT_CHARS).collect();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.floor_char_boundary(COMMIT_BYTES));
            instance.object.commit_string(Some(piece.to_owned()));
            instance.object.done(instance.commits);
            rest = later;
        }
        true
    }
}

impl Instance {
    /// Enters and leaves with the keyboard, for surfaces of its own client.
    fn follow(&mut self, focus: Option<&WlSurface>) {
        let wanted = focus.filter(|surface| surface.id().same_client_as(&self.object.id()));
        if self.entered.as_ref() == wanted {
            return;
        }
        if let Some(left) = self.entered.take() {
            if left.is_alive() {
                self.object.leave(&left);
            }
            self.pending = Field::default();
            self.current = Field::default();
        }
        if let Some(surface) = wanted {
            self.object.enter(surface);
            self.entered = Some(surface.clone());
        }
    }
}

impl State {
    /// Whether a text field is in focus, and where its caret is in the picture.
    pub(crate) fn text_input_state(&self) -> (bool, Option<Rect<i32>>) {
        let Some(instance) = self.text_inputs.active() else { return (false, None) };
        let caret = instance.current.caret.zip(instance.entered.as_ref()).and_then(|(caret, surface)| {
            let origin = self.origin_of(surface)?;
            let area = Rectangle::<i32, smithay::utils::Logical>::new(
                (caret.x, caret.y).into(),
                (caret.width, caret.height).into(),
            )
            .to_f64();
            let view = self.windows.view;
            let (x, y) = view.to_picture(origin + area.loc);
            Some(Rect::new(
                x.round() as i32,
                y.round() as i32,
                (area.size.w * view.scale_x).round() as i32,
                (area.size.h * view.scale_y).round() as i32,
            ))
        });
        (true, caret)
    }
}

impl GlobalDispatch<ZwpTextInputManagerV3, ()> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<ZwpTextInputManagerV3>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        init.init(resource, ());
    }
}

impl Dispatch<ZwpTextInputManagerV3, ()> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        _: &ZwpTextInputManagerV3,
        request: zwp_text_input_manager_v3::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let zwp_text_input_manager_v3::Request::GetTextInput { id, .. } = request {
            let object = init.init(id, ());
            if state.text_inputs.instances.len() >= INSTANCES {
                return;
            }
            let mut instance = Instance {
                object,
                commits: 0,
                entered: None,
                pending: Field::default(),
                current: Field::default(),
            };
            instance.follow(state.text_inputs.focus.as_ref());
            state.text_inputs.instances.push(instance);
        }
    }
}

impl Dispatch<ZwpTextInputV3, ()> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        object: &ZwpTextInputV3,
        request: zwp_text_input_v3::Request,
        (): &(),
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        let instances = &mut state.text_inputs.instances;
        let Some(instance) = instances.iter_mut().find(|instance| instance.object == *object) else { return };
        match request {
            zwp_text_input_v3::Request::Enable => instance.pending = Field { enabled: true, caret: None },
            zwp_text_input_v3::Request::Disable => instance.pending = Field::default(),
            zwp_text_input_v3::Request::SetCursorRectangle { x, y, width, height } => {
                instance.pending.caret = Some(Rect::new(x, y, width, height));
            }
            zwp_text_input_v3::Request::Commit => {
                instance.commits = instance.commits.wrapping_add(1);
                instance.current = instance.pending;
            }
            _ => {}
        }
    }

    fn destroyed(state: &mut Self, _: ClientId, object: &ZwpTextInputV3, (): &()) {
        state.text_inputs.instances.retain(|instance| instance.object != *object);
    }
}
