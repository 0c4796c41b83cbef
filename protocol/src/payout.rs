//! Payouts: where hosts want their money, and what became of it.

use crate::account::words;
use crate::id::{AccountId, NodeId};
use crate::money::{Currency, Money, MoneyJson};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::key::KeyError;
use std::fmt;

crate::key::hex_bytes!(
    /// Names a payout for ever; banks carry it as the end-to-end id.
    PayoutId,
    16
);

/// Where money goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "rail", rename_all = "snake_case", deny_unknown_fields)]
pub enum PayTo {
    /// To a bank account, by a credit transfer.
    Bank {
        /// Its holder, 1 to 70 characters.
        name: String,
        /// Its number (ISO 13616), whose checksum is checked.
        #[schema(example = "NL91ABNA0417164300")]
        iban: String,
        /// The bank (ISO 9362), where it has to be named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bic: Option<String>,
    },
    /// To an account on an EVM chain, which claims it from a contract.
    Evm {
        /// `0x` and 40 hex digits, whose mixed case, if any, is checked (EIP-55).
        #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
        address: String,
    },
}

/// Where an account wants its earnings of one currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Destination {
    /// What is earned.
    pub currency: Currency,
    /// Where to.
    pub pay_to: PayTo,
    /// Since when, Unix ms.
    pub since_ms: u64,
}

/// Where an account wants its earnings from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetDestination {
    /// Of which currency; absent: the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Where to.
    pub pay_to: PayTo,
}

/// How far a payout came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    /// Its amount is set aside; nothing was sent.
    Created,
    /// It may have been sent. Nobody knows until the rail says so, and it is never sent again.
    Submitted,
    /// The money arrived.
    Settled,
    /// It will never arrive; the amount is free again, and due in the next run.
    Failed,
}
words!(PayoutState {
    Created => "created", Submitted => "submitted", Settled => "settled", Failed => "failed",
});

/// One amount for one machine's earnings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payout {
    /// Names it for ever.
    pub id: PayoutId,
    /// The run that made it.
    pub run: u64,
    /// The last settled day when it was made.
    #[schema(example = "2026-11-24")]
    pub settled_until: String,
    /// Whose.
    pub account: AccountId,
    /// Of which machine's earnings.
    pub node: NodeId,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// Where to.
    pub pay_to: PayTo,
    /// How far it came.
    pub state: PayoutState,
    /// Unix ms.
    pub created_at_ms: u64,
    /// When it came so far, Unix ms.
    pub changed_at_ms: u64,
}

/// What one run collected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PayoutRun {
    /// Counts up; absent: nothing was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Its payouts.
    pub payouts: Vec<Payout>,
}

/// What a rail said of a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutOutcome {
    /// Whether the money arrived; false: it never will.
    pub settled: bool,
}

/// A claim on a distributor contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Its place in the tree.
    pub index: u64,
    /// Who claims.
    pub account: String,
    /// Everything that the account may have claimed in all, in the token's smallest unit, decimal.
    pub cumulative: String,
    /// The call `claim(uint256,address,uint256,bytes32[])`, as hex.
    pub calldata: String,
}

/// The claims of a run on one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claims {
    /// The token.
    pub currency: Currency,
    /// What the contract is told, as hex.
    pub root: String,
    /// One for each account that was ever paid by this rail.
    pub claims: Vec<Claim>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_name_their_rail_and_nothing_that_is_not_known() {
        let bank: PayTo =
            serde_json::from_str(r#"{"rail":"bank","name":"Ada","iban":"NL91ABNA0417164300"}"#).unwrap();
        assert_eq!(bank, PayTo::Bank { name: "Ada".into(), iban: "NL91ABNA0417164300".into(), bic: None });
        for wrong in [r#"{"rail":"cash"}"#, r#"{"rail":"evm","address":"0x","iban":"x"}"#] {
            assert!(serde_json::from_str::<PayTo>(wrong).is_err(), "{wrong}");
        }
        for state in PayoutState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
