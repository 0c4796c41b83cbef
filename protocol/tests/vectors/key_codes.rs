//! `key_codes.json`: `KeyboardEvent.code` → USB HID usage id.

use crate::golden;
use nearframe_protocol::input::{KEY_CODES, Key};
use serde_json::{Value, json};

#[test]
fn every_key_position_has_its_hid_usage() {
    let table: Vec<Value> = KEY_CODES.iter().map(|(code, hid)| json!({"code": code, "hid": hid})).collect();
    golden::check("key_codes.json", &Value::from(table));
    for (code, hid) in KEY_CODES {
        assert_eq!(Key::from_code(code), Some(Key(*hid)));
        assert_eq!(Key(*hid).code(), Some(*code));
    }
}
