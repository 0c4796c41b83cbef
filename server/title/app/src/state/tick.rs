//! One frame: inputs in, callbacks out, a little patience, layers back.

use std::{
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use smithay::{
    output::Output,
    reexports::{
        calloop::EventLoop, wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::Kind,
        wayland_server::protocol::wl_surface::WlSurface,
    },
    wayland::presentation::{PresentationFeedbackCallback, Refresh},
};

use super::State;
use crate::{Content, Frame, FrameRequest, Layer, Timings, compositor::Reply, timing};

/// Windows that are wholly hidden are called at this interval, so that a title which waits for its
/// callback before it reads its input does not seem dead.
const HIDDEN_INTERVAL_US: u64 = 1_000_000;

/// The frame in the making.
pub(crate) struct Tick {
    pub(crate) pending: Option<Pending>,
    /// What the frame before showed.
    layers: Vec<Layer>,
    /// What was shown with the frame before and wants to know so.
    shown: Vec<PresentationFeedbackCallback>,
    sequence: u64,
}

/// A frame that somebody waits for.
pub(crate) struct Pending {
    pub(crate) number: u64,
    reply: Sender<Reply>,
    began_us: u64,
    /// When to give up on the title; none when it is not waited for.
    deadline_us: Option<u64>,
    answered: bool,
    /// What had arrived before the tick has been read.
    caught_up: bool,
}

impl Tick {
    pub(crate) fn new() -> Self {
        Self { pending: None, layers: Vec::new(), shown: Vec::new(), sequence: 0 }
    }
}

impl State {
    /// Inputs first, so that the frame the title draws now shows them; then its callbacks.
    pub(crate) fn begin_frame(&mut self, number: u64, request: FrameRequest, reply: Sender<Reply>) {
        self.tick.sequence += 1;
        self.present(request.now_us);
        self.apply(request.inputs, request.now_us);
        let began_us = timing::now_us();
        let called = self.call_surfaces(began_us, (request.now_us / 1000) as u32);
        let interval_us = self.interval().as_micros() as u64;
        let wait_us = called.then(|| self.patience.wait_us(interval_us)).flatten();
        if called {
            self.patience.ask(began_us);
        }
        let deadline_us = wait_us.map(|wait_us| began_us + wait_us);
        self.tick.pending =
            Some(Pending { number, reply, began_us, deadline_us, answered: false, caught_up: false });
    }

    /// What was shown with the frame before was shown when its tick began.
    fn present(&mut self, now_us: u64) {
        let refresh = Refresh::fixed(self.interval());
        let time = Duration::from_micros(now_us);
        for feedback in self.tick.shown.drain(..) {
            let output: &Output = &self.output;
            feedback.presented(output, time, refresh, self.tick.sequence, Kind::Vsync);
        }
    }

    /// Answers frame callbacks; says whether the window in focus had one.
    fn call_surfaces(&mut self, now_us: u64, time_ms: u32) -> bool {
        let focus = self.focus().cloned();
        let hidden = self.hidden_roots();
        let mut called = false;
        for (surface, view) in &mut self.surfaces {
            if view.callbacks.is_empty() {
                continue;
            }
            let root = Self::root_of(surface);
            if hidden.contains(&root) && now_us.saturating_sub(view.called_us) < HIDDEN_INTERVAL_US {
                continue;
            }
            view.called_us = now_us;
            called |= Some(&root) == focus.as_ref();
            for callback in view.callbacks.drain(..) {
                callback.done(time_ms);
            }
        }
        called
    }

    /// Windows behind the front one, which are not shown.
    fn hidden_roots(&self) -> Vec<WlSurface> {
        let front = self.front();
        self.windows.stack[..front].iter().filter_map(|window| window.surface().cloned()).collect()
    }

    /// A frame of the title has arrived; the one that is waited for may be it.
    pub(crate) fn note_answer(&mut self, surface: &WlSurface, now_us: u64) {
        if self.focus() != Some(&Self::root_of(surface)) {
            return;
        }
        let interval_us = self.interval().as_micros() as u64;
        self.patience.answer(now_us, interval_us);
        if let Some(pending) = &mut self.tick.pending {
            pending.answered = true;
        }
    }

    /// How long the event loop may sleep.
    fn nap(&self) -> Option<Duration> {
        let pending = self.tick.pending.as_ref()?;
        let deadline_us = pending.deadline_us.unwrap_or(0);
        Some(Duration::from_micros(deadline_us.saturating_sub(timing::now_us())))
    }

    /// Whether the frame need not wait any longer.
    fn is_due(&mut self) -> bool {
        let Some(pending) = &mut self.tick.pending else { return false };
        let caught_up = std::mem::replace(&mut pending.caught_up, true);
        pending.answered
            || caught_up && pending.deadline_us.is_none_or(|deadline_us| timing::now_us() >= deadline_us)
    }

    /// Copies what is new, lays it out and answers.
    fn end_frame(&mut self) {
        let Some(pending) = self.tick.pending.take() else { return };
        let waited_us = timing::now_us();
        self.latch();
        self.popups.cleanup();
        self.settle_modes();
        self.lay_out();
        self.refresh_cursor();
        let layers = self.layers();
        let changed = !same(&layers, &self.tick.layers);
        self.tick.layers.clone_from(&layers);
        let newest_us = self
            .roots()
            .iter()
            .filter_map(|(root, _)| self.surfaces.get(root))
            .map(|view| view.committed_us)
            .max();
        self.collect_feedback();
        let done_us = timing::now_us();
        let timings = Timings {
            waited_us: clamp(waited_us.saturating_sub(pending.began_us)),
            composed_us: clamp(done_us.saturating_sub(waited_us)),
            commit_age_us: newest_us.map_or(0, |newest_us| clamp(done_us.saturating_sub(newest_us))),
        };
        self.outlet.tell(done_us);
        self.settle_pointer();
        // A session that has given up on this frame has dropped its end; the next request comes anyway.
        let _ = pending.reply.send((pending.number, Frame { layers, changed, timings }));
    }

    fn collect_feedback(&mut self) {
        for view in self.surfaces.values_mut().filter(|view| view.picture.is_some()) {
            self.tick.shown.append(&mut view.feedback);
        }
    }
}

/// Whether two frames look the same: a picture that is shown never changes in place.
fn same(new: &[Layer], old: &[Layer]) -> bool {
    new.len() == old.len()
        && new.iter().zip(old).all(|(new, old)| {
            let content = match (&new.content, &old.content) {
                (Content::Shm(new), Content::Shm(old)) => Arc::ptr_eq(new, old),
                (Content::Dmabuf(new), Content::Dmabuf(old)) => Arc::ptr_eq(new, old),
                _ => false,
            };
            content && new.source == old.source && new.target == old.target && new.opaque == old.opaque
        })
}

fn clamp(us: u64) -> u32 {
    u32::try_from(us).unwrap_or(u32::MAX)
}

/// Runs the compositor's thread until it is told to stop.
pub(crate) fn run(events: &mut EventLoop<'static, State>, state: &mut State) {
    while !state.stop {
        if let Err(error) = events.dispatch(state.nap(), state) {
            tracing::error!(%error, "the compositor's event loop has failed");
            return;
        }
        state.pair_x11_surfaces();
        if state.is_due() {
            state.end_frame();
        }
        if let Err(error) = state.display.flush_clients() {
            tracing::debug!(%error, "clients could not be flushed");
        }
    }
}
