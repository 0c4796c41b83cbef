//! Money: integers in micro-units with the currency beside them.
//!
//! In JSON an amount is a decimal string with six places and its currency, such as
//! `{"amount": "1.250000", "currency": "EUR"}`, so that no reader ever rounds it.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An ISO 4217 code or a token symbol: 3 to 8 upper-case letters or digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "EUR")]
pub struct Currency(String);

impl Currency {
    /// Checks and wraps a code.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        let fits = (3..=8).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits { Ok(Self(code.to_owned())) } else { Err(MoneyError::Currency) }
    }
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::new(&code)
    }
}
impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.0
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An exact amount. Micro-units: 1 000 000 of them are one unit of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MoneyJson", into = "MoneyJson")]
pub struct Money {
    /// Amount in micro-units; may be negative.
    pub amount_micros: i128,
    /// What it is counted in.
    pub currency: Currency,
}

/// The JSON form of [`Money`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MoneyJson {
    /// Decimal with at most six places.
    #[schema(example = "1.250000")]
    amount: String,
    /// Currency code.
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
}

impl Money {
    /// The amount that a decimal with at most six places says.
    pub fn of_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Ok(Self { amount_micros: parse_micros(text)?, currency })
    }
    /// The amount alone, a decimal with six places.
    pub fn decimal(&self) -> String {
        let sign = if self.amount_micros < 0 { "-" } else { "" };
        let micros = self.amount_micros.unsigned_abs();
        format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// For people and logs: `1.250000 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl From<Money> for MoneyJson {
    fn from(money: Money) -> Self {
        Self { amount: money.decimal(), currency: money.currency }
    }
}
impl TryFrom<MoneyJson> for Money {
    type Error = MoneyError;
    fn try_from(json: MoneyJson) -> Result<Self, MoneyError> {
        Ok(Self { amount_micros: parse_micros(&json.amount)?, currency: json.currency })
    }
}

fn parse_micros(text: &str) -> Result<i128, MoneyError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 24 || fraction.len() > 6 || !numeric(whole) || !numeric(fraction) {
        return Err(MoneyError::Amount);
    }
    let parse = |part: &str| part.parse::<i128>().map_err(|_| MoneyError::Amount);
    let micros = parse(whole)? * 1_000_000 + parse(&format!("{fraction:0<6}"))?;
    Ok(if negative { -micros } else { micros })
}

/// What can be wrong with money in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Bad currency code.
    #[error("a currency is 3 to 8 upper-case letters or digits, such as EUR")]
    Currency,
    /// Bad amount.
    #[error("an amount is a decimal string with at most six places, such as \"1.25\"")]
    Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(amount_micros: i128) -> Money {
        Money { amount_micros, currency: Currency::new("EUR").unwrap() }
    }

    #[test]
    fn amounts_survive_json_exactly() {
        for micros in [0, 1, -1, 1_250_000, -999_999, i128::from(i64::MAX) * 1000] {
            let text = serde_json::to_string(&eur(micros)).unwrap();
            assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), eur(micros), "{text}");
        }
        assert_eq!(
            serde_json::to_string(&eur(-1_250_000)).unwrap(),
            r#"{"amount":"-1.250000","currency":"EUR"}"#
        );
    }

    #[test]
    fn rubbish_amounts_are_refused() {
        for amount in ["", ".", "1.", "1.0000001", "1e3", "+1", "--1", "1 ", "NaN", ".5"] {
            let json = format!(r#"{{"amount":"{amount}","currency":"EUR"}}"#);
            let ok = serde_json::from_str::<Money>(&json).is_ok();
            assert_eq!(ok, amount == "1.", "{amount:?}");
        }
    }
}
