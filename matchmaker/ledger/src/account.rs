//! Accounts: whose money it is.

use nearframe_protocol::{AccountId, NodeId, TitleId};
use std::fmt;
use std::str::FromStr;

/// One side of a transfer. Its text form, such as `host:6f1c…`, is what databases and journals keep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The studio that publishes a title; pays for its sessions.
    Studio(TitleId),
    /// An account that asked for sessions with a key of its own; pays for them in the studio's place.
    Customer(AccountId),
    /// What a studio has set aside until a dispute or a job is decided.
    Escrow(TitleId),
    /// The owner of a node; earns.
    Host(NodeId),
    /// What the owner of a node posted as a pledge.
    Stake(NodeId),
    /// Whoever runs the matchmaker; keeps the fee.
    Platform,
    /// What subscribers have paid ahead, and not used yet.
    Plans,
    /// What is kept to pay for capacity that stands by, by region.
    Reserve(Label),
    /// What is owed to a tax office, by jurisdiction.
    Tax(Label),
    /// The world outside, by rail: money that came in is on its debit side, money that left on its credit side.
    Rail(Label),
    /// What may still be spent under a cap: of a studio, a key, a title or a player.
    Cap(Label),
    /// The other side of every cap, so that granting and spending are entries as well.
    Grants,
}

/// What names an account that no id names: 1 to 48 lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// Checks and wraps a name.
    pub fn new(text: &str) -> Result<Self, AccountError> {
        let fits = (1..=48).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(AccountError) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Studio(title) => write!(f, "studio:{title}"),
            Self::Customer(account) => write!(f, "customer:{account}"),
            Self::Escrow(title) => write!(f, "escrow:{title}"),
            Self::Host(node) => write!(f, "host:{node}"),
            Self::Stake(node) => write!(f, "stake:{node}"),
            Self::Platform => f.write_str("platform"),
            Self::Plans => f.write_str("plans"),
            Self::Reserve(region) => write!(f, "reserve:{region}"),
            Self::Tax(jurisdiction) => write!(f, "tax:{jurisdiction}"),
            Self::Rail(name) => write!(f, "rail:{name}"),
            Self::Cap(name) => write!(f, "cap:{name}"),
            Self::Grants => f.write_str("grants"),
        }
    }
}

/// A text that names no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an account: expected platform, plans, grants, studio:TITLE, customer:ACCOUNT, escrow:TITLE, host:NODE, stake:NODE, or \
     reserve:, tax:, rail: or cap: with a name of 1 to 48 lower-case letters, digits and hyphens"
)]
pub struct AccountError;

impl FromStr for Account {
    type Err = AccountError;
    fn from_str(text: &str) -> Result<Self, AccountError> {
        let Some((kind, name)) = text.split_once(':') else {
            return match text {
                "platform" => Ok(Self::Platform),
                "plans" => Ok(Self::Plans),
                "grants" => Ok(Self::Grants),
                _ => Err(AccountError),
            };
        };
        let title = || TitleId::new(name).map_err(|_| AccountError);
        let node = || canonical::<NodeId>(name);
        let label = || Label::new(name);
        match kind {
            "studio" => title().map(Self::Studio),
            "customer" => canonical(name).map(Self::Customer),
            "escrow" => title().map(Self::Escrow),
            "host" => node().map(Self::Host),
            "stake" => node().map(Self::Stake),
            "reserve" => label().map(Self::Reserve),
            "tax" => label().map(Self::Tax),
            "rail" => label().map(Self::Rail),
            "cap" => label().map(Self::Cap),
            _ => Err(AccountError),
        }
    }
}

/// One account has one text: UUIDs in other spellings are refused.
fn canonical<T: FromStr + fmt::Display>(text: &str) -> Result<T, AccountError> {
    let id: T = text.parse().map_err(|_| AccountError)?;
    if id.to_string() == text { Ok(id) } else { Err(AccountError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back_and_rubbish_is_refused() {
        let label = || Label::new("eu-central").unwrap();
        let title = || TitleId::new("meteor").unwrap();
        let node = NodeId::from_random([0xab; 16]);
        let accounts = [
            Account::Studio(title()),
            Account::Customer(AccountId::from_random([0xcd; 16])),
            Account::Escrow(title()),
            Account::Host(node),
            Account::Stake(node),
            Account::Platform,
            Account::Plans,
            Account::Reserve(label()),
            Account::Tax(label()),
            Account::Rail(label()),
            Account::Cap(label()),
            Account::Grants,
        ];
        for account in accounts {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        let upper = format!("host:{}", node.to_string().to_uppercase());
        for rubbish in ["", "platform:", "studio:", "studio:A", "host:1", "bank:x", "cap:", "tax:DE", &upper]
        {
            assert_eq!(rubbish.parse::<Account>(), Err(AccountError), "{rubbish}");
        }
    }
}
