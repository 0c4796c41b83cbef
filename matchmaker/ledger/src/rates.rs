//! Rate cards: which price an hour has.
//!
//! A card is never changed: another version follows it. A lease names the version, the work and the machine that its
//! price follows from, so that anyone who has the card computes the price again.

use crate::Tariff;
use nearframe_protocol::Currency;
use nearframe_protocol::prices::{Basis, Work};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Highest GPU tier.
pub const GPU_TIERS: u8 = 7;
/// Rates on one card: all tiers of three kinds of work in some twenty regions.
pub const MAX_RATES: usize = 512;
/// Longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;
/// Dearest hour, in micro-units: a billion units of the currency.
pub const MAX_PRICE_MICROS: i64 = 1_000_000_000_000_000;

/// What an hour costs of one kind of work, on machines of a tier and above in a region and its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What is paid for.
    pub work: Work,
    /// ISO 3166 code; empty: everywhere.
    #[serde(default)]
    pub region: String,
    /// Least GPU tier.
    #[serde(default)]
    pub gpu_tier: u8,
    /// Micro-units, fee included.
    pub price_micros_per_hour: i64,
}

/// All prices, without a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateCard {
    /// What prices are counted in.
    pub currency: Currency,
    /// The platform's share, in thousandths.
    pub fee_permille: u16,
    /// Why it was written.
    pub note: String,
    /// One for everything interactive, and those that differ from it.
    pub rates: Vec<Rate>,
}

/// Why a card cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// No price for everything.
    #[error("a rate of {0} work without region and GPU tier is missing: it holds wherever no other does")]
    NoBase(Work),
    /// Two prices for the same.
    #[error("two rates are for {0} work in {1:?} from tier {2} on; keep one")]
    Twice(Work, String, u8),
    /// Not a price.
    #[error("a price of an hour is 0 to {MAX_PRICE_MICROS} micro-units; {0} is not")]
    Price(i64),
    /// Not a tier.
    #[error("a GPU tier is 0 to {GPU_TIERS}; {0} is not")]
    Tier(u8),
    /// Not a region.
    #[error("a region is an ISO 3166 code such as DE or US-CA, or empty; {0:?} is not")]
    Region(String),
    /// Not a share.
    #[error("the platform's share is 0 to 1000 thousandths; {0} is not")]
    Fee(u16),
    /// Too much.
    #[error("a card has at most {MAX_RATES} rates and a note of at most {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Interrupted work costs more than a player's.
    #[error(
        "in {0:?} from tier {1} on, batch work costs more than interactive work, which may not be interrupted"
    )]
    BatchDearer(String, u8),
}

impl RateCard {
    /// One price for everything.
    pub fn flat(currency: Currency, fee_permille: u16, price_micros_per_hour: i64) -> Self {
        let everywhere =
            Rate { work: Work::Interactive, region: String::new(), gpu_tier: 0, price_micros_per_hour };
        Self { currency, fee_permille, note: String::new(), rates: vec![everywhere] }
    }

    /// Refuses a card that leaves something without a price, or with two.
    pub fn check(&self) -> Result<(), CardError> {
        if self.fee_permille > 1000 {
            return Err(CardError::Fee(self.fee_permille));
        }
        if self.rates.len() > MAX_RATES || self.note.len() > MAX_NOTE_BYTES {
            return Err(CardError::TooLong);
        }
        let mut places = BTreeSet::new();
        for rate in &self.rates {
            if !(0..=MAX_PRICE_MICROS).contains(&rate.price_micros_per_hour) {
                return Err(CardError::Price(rate.price_micros_per_hour));
            }
            if rate.gpu_tier > GPU_TIERS {
                return Err(CardError::Tier(rate.gpu_tier));
            }
            if !is_region(&rate.region) {
                return Err(CardError::Region(rate.region.clone()));
            }
            if !places.insert((rate.work, &rate.region, rate.gpu_tier)) {
                return Err(CardError::Twice(rate.work, rate.region.clone(), rate.gpu_tier));
            }
        }
        let has_base = |work| self.rates.iter().any(|rate| rate.work == work && rate.is_base());
        let lacks_base =
            |work: &Work| *work == Work::Interactive || self.rates.iter().any(|rate| rate.work == *work);
        if let Some(work) = Work::ALL.into_iter().filter(lacks_base).find(|work| !has_base(*work)) {
            return Err(CardError::NoBase(work));
        }
        for region in self.rates.iter().map(|rate| rate.region.as_str()) {
            for tier in 0..=GPU_TIERS {
                let price = |work| self.price_micros_per_hour(work, region, tier);
                if price(Work::Batch) > price(Work::Interactive) {
                    return Err(CardError::BatchDearer(region.to_owned(), tier));
                }
            }
        }
        Ok(())
    }

    /// The price of an hour, in micro-units: of the rates that fit, that of the closest region, then of the highest
    /// tier. Of a card that was not checked and has none, 0.
    pub fn price_micros_per_hour(&self, work: Work, region: &str, gpu_tier: u8) -> i64 {
        let of = |work| self.rates.iter().filter(move |rate| rate.work == work);
        let work = if of(work).next().is_some() { work } else { Work::Interactive };
        let fitting = of(work).filter(|rate| rate.gpu_tier <= gpu_tier && covers(&rate.region, region));
        let closest = fitting.max_by_key(|rate| (rate.region.len(), rate.gpu_tier));
        closest.map_or(0, |rate| rate.price_micros_per_hour)
    }

    /// What a lease with this basis costs.
    pub fn tariff(&self, basis: &Basis) -> Tariff {
        Tariff {
            price_micros_per_hour: self.price_micros_per_hour(basis.work, &basis.region, basis.gpu_tier),
            fee_permille: self.fee_permille,
            currency: self.currency.clone(),
        }
    }

    /// The lowest and the highest price of an hour of a kind of work, wherever it runs.
    pub fn range_micros_per_hour(&self, work: Work) -> (i64, i64) {
        let of = |work| self.rates.iter().filter(move |rate| rate.work == work);
        let work = if of(work).next().is_some() { work } else { Work::Interactive };
        let prices = || of(work).map(|rate| rate.price_micros_per_hour);
        (prices().min().unwrap_or(0), prices().max().unwrap_or(0))
    }
}

impl Rate {
    fn is_base(&self) -> bool {
        self.region.is_empty() && self.gpu_tier == 0
    }
}

/// Whether a code covers a region: the same, a part of it, or everything.
pub fn covers(code: &str, region: &str) -> bool {
    code.is_empty() || region.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether a text is an ISO 3166 code such as DE or US-CA, or empty.
pub fn is_region(code: &str) -> bool {
    let (country, part) = code.split_once('-').unwrap_or((code, "X"));
    let upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    code.is_empty() || country.len() == 2 && upper(country) && (1..=3).contains(&part.len()) && upper(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rate(work: Work, region: &str, gpu_tier: u8, price_micros_per_hour: i64) -> Rate {
        Rate { work, region: region.to_owned(), gpu_tier, price_micros_per_hour }
    }

    fn card(rates: Vec<Rate>) -> RateCard {
        RateCard { rates, ..RateCard::flat(Currency::new("EUR").unwrap(), 200, 0) }
    }

    use Work::{Batch, Interactive, Reserve};

    #[test]
    fn the_closest_region_counts_then_the_highest_tier_that_the_machine_reaches() {
        let card = card(vec![
            rate(Interactive, "", 0, 100),
            rate(Interactive, "", 4, 400),
            rate(Interactive, "DE", 0, 110),
            rate(Interactive, "DE", 3, 330),
            rate(Interactive, "DE-BY", 0, 120),
            rate(Batch, "", 0, 50),
        ]);
        card.check().unwrap();
        let price = |work, region, tier| card.price_micros_per_hour(work, region, tier);
        assert_eq!([0, 3, 4, 7].map(|tier| price(Interactive, "FR", tier)), [100, 100, 400, 400]);
        assert_eq!([0, 2, 3, 7].map(|tier| price(Interactive, "DE", tier)), [110, 110, 330, 330]);
        assert_eq!(price(Interactive, "DE-BE", 3), 330);
        assert_eq!(price(Interactive, "DE-BY", 7), 120, "a closer region counts more than a higher tier");
        assert_eq!(price(Interactive, "DENMARK", 0), 100);
        assert_eq!(price(Interactive, "", 5), 400);
        assert_eq!(price(Batch, "DE", 7), 50);
        assert_eq!(price(Reserve, "DE", 3), 330, "work without rates costs what interactive work does");
        assert_eq!(card.range_micros_per_hour(Interactive), (100, 400));
        assert_eq!(card.range_micros_per_hour(Batch), (50, 50));
        assert_eq!(card.range_micros_per_hour(Reserve), (100, 400));
    }

    #[test]
    fn a_card_with_a_gap_a_doubt_or_nonsense_is_refused() {
        let base = || rate(Interactive, "", 0, 100);
        let cases = [
            (vec![], CardError::NoBase(Interactive)),
            (vec![rate(Interactive, "DE", 0, 1)], CardError::NoBase(Interactive)),
            (vec![rate(Interactive, "", 1, 1)], CardError::NoBase(Interactive)),
            (vec![base(), rate(Batch, "DE", 0, 1)], CardError::NoBase(Batch)),
            (vec![base(), base()], CardError::Twice(Interactive, String::new(), 0)),
            (vec![base(), rate(Interactive, "", 1, -1)], CardError::Price(-1)),
            (vec![base(), rate(Interactive, "", 8, 1)], CardError::Tier(8)),
            (vec![base(), rate(Interactive, "de", 0, 1)], CardError::Region("de".into())),
            (vec![base(), rate(Interactive, "DE-", 0, 1)], CardError::Region("DE-".into())),
            (vec![base(), rate(Batch, "", 0, 101)], CardError::BatchDearer(String::new(), 0)),
            (
                vec![base(), rate(Interactive, "DE", 2, 10), rate(Batch, "", 0, 50)],
                CardError::BatchDearer("DE".into(), 2),
            ),
        ];
        for (rates, error) in cases {
            assert_eq!(card(rates.clone()).check(), Err(error), "{rates:?}");
        }
        assert_eq!(RateCard { fee_permille: 1001, ..card(vec![base()]) }.check(), Err(CardError::Fee(1001)));
        let long = RateCard { note: "x".repeat(MAX_NOTE_BYTES + 1), ..card(vec![base()]) };
        assert_eq!(long.check(), Err(CardError::TooLong));
    }

    proptest! {
        #[test]
        fn every_machine_has_exactly_one_price_and_it_is_one_of_the_cards(
            rates in prop::collection::vec((0..3usize, 0..4usize, 0..8u8, 0..1000i64), 0..20),
            region in 0..5usize,
            tier in 0..8u8,
        ) {
            let regions = ["", "DE", "DE-BY", "US", "FR"];
            let mut places: BTreeMap<_, _> =
                rates.iter().map(|&(work, at, tier, price)| ((work, at, tier), price)).collect();
            for work in 0..3 {
                places.entry((work, 0, 0)).or_insert(7);
            }
            let rates = places
                .iter()
                .map(|((work, at, tier), price)| rate(Work::ALL[*work], regions[*at], *tier, *price));
            let card = card(rates.collect());
            for work in Work::ALL {
                let price = card.price_micros_per_hour(work, regions[region], tier);
                prop_assert!(card.rates.iter().any(|rate| rate.price_micros_per_hour == price));
                let (lowest, highest) = card.range_micros_per_hour(work);
                prop_assert!((lowest..=highest).contains(&price));
                let reversed = RateCard { rates: card.rates.iter().rev().cloned().collect(), ..card.clone() };
                prop_assert_eq!(reversed.price_micros_per_hour(work, regions[region], tier), price);
            }
        }
    }
}
