//! Surfaces: what a commit brings, kept until the next tick copies it.

use smithay::{
    reexports::calloop::Interest,
    reexports::wayland_server::{
        Client, Resource,
        protocol::{wl_buffer::WlBuffer, wl_callback::WlCallback, wl_surface::WlSurface},
    },
    utils::{Buffer, Logical, Rectangle, Size},
    wayland::{
        buffer::BufferHandler,
        compositor::{
            BufferAssignment, CompositorClientState, CompositorHandler, CompositorState, RectangleKind,
            SurfaceAttributes, SurfaceData, add_blocker, add_pre_commit_hook, get_parent, with_states,
        },
        dmabuf::get_dmabuf,
        presentation::{PresentationFeedbackCachedState, PresentationFeedbackCallback},
        viewporter::ViewportCachedState,
    },
};

use super::{
    State,
    buffers::{self, ImportError, Picture},
    clients::{ClientState, expel},
};
use crate::{Rect, limits, timing};

/// What we keep of a surface beside what smithay does.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// What is shown.
    pub(crate) picture: Option<Picture>,
    /// What will be shown from the next tick on; only the newest commit counts.
    waiting: Option<BufferAssignment>,
    /// Frame callbacks to be answered.
    pub(crate) callbacks: Vec<WlCallback>,
    /// Feedback to be given once the content is shown.
    pub(crate) feedback: Vec<PresentationFeedbackCallback>,
    /// When the newest content was committed.
    pub(crate) committed_us: u64,
    /// When callbacks were answered last.
    pub(crate) called_us: u64,
}

impl View {
    /// Whether the surface has content, now or from the next tick on.
    pub(crate) fn has_content(&self) -> bool {
        match &self.waiting {
            Some(BufferAssignment::NewBuffer(_)) => true,
            Some(BufferAssignment::Removed) => false,
            None => self.picture.is_some(),
        }
    }
}

/// What one commit brought.
struct Commit {
    buffer: Option<BufferAssignment>,
    callbacks: Vec<WlCallback>,
    feedback: Vec<PresentationFeedbackCallback>,
}

impl Commit {
    fn take(states: &SurfaceData) -> Self {
        let mut attributes = states.cached_state.get::<SurfaceAttributes>();
        let attributes = attributes.current();
        attributes.damage.clear();
        let feedback =
            states.cached_state.get::<PresentationFeedbackCachedState>().current().callbacks.split_off(0);
        Self {
            buffer: attributes.buffer.take(),
            callbacks: attributes.frame_callbacks.split_off(0),
            feedback,
        }
    }
}

impl CompositorHandler for State {
    fn compositor_state(&mut self) -> &mut CompositorState {
        &mut self.globals.compositor
    }

    fn client_compositor_state<'a>(&self, client: &'a Client) -> &'a CompositorClientState {
        &client.get_data::<ClientState>().expect("every client was admitted by us").compositor
    }

    fn new_surface(&mut self, surface: &WlSurface) {
        if self.surfaces.len() >= limits::SURFACES {
            if let Some(client) = surface.client() {
                expel(&self.display, &client, "too many surfaces");
            }
            return;
        }
        self.surfaces.insert(surface.clone(), View::default());
        add_pre_commit_hook::<Self, _>(surface, |state, _, surface| state.await_drawing(surface));
    }

    fn commit(&mut self, surface: &WlSurface) {
        let commit = with_states(surface, Commit::take);
        let now_us = timing::now_us();
        let Some(view) = self.surfaces.get_mut(surface) else { return };
        view.callbacks.extend(commit.callbacks);
        if view.callbacks.len() > limits::CALLBACKS || commit.feedback.len() > limits::CALLBACKS {
            if let Some(client) = surface.client() {
                expel(&self.display, &client, "too many frame callbacks");
            }
            return;
        }
        let drawn = matches!(commit.buffer, Some(BufferAssignment::NewBuffer(_)));
        if let Some(buffer) = commit.buffer {
            view.committed_us = now_us;
            // Feedback of content that was never shown is discarded by being replaced.
            for stale in view.feedback.drain(..) {
                stale.discarded();
            }
            if let Some(BufferAssignment::NewBuffer(stale)) = view.waiting.replace(buffer) {
                stale.release();
            }
        }
        view.feedback.extend(commit.feedback);
        self.popups.commit(surface);
        self.shell_commit(surface);
        if drawn {
            self.note_answer(surface, now_us);
        }
    }

    fn destroyed(&mut self, surface: &WlSurface) {
        if let Some(View { waiting: Some(BufferAssignment::NewBuffer(buffer)), .. }) =
            self.surfaces.remove(surface)
        {
            buffer.release();
        }
        self.forget_surface(surface);
    }
}

impl BufferHandler for State {
    fn buffer_destroyed(&mut self, _: &WlBuffer) {}
}

impl State {
    /// Holds a commit back until the GPU has finished drawing the buffer that it brings.
    fn await_drawing(&mut self, surface: &WlSurface) {
        let buffer = with_states(surface, |states| {
            match &states.cached_state.get::<SurfaceAttributes>().pending().buffer {
                Some(BufferAssignment::NewBuffer(buffer)) => get_dmabuf(buffer).cloned().ok(),
                _ => None,
            }
        });
        let (Some(buffer), Some(client)) = (buffer, surface.client()) else { return };
        // Most are drawn by now.
        let Ok((blocker, drawn)) = buffer.generate_blocker(Interest::READ) else { return };
        if self.fences >= limits::FENCES {
            return expel(&self.display, &client, "too many pictures that are not finished");
        }
        let watched = self.events.insert_source(drawn, move |(), _, state| {
            state.fences = state.fences.saturating_sub(1);
            let display = state.display.clone();
            if let Some(known) = client.get_data::<ClientState>() {
                known.compositor.blocker_cleared(state, &display);
            }
            Ok(())
        });
        match watched {
            Ok(_) => {
                self.fences += 1;
                add_blocker(surface, blocker);
            }
            // It may be shown half-drawn, which is better than never.
            Err(error) => tracing::warn!(%error, "the end of a picture's drawing cannot be waited for"),
        }
    }

    /// Copies what is new.
    pub(crate) fn latch(&mut self) {
        let Self { surfaces, pool, display, .. } = self;
        for (surface, view) in surfaces.iter_mut() {
            let Some(assignment) = view.waiting.take() else { continue };
            let BufferAssignment::NewBuffer(buffer) = assignment else {
                view.picture = None;
                continue;
            };
            let transform = with_states(surface, |states| {
                states.cached_state.get::<SurfaceAttributes>().current().buffer_transform
            });
            match buffers::import(pool, &buffer, transform) {
                Ok(picture) => view.picture = Some(picture),
                Err(ImportError::Truncated) => view.picture = None,
                Err(error) => {
                    view.picture = None;
                    if let Some(client) = surface.client() {
                        expel(display, &client, &error.to_string());
                    }
                }
            }
        }
    }

    /// The root of the tree that a subsurface belongs to.
    pub(crate) fn root_of(surface: &WlSurface) -> WlSurface {
        let mut root = surface.clone();
        while let Some(parent) = get_parent(&root) {
            root = parent;
        }
        root
    }
}

/// Size of a surface in its own coordinates and the part of its buffer that it shows.
pub(crate) fn geometry_of(states: &SurfaceData, picture: &Picture) -> (Size<i32, Logical>, Rect<f64>) {
    let scale = states.cached_state.get::<SurfaceAttributes>().current().buffer_scale.max(1);
    let viewport = *states.cached_state.get::<ViewportCachedState>().current();
    let whole = Size::<i32, Buffer>::from((picture.width, picture.height));
    let natural: Size<i32, Logical> = (whole.w / scale, whole.h / scale).into();
    let factor = f64::from(scale);
    let source = viewport.src.map_or(Rect::new(0.0, 0.0, f64::from(whole.w), f64::from(whole.h)), |src| {
        clamp_source(src, factor, whole)
    });
    (viewport.size().unwrap_or(natural), source)
}

/// A crop that reaches beyond the buffer is a protocol error elsewhere; here it is cut to what there is.
fn clamp_source(src: Rectangle<f64, Logical>, factor: f64, whole: Size<i32, Buffer>) -> Rect<f64> {
    let (w, h) = (f64::from(whole.w), f64::from(whole.h));
    let x = (src.loc.x * factor).clamp(0.0, w);
    let y = (src.loc.y * factor).clamp(0.0, h);
    Rect::new(x, y, (src.size.w * factor).clamp(0.0, w - x), (src.size.h * factor).clamp(0.0, h - y))
}

/// Whether nothing shines through: by the format, or because the client says so of all of it.
pub(crate) fn is_opaque(states: &SurfaceData, picture: &Picture, size: Size<i32, Logical>) -> bool {
    if picture.opaque {
        return true;
    }
    let mut attributes = states.cached_state.get::<SurfaceAttributes>();
    let Some(region) = &attributes.current().opaque_region else { return false };
    let whole = Rectangle::from_size(size);
    region.rects.iter().any(|(kind, rect)| matches!(kind, RectangleKind::Add) && rect.contains_rect(whole))
        && region.rects.iter().all(|(kind, _)| matches!(kind, RectangleKind::Add))
}
