//! Golden vectors: files that other programs read as well.

use std::path::Path;

/// Compares a file of `vectors/` with what the code writes; `UPDATE_VECTORS=1` rewrites it.
pub(crate) fn compare(name: &str, value: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "{name} is not what this code writes: a form changed, or UPDATE_VECTORS=1 is due");
}
