//! Logging to stderr; stdout is for what other programs read.

use crate::options::General;
use anyhow::{Context, Result};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise: our own news, and the libraries' troubles.
const DEFAULT_FILTER: &str = "warn,nearframe=info,nearframe_server=info,nearframe_matchmaker=info,\
    nearframe_gpu=info,nearframe_title=info,nearframe_encode=info,\
    nearframe_compositor=info,nearframe_sandbox=info,nearframe_sound=info,nearframe_pads=info";
/// Added to every filter that names no module: these libraries warn of what every healthy connection does.
const CALMED: &str = "pulseaudio=off,rtc=error,rtc_dtls=error,rtc_ice=error,rtc_sctp=error";

/// Starts logging for the rest of the process.
pub(crate) fn start(general: &General) -> Result<()> {
    let wanted = general.log.as_deref().unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(calmed(wanted)).with_context(|| {
        format!("log = {wanted:?}: allowed are filters such as info or nearframe_server=debug")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    if general.log_json == Some(true) {
        lines.json().init();
    } else {
        lines.init();
    }
    Ok(())
}

/// Who names modules knows what to expect of them.
fn calmed(wanted: &str) -> String {
    let names_modules = wanted != DEFAULT_FILTER && wanted.contains('=');
    if names_modules { wanted.to_owned() } else { format!("{wanted},{CALMED}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_calm_unless_modules_are_named() {
        for calm in ["info", "warn", DEFAULT_FILTER] {
            assert!(calmed(calm).ends_with(CALMED), "{calm}");
            assert!(EnvFilter::try_new(calmed(calm)).is_ok());
        }
        assert_eq!(calmed("rtc=debug"), "rtc=debug");
    }
}
