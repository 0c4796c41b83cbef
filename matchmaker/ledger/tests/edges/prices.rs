//! Rate cards, days and texts.

use nearframe_ledger::hash::{Hash32, HashError};
use nearframe_ledger::rates::{
    CardError, GPU_TIERS, MAX_NOTE_BYTES, MAX_PRICE_MICROS, MAX_RATES, Rate, RateCard,
};
use nearframe_ledger::settlement::Epoch;
use nearframe_ledger::{Account, Kind, Label, LedgerError, Meter, Tariff};
use nearframe_protocol::Currency;
use nearframe_protocol::prices::{Basis, Work};

fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}

fn rate(work: Work, region: &str, gpu_tier: u8, price_micros_per_hour: i64) -> Rate {
    Rate { work, region: region.to_owned(), gpu_tier, price_micros_per_hour }
}

fn with(more: Vec<Rate>) -> RateCard {
    let mut card = RateCard::flat(eur(), 200, 100);
    card.rates.extend(more);
    card
}

#[test]
fn a_card_may_be_as_long_as_a_card_may_be() {
    // A region code of two letters each, so that no two are for the same place.
    let code =
        |n: usize| [n / 26, n % 26].map(|letter| char::from(b'A' + letter as u8)).iter().collect::<String>();
    let rates = |count| (0..count).map(|n| rate(Work::Interactive, &code(n), 0, 1)).collect();
    assert_eq!(with(rates(MAX_RATES - 1)).check(), Ok(()));
    assert_eq!(with(rates(MAX_RATES)).check(), Err(CardError::TooLong));
    let noted = |length| RateCard { note: "x".repeat(length), ..with(vec![]) };
    assert_eq!(noted(MAX_NOTE_BYTES).check(), Ok(()));
    assert_eq!(noted(MAX_NOTE_BYTES + 1).check(), Err(CardError::TooLong));
}

#[test]
fn shares_prices_and_tiers_end_where_they_say() {
    assert_eq!(RateCard::flat(eur(), 1000, 0).check(), Ok(()));
    assert_eq!(RateCard::flat(eur(), 1001, 0).check(), Err(CardError::Fee(1001)));
    assert_eq!(RateCard::flat(eur(), 0, MAX_PRICE_MICROS).check(), Ok(()));
    let dear = MAX_PRICE_MICROS + 1;
    assert_eq!(RateCard::flat(eur(), 0, dear).check(), Err(CardError::Price(dear)));
    assert_eq!(RateCard::flat(eur(), 0, -1).check(), Err(CardError::Price(-1)));
    assert_eq!(with(vec![rate(Work::Interactive, "", GPU_TIERS, 1)]).check(), Ok(()));
    let tier = GPU_TIERS + 1;
    assert_eq!(with(vec![rate(Work::Interactive, "", tier, 1)]).check(), Err(CardError::Tier(tier)));
    assert_eq!(with(vec![rate(Work::Batch, "", 0, 100)]).check(), Ok(()), "as dear is not dearer");
    let dearer = with(vec![rate(Work::Batch, "", 0, 101)]);
    assert_eq!(dearer.check(), Err(CardError::BatchDearer(String::new(), 0)));
}

#[test]
fn regions_are_countries_and_their_parts() {
    for region in ["", "DE", "U1", "DE-B", "DE-BY", "GB-ENG", "FR-75"] {
        assert_eq!(with(vec![rate(Work::Interactive, region, 1, 1)]).check(), Ok(()), "{region}");
    }
    for region in ["D", "DEU", "de", "DE-", "DE-BYXX", "DE-by", "D-BY", "-BY", "DE_BY", "DE-B-Y", "ÄÖ"] {
        let checked = with(vec![rate(Work::Interactive, region, 1, 1)]).check();
        assert_eq!(checked, Err(CardError::Region(region.into())), "{region}");
    }
}

#[test]
fn a_tariff_is_the_cards_price_currency_and_share() {
    let card = with(vec![rate(Work::Interactive, "DE", 4, 900), rate(Work::Batch, "", 0, 7)]);
    let basis = |work, region: &str, gpu_tier| Basis { rate_card: 1, work, region: region.into(), gpu_tier };
    let tariff = |price| Tariff { price_micros_per_hour: price, fee_permille: 200, currency: eur() };
    assert_eq!(card.tariff(&basis(Work::Interactive, "DE-BY", 5)), tariff(900));
    assert_eq!(card.tariff(&basis(Work::Interactive, "DE", 3)), tariff(100));
    assert_eq!(card.tariff(&basis(Work::Batch, "DE", 5)), tariff(7));
    let empty = RateCard { rates: vec![], ..with(vec![]) };
    assert_eq!(empty.price_micros_per_hour(Work::Batch, "DE", 1), 0);
    assert_eq!(empty.range_micros_per_hour(Work::Batch), (0, 0));
}

#[test]
fn what_cannot_be_counted_is_said() {
    let tariff = Tariff { price_micros_per_hour: i64::MAX, fee_permille: 1000, currency: eur() };
    assert_eq!(tariff.cost_micros(3_600_000_000), Ok(i64::MAX.into()));
    assert_eq!(tariff.fee_micros(i128::MAX), Err(LedgerError::Overflow));
    assert_eq!(tariff.fee_micros(1_234), Ok(1_234), "all of it");
    let mut meter = Meter { billed_us: u64::MAX, ..Meter::default() };
    assert_eq!(meter.bill(&tariff, 1, true), Err(LedgerError::Overflow));
}

#[test]
fn days_turn_where_months_and_leap_years_do() {
    let date = |day| Epoch(day).to_string();
    let turns = [
        (364, "1970-12-31", "1971-01-01"),
        (10_956, "1999-12-31", "2000-01-01"),
        (11_381, "2001-02-28", "2001-03-01"),
        (19_721, "2023-12-30", "2023-12-31"),
        (19_753, "2024-01-31", "2024-02-01"),
        (19_782, "2024-02-29", "2024-03-01"),
        (47_540, "2100-02-28", "2100-03-01"),
    ];
    for (day, last, first) in turns {
        assert_eq!((date(day), date(day + 1)), (last.to_owned(), first.to_owned()));
    }
    for day in 0..80_000 {
        let (year, month, of_month) = Epoch(day).date();
        assert!((1..=12).contains(&month) && (1..=31).contains(&of_month), "{day}");
        assert_eq!(Epoch::from_date(year, month, of_month), Some(Epoch(day)));
    }
    assert_eq!(Epoch::of(u64::MAX), Epoch(u32::MAX));
    assert_eq!(
        (Epoch(2).begins_at_ms(), Epoch(2).ends_at_ms(), Epoch(2).settles_at_ms()),
        (172_800_000, 259_200_000, 518_400_000)
    );
}

#[test]
fn texts_read_back_and_others_are_refused() {
    let hash = Hash32([0xab; 32]);
    assert_eq!(hash.to_string(), "ab".repeat(32));
    assert_eq!(format!("{hash:?}"), format!("Hash32({hash})"));
    assert_eq!(hash.to_string().parse(), Ok(hash));
    for wrong in ["AB".repeat(32), "ab".repeat(31), "ab".repeat(33), "zz".repeat(32)] {
        assert_eq!(wrong.parse::<Hash32>(), Err(HashError), "{wrong}");
    }
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(serde_json::from_str::<Hash32>(&json).unwrap(), hash);
    for (kind, text) in [(Kind::Pending, "pending"), (Kind::Post, "post"), (Kind::Void, "void")] {
        assert_eq!((kind.as_str(), Kind::parse(text)), (text, Some(kind)));
    }
    assert_eq!(Kind::parse("posted"), None);
    for text in ["a", "9", "eu-central-1", &"x".repeat(48)] {
        let label = Label::new(text).unwrap();
        assert_eq!(
            (label.to_string(), Account::Tax(label).to_string()),
            (text.to_owned(), format!("tax:{text}"))
        );
    }
    for wrong in ["", "A", "a_b", "a b", "ä", &"x".repeat(49)] {
        assert!(Label::new(wrong).is_err(), "{wrong}");
    }
}
