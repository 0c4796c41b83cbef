//! Session, seat and their life.
//!
//! A *session* is one play of one title. It has *seats* (players 1 to 4, viewers) and a *generation*
//! that grows when it moves to another node. A *lease* is its right to one node; a *peer* is one
//! WebRTC connection of one seat. None of them is another.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Placement generation of a session: 0 at first, one more each time it moves to another node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Generation(pub u32);

/// Whose hands: 0 to 3 are players 1 to 4; 255 is a viewer, whose input is ignored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Seat(pub u8);

impl Seat {
    /// Watches, never plays.
    pub const VIEWER: Seat = Seat(255);
    /// True for players 1 to 4.
    pub fn is_player(self) -> bool {
        self.0 < 4
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// A node holds a slot for it; the title is being started or no player has connected yet.
    Starting,
    /// At least one player's picture runs.
    Live,
    /// Over, for the reason in `end_reason`.
    Ended,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The player closed the page or pressed Leave.
    PlayerLeft,
    /// The title ended by itself.
    TitleExited,
    /// The title or its worker failed.
    TitleFailed,
    /// The node stopped answering, or lost the session.
    NodeLost,
    /// No input for longer than the title allows.
    IdleTimeout,
    /// No player connected, or none came back, in time.
    PlayerUnreachable,
    /// The node or the matchmaker is shutting down.
    Drained,
    /// An operator ended it.
    Operator,
    /// The player's saved game could not be fetched before the start.
    SaveUnavailable,
    /// What may be spent is used up; [`SpendLimit`] says by which limit.
    BudgetUsedUp,
    /// It was interruptible, and its slot was needed for a player.
    Preempted,
}

impl EndReason {
    /// One sentence for the player: what happened and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::PlayerLeft => "You left the game.",
            Self::TitleExited => "The game ended by itself. You can start it again.",
            Self::TitleFailed => {
                "The game stopped because of an error. Start it again; if it happens twice, tell the studio."
            }
            Self::NodeLost => {
                "The machine running your game went away. Start again to be placed on another one."
            }
            Self::IdleTimeout => {
                "The game was closed because nobody played for a while. Start again to go on."
            }
            Self::PlayerUnreachable => {
                "Your connection did not come back in time. Check your network and start again."
            }
            Self::Drained => {
                "The machine running your game is shutting down. Start again to be placed on another one."
            }
            Self::Operator => "The operator ended this session. Start again, or ask the operator why.",
            Self::SaveUnavailable => {
                "Your saved game could not be fetched, so the game was not started. Nothing is lost: try \
                 again in a minute."
            }
            Self::BudgetUsedUp => {
                "The studio's budget for this game is used up, so the game was closed. Tell the studio."
            }
            Self::Preempted => "Its slot was needed for a player. Start it again to go on elsewhere.",
        }
    }
    /// The JSON form, also used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlayerLeft => "player_left",
            Self::TitleExited => "title_exited",
            Self::TitleFailed => "title_failed",
            Self::NodeLost => "node_lost",
            Self::IdleTimeout => "idle_timeout",
            Self::PlayerUnreachable => "player_unreachable",
            Self::Drained => "drained",
            Self::Operator => "operator",
            Self::SaveUnavailable => "save_unavailable",
            Self::BudgetUsedUp => "budget_used_up",
            Self::Preempted => "preempted",
        }
    }
    /// The reason with this JSON form.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::PlayerLeft,
            Self::TitleExited,
            Self::TitleFailed,
            Self::NodeLost,
            Self::IdleTimeout,
            Self::PlayerUnreachable,
            Self::Drained,
            Self::Operator,
            Self::SaveUnavailable,
            Self::BudgetUsedUp,
            Self::Preempted,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

/// Which limit did not hold another hour, so that a session ended with [`EndReason::BudgetUsedUp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpendLimit {
    /// The title's budget.
    TitleBudget,
    /// What the account that pays may spend.
    AccountBudget,
    /// What the key that started the session may spend, or it was revoked.
    KeyBudget,
    /// What the account's keys may spend on sessions in a month.
    AccountCap,
    /// What each player of the title may spend in a month.
    PlayerCap,
}

impl SpendLimit {
    const ALL: [Self; 5] =
        [Self::TitleBudget, Self::AccountBudget, Self::KeyBudget, Self::AccountCap, Self::PlayerCap];

    /// One sentence for the player: what happened and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::TitleBudget => EndReason::BudgetUsedUp.advice(),
            Self::AccountBudget => {
                "What the studio's account may spend is used up, so the game was closed. Tell the studio."
            }
            Self::KeyBudget => {
                "The budget of the program that started this game is used up, so the game was closed. Tell the studio."
            }
            Self::AccountCap => {
                "What the studio spends in a month is used up, so the game was closed. It opens again next month; or tell \
                 the studio."
            }
            Self::PlayerCap => {
                "You have played as much of this game as the studio pays for in a month, so it was closed. It opens again \
                 next month."
            }
        }
    }

    /// Whether it is what may be spent in a month, and not a budget.
    pub fn is_cap(self) -> bool {
        matches!(self, Self::AccountCap | Self::PlayerCap)
    }

    /// The JSON form, also used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TitleBudget => "title_budget",
            Self::AccountBudget => "account_budget",
            Self::KeyBudget => "key_budget",
            Self::AccountCap => "account_cap",
            Self::PlayerCap => "player_cap",
        }
    }

    /// The limit with this JSON form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.as_str() == text)
    }
}

impl fmt::Display for SpendLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
