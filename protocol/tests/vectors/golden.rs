//! Comparing and rewriting the committed files, in one JSON form that no feature of a library changes.

use nearframe_protocol::wire::WireError;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Asserts that the committed file holds exactly these entries; rewrites it under `UPDATE_VECTORS`.
pub(crate) fn check(file: &str, entries: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let mut text = String::new();
    write_pretty(entries, 0, &mut text);
    text.push('\n');
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "vectors/{file} differs from what the code writes; if that is meant, run with UPDATE_VECTORS=1"
    );
}

/// A vector of bytes that must be refused.
pub(crate) fn refused<T: std::fmt::Debug>(
    name: &str,
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, WireError>,
) -> Value {
    let error = match parse(bytes).unwrap_err() {
        WireError::Short => "short".to_owned(),
        WireError::Trailing => "trailing".to_owned(),
        WireError::Version(version) => format!("version {version}"),
        WireError::Range(field) => format!("range {field}"),
    };
    json!({"name": name, "hex": hex::encode(bytes), "error": error})
}

/// Objects with sorted keys, two spaces an indent; arrays of plain values stay on one line.
fn write_pretty(value: &Value, indent: usize, out: &mut String) {
    let newline = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", indent));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (i, (key, value)) in entries.into_iter().enumerate() {
                out.push(if i == 0 { '{' } else { ',' });
                newline(out, indent + 1);
                write!(out, "{}: ", Value::from(key.as_str())).unwrap();
                write_pretty(value, indent + 1, out);
            }
            newline(out, indent);
            out.push('}');
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (i, item) in items.iter().enumerate() {
                out.push(if i == 0 { '[' } else { ',' });
                newline(out, indent + 1);
                write_pretty(item, indent + 1, out);
            }
            newline(out, indent);
            out.push(']');
        }
        plain => write!(out, "{plain}").unwrap(),
    }
}
