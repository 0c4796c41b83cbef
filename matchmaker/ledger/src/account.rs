//! Accounts: whose money it is.

use nearframe_protocol::{NodeId, TitleId};
use std::fmt;
use std::str::FromStr;

/// One side of a transfer. Its text form, such as `host:6f1c…`, is what the database keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The studio that publishes a title; pays for its sessions.
    Studio(TitleId),
    /// The owner of a node; earns.
    Host(NodeId),
    /// Whoever runs the matchmaker; keeps the fee.
    Platform,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Studio(title) => write!(f, "studio:{title}"),
            Self::Host(node) => write!(f, "host:{node}"),
            Self::Platform => f.write_str("platform"),
        }
    }
}

/// A text that names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an account: expected studio:<title>, host:<node> or platform")]
pub struct AccountError;

impl FromStr for Account {
    type Err = AccountError;
    fn from_str(text: &str) -> Result<Self, AccountError> {
        match text.split_once(':') {
            Some(("studio", title)) => TitleId::new(title).map(Self::Studio).map_err(|_| AccountError),
            Some(("host", node)) => node.parse().map(Self::Host).map_err(|_| AccountError),
            None if text == "platform" => Ok(Self::Platform),
            _ => Err(AccountError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back_and_rubbish_is_refused() {
        let accounts = [
            Account::Studio(TitleId::new("meteor").unwrap()),
            Account::Host(NodeId::from_random([7; 16])),
            Account::Platform,
        ];
        for account in accounts {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for rubbish in ["", "platform:", "studio:", "studio:A", "host:1", "bank:x"] {
            assert_eq!(rubbish.parse::<Account>(), Err(AccountError), "{rubbish}");
        }
    }
}
