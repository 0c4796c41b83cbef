//! What a manifest may say, and errors that name line and key.

use super::{Run, TitleKind, TitleManifest, TouchControl, TouchControlKind, TouchLayout};
use crate::input::KEY_CODES;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

/// Longest argument or value of the environment, in bytes.
const MAX_ARGUMENT: usize = 4096;
/// Arguments, variables, saved paths, packages, regions: no list of a manifest is longer.
const MAX_LIST: usize = 64;
/// Controls of one touch layout.
const MAX_CONTROLS: usize = 32;
/// Touch layouts of one title.
const MAX_LAYOUTS: usize = 8;

/// What can be wrong with a title's manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Bad id.
    #[error("a title id is 1 to 64 of a-z, 0-9 and '-'")]
    Id,
    /// Not TOML, or not these keys. Carries line and column.
    #[error("{0}")]
    Syntax(String),
    /// A value that is not allowed.
    #[error("{}{key}: allowed is {allowed}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Value {
        /// Dotted key.
        key: String,
        /// What would be right.
        allowed: &'static str,
        /// Line of the key, where the text has one.
        line: Option<usize>,
    },
}

type Checked = Result<(), TitleError>;

fn bad(key: impl Into<String>, allowed: &'static str) -> Checked {
    Err(TitleError::Value { key: key.into(), allowed, line: None })
}

fn within(key: &str, fits: bool, allowed: &'static str) -> Checked {
    if fits { Ok(()) } else { bad(key, allowed) }
}

impl TitleManifest {
    /// Reads `title.toml`; the error names line and key.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let manifest: Self = toml::from_str(text).map_err(|error| TitleError::Syntax(error.to_string()))?;
        manifest.check().map_err(|error| error.at_line_of(text))?;
        Ok(manifest)
    }

    fn check(&self) -> Checked {
        within("name", !self.name.trim().is_empty() && self.name.len() <= 128, "1 to 128 bytes")?;
        within("version", (1..=64).contains(&self.version.len()), "1 to 64 bytes")?;
        within("description", self.description.len() <= 2000, "at most 2000 bytes")?;
        inside("cover", self.cover.as_deref())?;
        self.run.check()?;
        inside("touch.layout", self.touch.layout.as_deref())?;
        check_layouts(&self.touch.layouts)?;
        let requires = &self.requires;
        within("requires.packages", requires.packages.len() <= MAX_LIST, "at most 64 names")?;
        let named = requires.packages.iter().all(|name| is_package(name));
        within("requires.packages", named, "names of packages such as \"freedoom\"")?;
        within("requires.memory_mib", (64..=1 << 20).contains(&requires.memory_mib), "64 to 1048576 (MiB)")?;
        within("requires.processes", (1..=32_768).contains(&requires.processes), "1 to 32768")?;
        let policy = &self.policy;
        within("policy.idle_timeout_s", policy.idle_timeout_s >= 10, "10 or more (seconds)")?;
        within("policy.keep_s", (30..=86_400).contains(&policy.keep_s), "30 to 86400 (seconds)")?;
        let regions = policy.regions.len() <= MAX_LIST && policy.regions.iter().all(|code| is_region(code));
        within("policy.regions", regions, "ISO 3166 codes such as \"DE\" or \"US-CA\"")
    }
}

impl Run {
    fn check(&self) -> Checked {
        for (key, value) in [("run.width", self.width), ("run.height", self.height)] {
            let fits = (64..=4096).contains(&value) && value.is_multiple_of(2);
            within(key, fits, "an even number from 64 to 4096")?;
        }
        within("run.fps", (1..=240).contains(&self.fps), "1 to 240")?;
        if let Some(hdr) = self.hdr {
            within("run.hdr.peak_nits", (203..=10_000).contains(&hdr.peak_nits), "203 to 10000 (cd/m²)")?;
            let average = (1..=hdr.peak_nits).contains(&hdr.average_nits);
            within("run.hdr.average_nits", average, "1 to run.hdr.peak_nits (cd/m²)")?;
        }
        inside("run.scene", self.scene.as_deref())?;
        let app = self.kind == TitleKind::App;
        match self.kind {
            TitleKind::Builtin => {
                within("run.builtin", self.builtin.is_some(), "the name of a built-in title")?;
            }
            TitleKind::Scene => {
                within("run.scene", self.scene.is_some(), "a .glb or .gltf file in the folder")?;
            }
            TitleKind::App => self.check_command()?,
        }
        for (key, set) in [
            ("run.builtin", self.builtin.is_some() && self.kind != TitleKind::Builtin),
            ("run.hdr", self.hdr.is_some() && self.kind != TitleKind::Builtin),
            ("run.scene", self.scene.is_some() && self.kind != TitleKind::Scene),
            ("run.command", !self.command.is_empty() && !app),
            ("run.env", !self.env.is_empty() && !app),
            ("run.saves", !self.saves.is_empty() && !app),
        ] {
            within(key, !set, "nothing: it belongs to another run.kind")?;
        }
        Ok(())
    }

    fn check_command(&self) -> Checked {
        const COMMAND: &str = "the program and up to 63 arguments: an absolute path, or a file in the folder";
        let arguments = (1..=MAX_LIST).contains(&self.command.len())
            && self.command.iter().all(|argument| argument.len() <= MAX_ARGUMENT && !argument.contains('\0'));
        let program = self.command.first().map_or("", String::as_str);
        let found = program.strip_prefix('/').unwrap_or(program);
        within("run.command", arguments && is_inside(found.strip_prefix("./").unwrap_or(found)), COMMAND)?;
        let variables = self.env.len() <= MAX_LIST
            && self.env.iter().all(|(name, value)| {
                is_variable(name) && value.len() <= MAX_ARGUMENT && !value.contains('\0')
            });
        within("run.env", variables, "up to 64 variables named [A-Za-z_][A-Za-z0-9_]*, none of them LD_*")?;
        within("run.saves", self.saves.len() <= MAX_LIST, "at most 64 paths")?;
        let saves = self.saves.iter().all(|path| is_inside(path) && path.len() <= 256);
        within("run.saves", saves, "relative paths below the title's home, without '..'")
    }
}

impl TitleError {
    /// Adds the line where the key stands, or its nearest parent that stands in the text.
    fn at_line_of(self, text: &str) -> Self {
        let Self::Value { key, allowed, line: None } = self else { return self };
        let line = line_of(text, &key);
        Self::Value { key, allowed, line }
    }
}

fn line_of(text: &str, dotted: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for part in dotted.split('.') {
        let Some((key, value)) = table.get_key_value(part) else { break };
        found = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found.map(|offset| text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1)
}

/// A touch layout file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutFile {
    layouts: Vec<TouchLayout>,
}

/// Reads a file of `[[layouts]]` with their `[[layouts.controls]]`.
///
/// # Errors
/// Not TOML, unknown keys, or values that are not allowed; the text names line and key.
pub fn parse_touch_layouts(text: &str) -> Result<Vec<TouchLayout>, TitleError> {
    let file: LayoutFile = toml::from_str(text).map_err(|error| TitleError::Syntax(error.to_string()))?;
    check_layouts(&file.layouts).map_err(|error| error.at_line_of(text))?;
    Ok(file.layouts)
}

fn check_layouts(layouts: &[TouchLayout]) -> Checked {
    within("layouts", layouts.len() <= MAX_LAYOUTS, "at most 8")?;
    for (index, layout) in layouts.iter().enumerate() {
        let key = |name: &str| format!("layouts[{index}].{name}");
        within(&key("name"), (1..=32).contains(&layout.name.len()), "1 to 32 bytes")?;
        within(&key("controls"), layout.controls.len() <= MAX_CONTROLS, "at most 32")?;
        for (at, control) in layout.controls.iter().enumerate() {
            check_control(control).map_err(|(name, allowed)| TitleError::Value {
                key: key(&format!("controls[{at}].{name}")),
                allowed,
                line: None,
            })?;
        }
    }
    Ok(())
}

fn check_control(control: &TouchControl) -> Result<(), (&'static str, &'static str)> {
    const CODES: &str = "names of KeyboardEvent.code such as \"KeyW\" or \"ControlLeft\"";
    let known = |codes: &[String]| codes.iter().all(|code| KEY_CODES.iter().any(|(name, _)| name == code));
    let acts = !control.keys.is_empty()
        || control.button.is_some()
        || control.pad.is_some()
        || control.wheel.is_some();
    let steers = control.directions.len() == 4 || control.pad_stick.is_some();
    let checks = [
        ("x", control.x <= 100, "0 to 100 (percent)"),
        ("y", control.y <= 100, "0 to 100 (percent)"),
        ("size", (5..=100).contains(&control.size), "5 to 100 (percent)"),
        ("label", control.label.as_ref().is_none_or(|label| label.len() <= 24), "at most 24 bytes"),
        ("keys", control.keys.len() <= 4 && known(&control.keys), CODES),
        (
            "directions",
            matches!(control.directions.len(), 0 | 4) && known(&control.directions),
            "four names of KeyboardEvent.code: up, left, down, right",
        ),
        ("button", control.button.is_none_or(|button| button <= 4), "0 to 4"),
        ("pad", control.pad.is_none_or(|button| button <= 16), "0 to 16"),
        ("wheel", control.wheel.is_none_or(|notches| matches!(notches, -1 | 1)), "-1 or 1"),
        (
            "sensitivity",
            control.sensitivity.is_none_or(|percent| (10..=1000).contains(&percent)),
            "10 to 1000 (percent)",
        ),
        (
            "kind",
            control.kind != TouchControlKind::Button || acts,
            "a button with keys, button, pad or wheel",
        ),
        (
            "kind",
            !matches!(control.kind, TouchControlKind::Stick | TouchControlKind::Dpad) || steers,
            "a stick or dpad with directions or pad_stick",
        ),
    ];
    checks.into_iter().find(|(_, fits, _)| !fits).map_or(Ok(()), |(name, _, allowed)| Err((name, allowed)))
}

fn inside(key: &str, path: Option<&str>) -> Checked {
    within(key, path.is_none_or(is_inside), "a relative path without '..'")
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn is_package(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.:".contains(&b))
}

fn is_region(code: &str) -> bool {
    let (country, part) = code.split_once('-').unwrap_or((code, "0"));
    let upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    country.len() == 2 && upper(country) && (1..=3).contains(&part.len()) && upper(part)
}

/// What the loader reads stays ours.
fn is_variable(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with("LD_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "id = \"a-1\"\nname = \"A\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\nbuiltin = \"meteor\"\n";
    const APP: &str = "id = \"a-1\"\nname = \"A\"\nversion = \"1\"\n[run]\nkind = \"app\"\n";

    fn refusal(text: &str) -> String {
        TitleManifest::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_minimal_manifest_has_defaults() {
        let manifest = TitleManifest::parse(GOOD).unwrap();
        assert_eq!((manifest.run.width, manifest.run.height, manifest.run.fps), (1280, 720, 60));
        assert_eq!(manifest.policy.idle_timeout_s, 300);
    }

    #[test]
    fn a_wrong_manifest_is_refused_naming_line_and_key() {
        let unknown = refusal(&format!("{GOOD}speed = 3\n"));
        assert!(unknown.contains("line 7") && unknown.contains("speed"), "{unknown}");
        let odd = refusal(&format!("{GOOD}width = 333\n"));
        assert!(odd.contains("line 7") && odd.contains("run.width"), "{odd}");
        let outside = refusal(&format!("cover = \"../x.png\"\n{GOOD}"));
        assert!(outside.contains("line 1") && outside.contains("cover"), "{outside}");
        let absent = refusal(APP);
        assert!(absent.contains("line 4") && absent.contains("run.command"), "{absent}");
    }

    #[test]
    fn programs_and_what_belongs_to_them() {
        let app = |rest: &str| TitleManifest::parse(&format!("{APP}{rest}"));
        for command in ["/usr/games/chocolate-doom", "bin/game", "./game"] {
            assert!(app(&format!("command = [\"{command}\", \"-x\"]")).is_ok(), "{command}");
        }
        for wrong in ["", "../game", "/usr/../bin/sh", "/", "a//b"] {
            let text = app(&format!("command = [\"{wrong}\"]")).unwrap_err().to_string();
            assert!(text.contains("run.command"), "{wrong}: {text}");
        }
        let preload = app("command = [\"a\"]\nenv = { LD_PRELOAD = \"x\" }").unwrap_err().to_string();
        assert!(preload.contains("run.env"), "{preload}");
        let save = app("command = [\"a\"]\nsaves = [\"../../etc\"]").unwrap_err().to_string();
        assert!(save.contains("line 7") && save.contains("run.saves"), "{save}");
        assert!(refusal(&format!("{GOOD}command = [\"a\"]")).contains("run.command"));
    }

    #[test]
    fn high_dynamic_range_is_said_with_its_light_and_by_titles_that_can_draw_it() {
        let hdr = |text: &str| TitleManifest::parse(&format!("{GOOD}{text}"));
        assert_eq!(hdr("").unwrap().run.hdr, None);
        let default = hdr("hdr = {}").unwrap().run.hdr.unwrap();
        assert_eq!((default.peak_nits, default.average_nits), (1000, 400));
        let own = hdr("hdr = { peak_nits = 4000, average_nits = 4000 }").unwrap().run.hdr.unwrap();
        assert_eq!((own.peak_nits, own.average_nits), (4000, 4000));
        for (wrong, key) in [
            ("hdr = { peak_nits = 100 }", "run.hdr.peak_nits"),
            ("hdr = { peak_nits = 10001 }", "run.hdr.peak_nits"),
            ("hdr = { peak_nits = 300 }", "run.hdr.average_nits"),
            ("hdr = { average_nits = 0 }", "run.hdr.average_nits"),
            ("hdr = { bright = 1 }", "bright"),
        ] {
            let text = hdr(wrong).unwrap_err().to_string();
            assert!(text.contains("line 7") && text.contains(key), "{text}");
        }
        let program = refusal(&format!("{APP}command = [\"a\"]\nhdr = {{}}\n"));
        assert!(program.contains("run.hdr"), "{program}");
    }

    #[test]
    fn touch_layouts_are_checked_naming_the_control() {
        let good = "[[layouts]]\nname = \"Play\"\n[[layouts.controls]]\nkind = \"button\"\nx = 90\ny = 80\nsize = 16\nkeys = [\"ControlLeft\"]\n";
        assert_eq!(parse_touch_layouts(good).unwrap()[0].controls.len(), 1);
        for (from, to, key) in [
            ("ControlLeft", "Ctrl", "layouts[0].controls[0].keys"),
            ("x = 90", "x = 190", "layouts[0].controls[0].x"),
            ("keys = [\"ControlLeft\"]\n", "", "layouts[0].controls[0].kind"),
        ] {
            let text = parse_touch_layouts(&good.replace(from, to)).unwrap_err().to_string();
            assert!(text.contains(key), "{text}");
        }
        assert!(
            parse_touch_layouts(&good.replace("size", "girth")).unwrap_err().to_string().contains("girth")
        );
    }
}
