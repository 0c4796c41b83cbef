//! The TOML file: found, read and checked.

use crate::options::{Agent, Door, Enrolment, General, Matchmaking, Node};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The system's file, read when no `--config` names another.
const SYSTEM_FILE: &str = "/etc/nearframe/nearframe.toml";

/// The file's whole schema. An absent file is the default one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    data: Option<PathBuf>,
    log: Option<String>,
    log_json: Option<bool>,
    pub(crate) door: Door,
    pub(crate) matchmaker: Matchmaking,
    pub(crate) node: Node,
    pub(crate) enrolment: Enrolment,
    pub(crate) agent: Agent,
}

impl ConfigFile {
    /// Reads `named`, or else the user's file, or else the system's, where one exists.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self> {
        if let Some(path) = named {
            let text = fs::read_to_string(path).with_context(|| format!("--config {}", path.display()))?;
            return Self::parse(&text).with_context(|| format!("in {}", path.display()));
        }
        for path in user_file().into_iter().chain([PathBuf::from(SYSTEM_FILE)]) {
            match fs::read_to_string(&path) {
                Ok(text) => return Self::parse(&text).with_context(|| format!("in {}", path.display())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
            }
        }
        Ok(Self::default())
    }

    /// Checks `text` against the schema; the error names the line, the key and what is allowed.
    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))
    }

    /// The keys at the top of the file.
    pub(crate) fn general(&self) -> General {
        General { data: self.data.clone(), log: self.log.clone(), log_json: self.log_json }
    }
}

/// `$XDG_CONFIG_HOME/nearframe/nearframe.toml`, or the same under `~/.config`.
fn user_file() -> Option<PathBuf> {
    let base =
        absolute_env("XDG_CONFIG_HOME").or_else(|| absolute_env("HOME").map(|home| home.join(".config")))?;
    Some(base.join("nearframe").join("nearframe.toml"))
}

/// An environment variable that holds an absolute path; the XDG specification ignores relative ones.
pub(crate) fn absolute_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_what_is_allowed() {
        let error = ConfigFile::parse("log = \"info\"\n[door]\nlisen = \"127.0.0.1:1\"\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line 3"), "{text}");
        assert!(text.contains("lisen"), "{text}");
        assert!(text.contains("`listen`"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
        let text = ConfigFile::parse("[node]\nslots = \"many\"\n").unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("slots"), "{text}");
    }

    #[test]
    fn every_section_is_read() {
        let file = ConfigFile::parse(
            "data = \"/srv/nf\"\n[door]\nlisten = \"[::1]:9\"\n[node]\nmedia_bind = [\"::1\"]\nice_tcp = true\n\
             [matchmaker]\ncurrency = \"EUR\"\n[enrolment]\nmatchmaker = \"https://a.example\"\n",
        )
        .unwrap();
        assert_eq!(file.general().data, Some(PathBuf::from("/srv/nf")));
        assert_eq!(file.door.listen, Some("[::1]:9".parse().unwrap()));
        assert_eq!(file.node.ice_tcp, Some(true));
        assert_eq!(file.matchmaker.currency.as_deref(), Some("EUR"));
        assert_eq!(file.enrolment.matchmaker.as_deref(), Some("https://a.example"));
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error() {
        let text = format!("{:#}", ConfigFile::find(Some(Path::new("/nonexistent/nf.toml"))).unwrap_err());
        assert!(text.contains("--config /nonexistent/nf.toml"), "{text}");
    }
}
