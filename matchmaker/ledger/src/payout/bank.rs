//! A manifest as a file for a bank: ISO 20022 `pain.001.001.09`.
//!
//! One payment information block for each currency, SEPA for euros. `MsgId` follows from the manifest, so that a bank
//! that sees a file twice can tell; `EndToEndId` is the payout's id and comes back on statements.

use super::destination::{Bic, Destination, Iban, Rail};
use super::manifest::{Manifest, minor_decimals};
use super::state::Payout;
use crate::settlement::Epoch;
use nearframe_protocol::Currency;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debtor {
    /// Its name.
    pub name: String,
    /// Its account.
    pub iban: Iban,
    /// Its bank, where it has to be named.
    pub bic: Option<Bic>,
}

/// Why no file can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    /// Nothing to pay.
    #[error("the manifest has no payout to a bank")]
    Empty,
    /// Not money that banks know.
    #[error("{0} is no currency of ISO 4217: three letters")]
    Currency(Currency),
    /// Part of a coin.
    #[error("payout {reference} is not a whole number of the currency's smallest coin")]
    Coin {
        /// Its reference.
        reference: String,
    },
    /// More than the form allows.
    #[error("payout {reference} has more than 18 digits")]
    TooLarge {
        /// Its reference.
        reference: String,
    },
}

/// The file. `now_ms` is when it is made; the bank is asked to pay on that day.
pub fn file(manifest: &Manifest, debtor: &Debtor, now_ms: u64) -> Result<String, BankError> {
    let mut by_currency: BTreeMap<&Currency, Vec<(&Payout, i128)>> = BTreeMap::new();
    for payout in manifest.by(Rail::Bank) {
        by_currency.entry(&payout.currency).or_default().push((payout, coins(payout)?));
    }
    let all = || by_currency.values().flatten();
    if all().next().is_none() {
        return Err(BankError::Empty);
    }
    // The control sum adds up numbers, whatever their currency, so it is written with as many places as any has.
    let sum: i128 =
        all().map(|(payout, coins)| coins * 10_i128.pow(3 - minor_decimals(&payout.currency))).sum();
    let id = &manifest.digest().to_string()[..24];
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\"><CstmrCdtTrfInitn><GrpHdr>",
    );
    tag(&mut out, "MsgId", &format!("NF-{id}"));
    tag(&mut out, "CreDtTm", &timestamp(now_ms));
    tag(&mut out, "NbOfTxs", &all().count().to_string());
    tag(&mut out, "CtrlSum", &decimal(sum, 3));
    out.push_str("<InitgPty>");
    tag(&mut out, "Nm", &debtor.name);
    out.push_str("</InitgPty></GrpHdr>");
    for (currency, payouts) in &by_currency {
        block(&mut out, &format!("NF-{id}-{currency}"), currency, payouts, debtor, Epoch::of(now_ms));
    }
    out.push_str("</CstmrCdtTrfInitn></Document>\n");
    Ok(out)
}

/// The amount in the currency's smallest coins.
fn coins(payout: &Payout) -> Result<i128, BankError> {
    let code = payout.currency.as_str();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(BankError::Currency(payout.currency.clone()));
    }
    let coin_micros = 10_i128.pow(6 - minor_decimals(&payout.currency));
    let reference = payout.reference();
    if payout.amount_micros <= 0 || payout.amount_micros % coin_micros != 0 {
        return Err(BankError::Coin { reference });
    }
    let coins = payout.amount_micros / coin_micros;
    if coins < 10_i128.pow(15) { Ok(coins) } else { Err(BankError::TooLarge { reference }) }
}

fn block(
    out: &mut String,
    id: &str,
    currency: &Currency,
    payouts: &[(&Payout, i128)],
    debtor: &Debtor,
    day: Epoch,
) {
    let decimals = minor_decimals(currency);
    out.push_str("<PmtInf>");
    tag(out, "PmtInfId", id);
    tag(out, "PmtMtd", "TRF");
    tag(out, "NbOfTxs", &payouts.len().to_string());
    tag(out, "CtrlSum", &decimal(payouts.iter().map(|(_, coins)| coins).sum(), decimals));
    if currency.as_str() == "EUR" {
        out.push_str("<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>");
    }
    let _ = write!(out, "<ReqdExctnDt><Dt>{day}</Dt></ReqdExctnDt><Dbtr>");
    tag(out, "Nm", &debtor.name);
    let _ = write!(out, "</Dbtr><DbtrAcct><Id><IBAN>{}</IBAN></Id></DbtrAcct>", debtor.iban);
    agent(out, "DbtrAgt", debtor.bic.as_ref());
    tag(out, "ChrgBr", if currency.as_str() == "EUR" { "SLEV" } else { "SHAR" });
    for (payout, coins) in payouts {
        let Destination::Bank { name, iban, bic } = &payout.destination else { continue };
        let amount = decimal(*coins, decimals);
        let reference = payout.reference();
        let _ = write!(
            out,
            "<CdtTrfTxInf><PmtId><InstrId>{reference}</InstrId><EndToEndId>{reference}</EndToEndId></PmtId>\
             <Amt><InstdAmt Ccy=\"{currency}\">{amount}</InstdAmt></Amt>"
        );
        if bic.is_some() {
            agent(out, "CdtrAgt", bic.as_ref());
        }
        out.push_str("<Cdtr>");
        tag(out, "Nm", name);
        let _ = write!(out, "</Cdtr><CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct><RmtInf>");
        tag(out, "Ustrd", &format!("nearframe earnings until {}", payout.epoch));
        out.push_str("</RmtInf></CdtTrfTxInf>");
    }
    out.push_str("</PmtInf>");
}

fn agent(out: &mut String, name: &str, bic: Option<&Bic>) {
    let _ = match bic {
        Some(bic) => write!(out, "<{name}><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></{name}>"),
        None => write!(out, "<{name}><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></{name}>"),
    };
}

fn tag(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>");
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            letter => out.push(letter),
        }
    }
    let _ = write!(out, "</{name}>");
}

fn decimal(coins: i128, decimals: u32) -> String {
    let unit = 10_i128.pow(decimals);
    match decimals {
        0 => coins.to_string(),
        places => format!("{}.{:0places$}", coins / unit, coins % unit, places = places as usize),
    }
}

fn timestamp(now_ms: u64) -> String {
    let second = now_ms / 1000 % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", Epoch::of(now_ms), second / 3600, second / 60 % 60, second % 60)
}
