//! A lease's bill, computed again from nothing but its receipts and compared with what was posted.

use crate::verify::{Imbalance, verify};
use crate::{Account, Chain, Kind, LeaseAccount, LedgerError, Meter, Refusal, Terms, Transfer, Verdict};
use nearframe_protocol::prices::Basis;
use nearframe_protocol::receipt::{ReceiptHash, SignedReceipt};

/// A receipt that was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// It.
    pub signed: SignedReceipt,
    /// When it came in, Unix ms.
    pub received_at_ms: u64,
    /// Whether the player's signature was there and right.
    pub countersigned: bool,
}

/// Everything that a lease's bill rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What the lease says about its receipts.
    pub terms: Terms,
    /// Who pays, who earns, and the price.
    pub account: LeaseAccount,
    /// What the price follows from; `None` of a lease that is older than rate cards.
    pub basis: Option<Basis>,
    /// Its receipts, by sequence.
    pub receipts: Vec<Counted>,
    /// Its transfers, in writing order.
    pub transfers: Vec<Transfer>,
}

/// What one receipt costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The receipt.
    pub sequence: u32,
    /// Its hash.
    pub receipt: ReceiptHash,
    /// When it came in, Unix ms.
    pub received_at_ms: u64,
    /// Time it covers, in µs.
    pub duration_us: u64,
    /// Time billed by the receipts before it, in µs.
    pub billed_before_us: u64,
    /// The part of that which the player did not sign, in µs.
    pub unsigned_before_us: u64,
    /// The part of its time that is billed, in µs.
    pub billed_us: u64,
    /// Whether the player signed it.
    pub countersigned: bool,
    /// What the host earns, in micro-units.
    pub host_micros: i128,
    /// What the platform earns, in micro-units.
    pub platform_micros: i128,
}

/// What a lease costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseBill {
    /// One for each receipt.
    pub lines: Vec<Line>,
    /// Time billed, in µs.
    pub billed_us: u64,
    /// What the host earns, in micro-units.
    pub host_micros: i128,
    /// What the platform earns, in micro-units.
    pub platform_micros: i128,
}

/// A bill that does not follow from its receipts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// A receipt that would not be counted.
    #[error("receipt {sequence}: {refusal}")]
    Receipt {
        /// It.
        sequence: u32,
        /// Why.
        refusal: Refusal,
    },
    /// The record says that the player signed, or did not, and the signature says otherwise.
    #[error("receipt {sequence}: the player's signature is not what the record says of it")]
    Countersignature {
        /// It.
        sequence: u32,
    },
    /// The transfers break a rule of bookkeeping.
    #[error(transparent)]
    Journal(#[from] Imbalance),
    /// Other sums were posted.
    #[error("{posted_micros} micro-units were posted to {account}, but the receipts come to {due_micros}")]
    Posted {
        /// Whose.
        account: Account,
        /// In the journal.
        posted_micros: i128,
        /// By the receipts.
        due_micros: i128,
    },
    /// A sum does not fit.
    #[error(transparent)]
    Amount(#[from] LedgerError),
}

impl Evidence {
    /// Checks every signature and every link of the chain, bills each receipt by the lease's price, and compares the
    /// sums with what was posted.
    pub fn recompute(&self) -> Result<LeaseBill, BillError> {
        let mut bill = LeaseBill::default();
        let (mut chain, mut meter) = (Chain::default(), Meter::default());
        for counted in &self.receipts {
            let receipt = &counted.signed.receipt;
            let sequence = receipt.sequence;
            let link = match chain.judge(&self.terms, &counted.signed, None, counted.received_at_ms) {
                Ok(Verdict::Next(link)) => link,
                Ok(Verdict::Duplicate) => unreachable!("no receipt is known before it is counted"),
                Err(refusal) => return Err(BillError::Receipt { sequence, refusal }),
            };
            if link.countersigned != counted.countersigned {
                return Err(BillError::Countersignature { sequence });
            }
            let before = meter;
            let part = meter.bill(&self.account.tariff, receipt.duration_us, link.countersigned)?;
            bill.host_micros = sum(bill.host_micros, part.host_micros)?;
            bill.platform_micros = sum(bill.platform_micros, part.platform_micros)?;
            bill.lines.push(Line {
                sequence,
                receipt: link.chain.head,
                received_at_ms: counted.received_at_ms,
                duration_us: receipt.duration_us,
                billed_before_us: before.billed_us,
                unsigned_before_us: before.unsigned_us,
                billed_us: part.billed_us,
                countersigned: link.countersigned,
                host_micros: part.host_micros,
                platform_micros: part.platform_micros,
            });
            chain = link.chain;
        }
        bill.billed_us = meter.billed_us;
        self.compare(&bill)?;
        Ok(bill)
    }

    fn compare(&self, bill: &LeaseBill) -> Result<(), BillError> {
        verify(&self.transfers)?;
        let host = Account::Host(self.account.node);
        for (account, due_micros) in [(host, bill.host_micros), (Account::Platform, bill.platform_micros)] {
            let mut posted_micros = 0;
            let posts = self.transfers.iter().filter(|transfer| transfer.kind == Kind::Post);
            for transfer in posts.filter(|transfer| transfer.credit == account) {
                posted_micros = sum(posted_micros, transfer.amount_micros)?;
            }
            if posted_micros != due_micros {
                return Err(BillError::Posted { account, posted_micros, due_micros });
            }
        }
        let foreign = self.transfers.iter().filter(|t| t.kind == Kind::Post).find(|transfer| {
            let known = [Account::Host(self.account.node), Account::Platform];
            !known.contains(&transfer.credit) || transfer.debit != self.account.debtor()
        });
        match foreign {
            Some(transfer) => Err(BillError::Posted {
                account: transfer.credit.clone(),
                posted_micros: transfer.amount_micros,
                due_micros: 0,
            }),
            None => Ok(()),
        }
    }
}

fn sum(sum: i128, by: i128) -> Result<i128, LedgerError> {
    sum.checked_add(by).ok_or(LedgerError::Overflow)
}
