//! A small database, written here as the format's page says (MaxMind DB 2.0), and what is read from it.

use super::*;
use std::collections::BTreeMap;

/// A value of the format.
enum Value {
    Text(&'static str),
    Double(f64),
    U32(u32),
    U16(u16),
    U64(u64),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let control = |out: &mut Vec<u8>, kind: u8, size: usize| {
            assert!(size < 29, "small values only");
            if kind < 8 { out.push(kind << 5 | size as u8) } else { out.extend([size as u8, kind - 7]) }
        };
        let unsigned = |out: &mut Vec<u8>, kind: u8, value: u64| {
            let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            control(out, kind, bytes.len());
            out.extend(bytes);
        };
        match self {
            Self::Text(text) => {
                control(out, 2, text.len());
                out.extend(text.bytes());
            }
            Self::Double(value) => {
                control(out, 3, 8);
                out.extend(value.to_be_bytes());
            }
            Self::U16(value) => unsigned(out, 5, u64::from(*value)),
            Self::U32(value) => unsigned(out, 6, u64::from(*value)),
            Self::U64(value) => unsigned(out, 9, *value),
            Self::Map(pairs) => {
                control(out, 7, pairs.len());
                for (key, value) in pairs {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
            Self::List(values) => {
                control(out, 11, values.len());
                values.iter().for_each(|value| value.write(out));
            }
        }
    }
}

/// A database of IPv4 networks.
fn database(networks: &[([u8; 4], u8, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    // Nodes are pairs; a child is a node, a place in the data, or nothing.
    #[derive(Clone, Copy)]
    enum Child {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Child::Nothing; 2]];
    for (network, length, value) in networks {
        let at = data.len();
        value.write(&mut data);
        let bits = u32::from_be_bytes(*network);
        let mut node = 0;
        for depth in 0..*length {
            let bit = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == *length {
                nodes[node][bit] = Child::Data(at);
            } else if let Child::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Child::Nothing; 2]);
                nodes[node][bit] = Child::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len() as u32;
    let mut out = Vec::new();
    for child in nodes.iter().flatten() {
        let record = match child {
            Child::Nothing => count,
            Child::Node(node) => *node as u32,
            Child::Data(at) => count + 16 + *at as u32,
        };
        out.extend(record.to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(&data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(1_700_000_000)),
        ("database_type", Value::Text("nearframe-test")),
        ("description", Value::Map(vec![("en", Value::Text("made by a test"))])),
        ("ip_version", Value::U16(4)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::U32(count)),
        ("record_size", Value::U16(32)),
    ])
    .write(&mut out);
    out
}

fn berlin() -> Value {
    Value::Map(vec![
        ("city", Value::Map(vec![("geoname_id", Value::U32(2_950_159))])),
        ("country", Value::Map(vec![("iso_code", Value::Text("DE"))])),
        (
            "location",
            Value::Map(vec![("latitude", Value::Double(52.52)), ("longitude", Value::Double(13.405))]),
        ),
    ])
}

fn opened(databases: &[Vec<u8>]) -> Addresses {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = databases
        .iter()
        .enumerate()
        .map(|(at, bytes)| {
            let path = folder.path().join(format!("{at}.mmdb"));
            std::fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    Addresses::open(&paths).unwrap()
}

fn of(addresses: &Addresses, text: &str) -> Found {
    addresses.of(text.parse().unwrap())
}

#[test]
fn place_country_and_network_come_from_whichever_database_knows_them() {
    let places = database(&[([192, 0, 2, 0], 24, berlin())]);
    let asn = Value::Map(vec![("autonomous_system_number", Value::U32(64_512))]);
    let networks = database(&[([192, 0, 0, 0], 8, asn)]);
    let addresses = opened(&[places, networks]);
    let found = of(&addresses, "192.0.2.77");
    assert_eq!(found.place, Place::new(52.52, 13.405));
    assert_eq!(
        (found.country.as_deref(), found.asn, found.metro),
        (Some("DE"), Some(64_512), Some(2_950_159))
    );
    assert_eq!(of(&addresses, "::ffff:192.0.2.77"), found, "an IPv4 address in IPv6 form is the same");
    let elsewhere = of(&addresses, "192.1.0.1");
    assert_eq!((elsewhere.place, elsewhere.asn), (None, Some(64_512)));
    assert_eq!(of(&addresses, "10.0.0.1"), Found::default());
    assert_eq!(
        of(&addresses, "2001:db8::1"),
        Found::default(),
        "a database without IPv6 knows no such address"
    );
}

#[test]
fn flat_layouts_serve_as_well_and_other_forms_of_a_field_are_nothing() {
    let flat = Value::Map(vec![
        ("city", Value::Text("Paris")),
        ("country_code", Value::Text("FR")),
        ("latitude", Value::Double(48.85)),
        ("longitude", Value::Double(2.35)),
        ("asn", Value::Text("AS64513")),
    ]);
    let found = of(&opened(&[database(&[([198, 51, 100, 0], 24, flat)])]), "198.51.100.1");
    assert_eq!((found.place, found.country.as_deref()), (Place::new(48.85, 2.35), Some("FR")));
    assert_eq!(found.asn, None);
    assert!(found.metro.is_some(), "by its place");
}

#[test]
fn without_a_database_nothing_is_known_and_a_file_that_is_none_is_refused() {
    assert_eq!(of(&Addresses::default(), "192.0.2.1"), Found::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rubbish.mmdb");
    std::fs::write(&path, b"rubbish").unwrap();
    let message = Addresses::open(&[path]).unwrap_err().to_string();
    assert!(message.starts_with("address_databases"), "{message}");
    let missing = Addresses::open(&[folder.path().join("missing.mmdb")]);
    assert!(missing.is_err());
}

#[test]
fn damaged_databases_make_nothing_fail() {
    let whole = database(&[([192, 0, 2, 0], 24, berlin())]);
    let mut counts: BTreeMap<bool, u32> = BTreeMap::new();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        let opened = Reader::from_source(damaged);
        *counts.entry(opened.is_ok()).or_default() += 1;
        if let Ok(reader) = opened {
            of(&Addresses(vec![reader]), "192.0.2.1");
        }
    }
    assert!(counts[&true] > 0, "some damage is found only by looking: {counts:?}");
}
