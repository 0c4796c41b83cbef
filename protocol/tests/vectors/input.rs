//! `input.json`: packets of the input channel.

use crate::golden;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{
    HeldState, InputEvent, InputPacket, Key, MAX_EVENTS, MAX_TEXT, PadState, TimedEvent, TouchPhase,
};
use serde_json::{Value, json};

fn pad_value(state: &PadState) -> Value {
    json!({"buttons": state.buttons, "axes": state.axes, "triggers": state.triggers})
}

fn event_value(timed: &TimedEvent) -> Value {
    let mut value = match &timed.event {
        InputEvent::Key { key, down } => json!({"kind": "key", "key": key.0, "down": down}),
        InputEvent::Motion { dx, dy } => json!({"kind": "motion", "dx": dx, "dy": dy}),
        InputEvent::Position { x, y } => json!({"kind": "position", "x": x, "y": y}),
        InputEvent::Button { button, down } => json!({"kind": "button", "button": button, "down": down}),
        InputEvent::Wheel { dx, dy } => json!({"kind": "wheel", "dx": dx, "dy": dy}),
        InputEvent::Touch { id, phase, x, y } => {
            let phase = match phase {
                TouchPhase::Begin => "begin",
                TouchPhase::Move => "move",
                TouchPhase::End => "end",
                TouchPhase::Cancel => "cancel",
            };
            json!({"kind": "touch", "id": id, "phase": phase, "x": x, "y": y})
        }
        InputEvent::Pad { pad, state } => json!({"kind": "pad", "pad": pad, "state": pad_value(state)}),
        InputEvent::PadGone { pad } => json!({"kind": "pad_gone", "pad": pad}),
        InputEvent::Text(text) => json!({"kind": "text", "text": text}),
    };
    value["age"] = json!(timed.age);
    value
}

/// `held.keys` lists the codes that are down, ascending.
fn value(packet: &InputPacket) -> Value {
    let keys: Vec<u8> = (0..=255).filter(|&code| packet.held.is_down(Key(code))).collect();
    let pads: Vec<Value> =
        packet.held.pads.iter().map(|(pad, state)| json!({"pad": pad, "state": pad_value(state)})).collect();
    json!({
        "seat": packet.seat.0, "focused": packet.focused, "first_serial": packet.first_serial,
        "sent_us": packet.sent_us, "events": packet.events.iter().map(event_value).collect::<Vec<_>>(),
        "held": {"keys": keys, "buttons": packet.held.buttons, "pads": pads},
    })
}

fn packet(first_serial: u32, events: Vec<InputEvent>) -> InputPacket {
    let events =
        events.into_iter().enumerate().map(|(i, event)| TimedEvent { age: 100 - i as u16, event }).collect();
    InputPacket {
        seat: Seat(0),
        focused: true,
        first_serial,
        sent_us: 60_000_000,
        events,
        held: HeldState::default(),
    }
}

fn held(keys: &[u8], buttons: u8, pads: Vec<(u8, PadState)>) -> HeldState {
    let mut held = HeldState { buttons, pads, ..HeldState::default() };
    keys.iter().for_each(|&code| held.set_key(Key(code), true));
    held
}

const PAD: PadState = PadState { buttons: 0x0001_0801, axes: [-32767, 32767, 1, -1], triggers: [0, 65535] };

fn one_of_each() -> Vec<(&'static str, InputEvent)> {
    let touch = |phase| InputEvent::Touch { id: 7, phase, x: 16_384, y: 65_535 };
    vec![
        ("a key down", InputEvent::Key { key: Key(26), down: true }),
        ("a key up", InputEvent::Key { key: Key(231), down: false }),
        ("relative motion", InputEvent::Motion { dx: -32_768, dy: 32_767 }),
        ("an absolute position", InputEvent::Position { x: 0, y: 65_535 }),
        ("a button down", InputEvent::Button { button: 0, down: true }),
        ("a button up", InputEvent::Button { button: 4, down: false }),
        ("the wheel", InputEvent::Wheel { dx: 0, dy: -120 }),
        ("a touch begins", touch(TouchPhase::Begin)),
        ("a touch moves", touch(TouchPhase::Move)),
        ("a touch ends", touch(TouchPhase::End)),
        ("a touch is cancelled", touch(TouchPhase::Cancel)),
        ("a pad's state", InputEvent::Pad { pad: 3, state: PAD }),
        ("a pad is unplugged", InputEvent::PadGone { pad: 3 }),
        ("text", InputEvent::Text("é🙂".to_owned())),
        ("empty text", InputEvent::Text(String::new())),
    ]
}

fn packets() -> Vec<(String, InputPacket)> {
    let mut packets: Vec<(String, InputPacket)> = one_of_each()
        .into_iter()
        .enumerate()
        .map(|(i, (name, event))| (name.to_owned(), packet(1 + i as u32, vec![event])))
        .collect();
    let all: Vec<InputEvent> = one_of_each().into_iter().map(|(_, event)| event).collect();
    let mut add = |name: &str, packet: InputPacket| packets.push((name.to_owned(), packet));
    add("no event, nothing held", packet(1, vec![]));
    add("one of each event", packet(500, all));
    add(
        "keys, buttons and pads held",
        InputPacket {
            held: held(&[0, 4, 26, 79, 225, 255], 0b1_0001, vec![(0, PadState::default()), (2, PAD)]),
            ..packet(77, vec![])
        },
    );
    add("no focus", InputPacket { focused: false, seat: Seat(3), ..packet(78, vec![]) });
    add("a viewer's packet", InputPacket { seat: Seat::VIEWER, ..packet(1, vec![]) });
    add(
        "serials that wrap",
        packet(u32::MAX, vec![InputEvent::Motion { dx: 1, dy: 0 }, InputEvent::Motion { dx: 2, dy: 0 }]),
    );
    add("as many events as fit", packet(9, vec![InputEvent::Motion { dx: 8, dy: -8 }; MAX_EVENTS]));
    add("the longest text", packet(10, vec![InputEvent::Text("x".repeat(MAX_TEXT))]));
    // 2^53 − 1: the largest integer that a JSON number carries exactly into JavaScript.
    add("the latest clock", InputPacket { sent_us: 9_007_199_254_740_991, ..packet(11, vec![]) });
    packets
}

fn bytes(packet: &InputPacket) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.write(&mut bytes);
    bytes
}

fn refused() -> Vec<Value> {
    const FIRST_EVENT: usize = 16;
    let empty = bytes(&packet(1, vec![]));
    let button = bytes(&packet(1, vec![InputEvent::Button { button: 0, down: true }]));
    let touch = bytes(&packet(1, vec![InputEvent::Touch { id: 0, phase: TouchPhase::Begin, x: 0, y: 0 }]));
    let pad = bytes(&packet(1, vec![InputEvent::PadGone { pad: 0 }]));
    let text = bytes(&packet(1, vec![InputEvent::Text("a".to_owned())]));
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    [
        ("nothing", vec![]),
        ("a version from the future", with(&empty, 0, 2)),
        ("an unknown flag", with(&empty, 2, 2)),
        ("more events than allowed", with(&empty, 3, 65)),
        ("fewer events than announced", with(&empty, 3, 1)),
        ("an unknown event", with(&button, FIRST_EVENT, 12)),
        ("event tag zero", with(&button, FIRST_EVENT, 0)),
        ("a sixth mouse button", with(&button, FIRST_EVENT + 3, 5)),
        ("an unknown touch phase", with(&touch, FIRST_EVENT + 4, 4)),
        ("a fifth pad", with(&pad, FIRST_EVENT + 3, 4)),
        ("text that is too long", with(&text, FIRST_EVENT + 3, 65)),
        ("text that is not UTF-8", with(&text, FIRST_EVENT + 4, 0xff)),
        ("five pads held", with(&empty, empty.len() - 1, 5)),
        ("a packet cut short", empty[..empty.len() - 1].to_vec()),
        ("a byte too many", [&empty[..], &[0]].concat()),
    ]
    .iter()
    .map(|(name, bytes)| golden::refused(name, bytes, InputPacket::parse))
    .collect()
}

#[test]
fn input_packets_have_these_bytes() {
    let good = packets().into_iter().map(|(name, packet)| {
        let bytes = bytes(&packet);
        assert_eq!(InputPacket::parse(&bytes).as_ref(), Ok(&packet), "{name}");
        json!({"name": name, "hex": hex::encode(bytes), "value": value(&packet)})
    });
    golden::check("input.json", &good.chain(refused()).collect());
}
