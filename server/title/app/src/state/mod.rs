//! Everything the compositor's thread owns: the protocol globals, the title's windows and the seat.

pub(crate) mod buffers;
mod clients;
pub(crate) mod clipboard;
mod constraints;
mod cursor;
mod handlers;
mod hands;
mod outlet;
mod popups;
mod scene;
mod surfaces;
mod text_input;
pub(crate) mod tick;
pub(crate) mod windows;
mod x11_windows;

use std::{collections::HashMap, sync::mpsc, time::Duration};

use smithay::{
    desktop::PopupManager,
    input::{
        Seat, SeatState,
        keyboard::{KeyboardHandle, XkbConfig},
        pointer::PointerHandle,
        touch::TouchHandle,
    },
    output::{Mode, Output, PhysicalProperties, Subpixel},
    reexports::{
        calloop::LoopHandle,
        wayland_server::{DisplayHandle, protocol::wl_surface::WlSurface},
    },
    utils::Transform,
    wayland::{
        compositor::CompositorState,
        cursor_shape::CursorShapeManagerState,
        dmabuf::DmabufState,
        fractional_scale::FractionalScaleManagerState,
        idle_inhibit::IdleInhibitManagerState,
        output::OutputManagerState,
        pointer_constraints::PointerConstraintsState,
        pointer_gestures::PointerGesturesState,
        presentation::PresentationState,
        relative_pointer::RelativePointerManagerState,
        selection::{data_device::DataDeviceState, primary_selection::PrimarySelectionState},
        shell::xdg::{XdgShellState, decoration::XdgDecorationState},
        shm::ShmState,
        single_pixel_buffer::SinglePixelBufferState,
        viewporter::ViewporterState,
    },
};

use crate::{
    CompositorError, Event, KeyboardLayout, Settings, keymap, pixels::Pool, timing::Patience, x11::X11,
};
use clients::Clients;
use clipboard::Clipboard;
use cursor::CursorState;
use hands::Hands;
use outlet::Outlet;
use surfaces::View;
use text_input::TextInputs;
use tick::Tick;
use windows::Windows;

/// `CLOCK_MONOTONIC`, as presentation time names it.
const CLOCK_MONOTONIC: u32 = 1;
/// Delay before a held key repeats, in milliseconds.
const REPEAT_DELAY_MS: i32 = 600;
/// Repeats per second of a held key.
const REPEAT_RATE_HZ: i32 = 25;

/// The protocol states of smithay that requests are dispatched to.
pub(crate) struct Globals {
    pub(crate) compositor: CompositorState,
    pub(crate) xdg_shell: XdgShellState,
    pub(crate) shm: ShmState,
    pub(crate) seats: SeatState<State>,
    pub(crate) data_device: DataDeviceState,
    pub(crate) primary_selection: PrimarySelectionState,
    pub(crate) dmabuf: DmabufState,
}

/// The compositor's own state.
pub(crate) struct State {
    pub(crate) display: DisplayHandle,
    pub(crate) events: LoopHandle<'static, State>,
    pub(crate) settings: Settings,
    pub(crate) globals: Globals,
    pub(crate) clients: Clients,
    pub(crate) output: Output,
    pub(crate) seat: Seat<State>,
    pub(crate) keyboard: KeyboardHandle<State>,
    pub(crate) pointer: PointerHandle<State>,
    pub(crate) touch: TouchHandle<State>,
    pub(crate) hands: Hands,
    pub(crate) surfaces: HashMap<WlSurface, View>,
    /// Commits that wait until the GPU has drawn what they show.
    pub(crate) fences: usize,
    pub(crate) windows: Windows,
    pub(crate) popups: PopupManager,
    pub(crate) cursor: CursorState,
    pub(crate) clipboard: Clipboard,
    pub(crate) text_inputs: TextInputs,
    pub(crate) outlet: Outlet,
    pub(crate) pool: Pool,
    pub(crate) patience: Patience,
    pub(crate) tick: Tick,
    pub(crate) x11: Option<X11>,
    pub(crate) stop: bool,
}

impl State {
    /// Registers every global; nothing listens yet.
    pub(crate) fn new(
        display: DisplayHandle,
        events: LoopHandle<'static, State>,
        settings: Settings,
        outlet: mpsc::SyncSender<Event>,
    ) -> Result<Self, CompositorError> {
        let mut seats = SeatState::new();
        let mut seat = seats.new_wl_seat(&display, "seat0");
        let (keyboard, layout) = add_keyboard(&mut seat, &settings.layout)?;
        let pointer = seat.add_pointer();
        let touch = seat.add_touch();
        let output = new_output(&display, &settings);
        let mut dmabuf = DmabufState::new();
        if let Some(support) = &settings.dmabuf {
            buffers::offer_dmabuf(&display, &mut dmabuf, support)?;
        }
        offer_stateless(&display);
        text_input::offer(&display);
        let globals = Globals {
            compositor: CompositorState::new::<Self>(&display),
            xdg_shell: XdgShellState::new::<Self>(&display),
            shm: ShmState::new::<Self>(&display, []),
            seats,
            data_device: DataDeviceState::new::<Self>(&display),
            primary_selection: PrimarySelectionState::new::<Self>(&display),
            dmabuf,
        };
        let hands = Hands::new(&settings, layout);
        Ok(Self {
            display,
            events,
            globals,
            clients: Clients::default(),
            output,
            seat,
            keyboard,
            pointer,
            touch,
            hands,
            surfaces: HashMap::new(),
            fences: 0,
            windows: Windows::default(),
            popups: PopupManager::default(),
            cursor: CursorState::default(),
            clipboard: Clipboard::default(),
            text_inputs: TextInputs::default(),
            outlet: Outlet::new(outlet),
            pool: Pool::default(),
            patience: Patience::default(),
            tick: Tick::new(),
            x11: None,
            stop: false,
            settings,
        })
    }

    /// The time from one frame to the next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.settings.fps
    }

    /// Resolution and refresh follow the session.
    pub(crate) fn resize(&mut self, width: u32, height: u32, fps: u32) {
        self.settings.width = width;
        self.settings.height = height;
        self.settings.fps = fps;
        let old = self.output.current_mode();
        self.output.change_current_state(Some(mode_of(&self.settings)), None, None, None);
        self.output.set_preferred(mode_of(&self.settings));
        if let Some(old) = old.filter(|old| *old != mode_of(&self.settings)) {
            self.output.delete_mode(old);
        }
        self.patience = Patience::default();
        self.configure_all();
    }

    /// The player has another keyboard, or has chosen another layout.
    pub(crate) fn set_layout(&mut self, layout: KeyboardLayout) {
        let layout = keymap::usable(layout);
        self.hands.layout = layout;
        self.restore_layout();
    }
}

fn mode_of(settings: &Settings) -> Mode {
    Mode { size: (settings.width as i32, settings.height as i32).into(), refresh: settings.fps as i32 * 1000 }
}

fn new_output(display: &DisplayHandle, settings: &Settings) -> Output {
    let output = Output::new(
        "NEARFRAME-1".into(),
        PhysicalProperties {
            size: (0, 0).into(),
            subpixel: Subpixel::None,
            make: "nearframe".into(),
            model: "stream".into(),
        },
    );
    output.create_global::<State>(display);
    let mode = mode_of(settings);
    output.change_current_state(Some(mode), Some(Transform::Normal), None, Some((0, 0).into()));
    output.set_preferred(mode);
    output
}

/// A keyboard with the wanted layout, or the American one where the rules know no such layout.
fn add_keyboard(
    seat: &mut Seat<State>,
    wanted: &KeyboardLayout,
) -> Result<(KeyboardHandle<State>, KeyboardLayout), CompositorError> {
    for layout in [keymap::usable(wanted.clone()), KeyboardLayout::default()] {
        let names = XkbConfig { layout: &layout.layout, variant: &layout.variant, ..XkbConfig::default() };
        match seat.add_keyboard(names, REPEAT_DELAY_MS, REPEAT_RATE_HZ) {
            Ok(keyboard) => return Ok((keyboard, layout)),
            Err(error) => tracing::warn!(?layout, %error, "no such keyboard layout, trying us"),
        }
    }
    Err(CompositorError::Setup("no keyboard layout can be compiled; install xkb-data".into()))
}

/// Globals whose state lives in the surfaces and devices of clients.
fn offer_stateless(display: &DisplayHandle) {
    OutputManagerState::new_with_xdg_output::<State>(display);
    PresentationState::new::<State>(display, CLOCK_MONOTONIC);
    RelativePointerManagerState::new::<State>(display);
    PointerConstraintsState::new::<State>(display);
    PointerGesturesState::new::<State>(display);
    ViewporterState::new::<State>(display);
    FractionalScaleManagerState::new::<State>(display);
    XdgDecorationState::new::<State>(display);
    CursorShapeManagerState::new::<State>(display);
    IdleInhibitManagerState::new::<State>(display);
    SinglePixelBufferState::new::<State>(display);
}
