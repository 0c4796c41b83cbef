//! The command line: subcommands, and the layers of configuration put together.

use crate::file::ConfigFile;
use crate::options::{Agent, Door, Enrolment, General, Matchmaking, Node, Record};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Games and real-time renderings, streamed from the nearest GPU.
#[derive(Debug, Parser)]
#[command(name = "nearframe", version, arg_required_else_help = true, propagate_version = true)]
pub(crate) struct CommandLine {
    /// TOML file; flags and environment go before it
    #[arg(long, env = "NEARFRAME_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    general: General,
    #[command(subcommand)]
    command: Command,
}

/// What to do, with the options of this layer.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one is made, once")]
pub(crate) enum Command {
    /// Run a matchmaker and one node on this machine, ready to play
    Up {
        #[command(flatten)]
        door: Door,
        #[command(flatten)]
        matchmaking: Matchmaking,
        #[command(flatten)]
        node: Node,
    },
    /// Run a matchmaker alone
    Matchmaker {
        #[command(flatten)]
        door: Door,
        #[command(flatten)]
        matchmaking: Matchmaking,
    },
    /// Run a node alone, serving a matchmaker elsewhere
    Node {
        #[command(flatten)]
        enrolment: Enrolment,
        #[command(flatten)]
        node: Node,
    },
    /// Tell what this machine can do, and what to install for the rest
    Doctor {
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Work with titles before they are offered
    Title {
        #[command(subcommand)]
        command: TitleCommand,
    },
    /// Check the record of money
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Check what a host was told about its earnings
    Payout {
        #[command(subcommand)]
        command: PayoutCommand,
    },
    /// Serve the API as tools of the Model Context Protocol, on stdin and stdout
    Mcp {
        #[command(flatten)]
        agent: Agent,
    },
    /// Print the OpenAPI description of the matchmaker's API
    Openapi,
    /// Run one session for a node on this machine
    #[command(hide = true)]
    Worker,
    /// Print the version of the program and of the words it speaks
    Version,
}

/// What to do with titles.
#[derive(Debug, Subcommand)]
pub(crate) enum TitleCommand {
    /// Read every title.toml in a folder and tell what is wrong, by line and key
    Check {
        /// The folder of one title, or of many
        dir: PathBuf,
    },
}

/// What to do with the record of money.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Compute every bill again from its signed receipts, from the beginning, and compare it with what was posted
    Verify {
        #[command(flatten)]
        record: Record,
        /// An answer of GET /v1/ledger/head that was kept: the general ledger has to go on from there
        #[arg(long, value_name = "FILE")]
        head: Vec<PathBuf>,
    },
}

/// What to do with proofs of earnings.
#[derive(Debug, Subcommand)]
pub(crate) enum PayoutCommand {
    /// Check a proof without the network
    Verify {
        /// The proof, as it was downloaded
        file: PathBuf,
        /// The public key of the ledger that settled it, 64 hex digits
        #[arg(long, value_name = "HEX")]
        key: String,
    },
}

impl CommandLine {
    /// Puts the file under the flags and the environment.
    pub(crate) fn layered(self) -> Result<(General, Command)> {
        let reads_file = matches!(
            self.command,
            Command::Up { .. }
                | Command::Matchmaker { .. }
                | Command::Node { .. }
                | Command::Ledger { .. }
                | Command::Mcp { .. }
        );
        if !reads_file {
            return Ok((self.general, self.command));
        }
        let file = ConfigFile::find(self.config.as_deref())?;
        let general = self.general.or(file.general());
        let command = match self.command {
            Command::Up { door, matchmaking, node } => Command::Up {
                door: door.or(file.door),
                matchmaking: matchmaking.or(file.matchmaker),
                node: node.or(file.node),
            },
            Command::Matchmaker { door, matchmaking } => {
                Command::Matchmaker { door: door.or(file.door), matchmaking: matchmaking.or(file.matchmaker) }
            }
            Command::Node { enrolment, node } => {
                Command::Node { enrolment: enrolment.or(file.enrolment), node: node.or(file.node) }
            }
            Command::Mcp { agent } => Command::Mcp { agent: agent.or(file.agent) },
            Command::Ledger { command: LedgerCommand::Verify { record, head } } => {
                let record = record.or(Record { database_url: file.matchmaker.database_url });
                Command::Ledger { command: LedgerCommand::Verify { record, head } }
            }
            other => other,
        };
        Ok((general, command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::fs;

    fn options() -> Vec<(String, String, String)> {
        let command = CommandLine::command();
        let mut found: Vec<_> = command
            .get_subcommands()
            .flat_map(|sub| sub.get_arguments())
            .chain(command.get_arguments())
            .filter(|arg| arg.get_env().is_some())
            .map(|arg| {
                let env = arg.get_env().unwrap().to_string_lossy().into_owned();
                (arg.get_id().to_string(), format!("--{}", arg.get_long().unwrap()), env)
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn up(args: &[&str]) -> (General, Door, Node) {
        let line = CommandLine::parse_from([&["nearframe"], args].concat());
        match line.layered().unwrap() {
            (general, Command::Up { door, node, .. }) => (general, door, node),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_options_flag_variable_and_key_have_one_name() {
        for (key, flag, env) in options() {
            assert_eq!(flag, format!("--{}", key.replace('_', "-")));
            assert_eq!(env, format!("NEARFRAME_{}", key.to_uppercase()));
        }
    }

    #[test]
    fn every_option_is_documented() {
        let page = include_str!("../../docs/configuration.md");
        for (key, flag, env) in options() {
            for name in [format!("`{key}`"), format!("`{flag}`"), format!("`{env}`")] {
                // `config` names the file itself, so the file has no such key.
                assert!(key == "config" || page.contains(&name), "docs/configuration.md lacks {name}");
            }
        }
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nearframe.toml");
        fs::write(&path, "log = \"debug\"\n[door]\nlisten = \"127.0.0.1:1\"\n[node]\nname = \"attic\"\n")
            .unwrap();
        let (general, door, node) =
            up(&["--config", path.to_str().unwrap(), "up", "--listen", "127.0.0.1:2"]);
        assert_eq!(door.listen, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!(node.name.as_deref(), Some("attic"));
        assert_eq!(general.log.as_deref(), Some("debug"));
        assert_eq!(node.slots, None);
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let (_, _, node) = up(&["--config", "/dev/null", "up", "--media-bind", "127.0.0.1,::1"]);
        assert_eq!(node.media_bind.map(|all| all.len()), Some(2));
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
