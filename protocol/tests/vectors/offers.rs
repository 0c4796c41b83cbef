//! `offers.json`: what a node offers, as this release and the one before it write it.

use crate::golden;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::{Evidence, Location, NodeTerms};
use nearframe_protocol::{Currency, Money};
use serde_json::{Value, json};

fn offer(terms: NodeTerms) -> NodeOffer {
    NodeOffer {
        name: "cellar".to_owned(),
        region: "DE-BY".to_owned(),
        slots: 4,
        adapter: "NVIDIA L4".to_owned(),
        encoders: vec!["NVENC".to_owned()],
        titles: vec![],
        capability: None,
        terms,
    }
}

fn entry(name: &str, offer: &NodeOffer) -> Value {
    let json = serde_json::to_value(offer).unwrap();
    assert_eq!(&serde_json::from_value::<NodeOffer>(json.clone()).unwrap(), offer);
    json!({"name": name, "value": json})
}

#[test]
fn what_a_node_offers_has_this_form() {
    let euro = |amount_micros| Some(Money { amount_micros, currency: Currency::new("EUR").unwrap() });
    let terms = NodeTerms {
        codecs: vec!["h264".to_owned(), "av1".to_owned()],
        max_width: 3840,
        max_height: 2160,
        max_fps: 60,
        gpu_tier: 4,
        batch: true,
        price_per_hour: euro(350_000),
        stake: euro(500_000_000),
        location: Some(Location {
            latitude_deg: 48.125,
            longitude_deg: 11.5,
            asn: Some(3320),
            evidence: Evidence::Measured,
        }),
    };
    let entries = vec![
        entry("a node that was measured", &offer(terms)),
        entry("a node that says nothing about itself", &offer(NodeTerms::default())),
    ];
    golden::check("offers.json", &entries.into());
}

#[test]
fn an_offer_of_the_release_before_is_read() {
    let old = json!({
        "name": "cellar", "region": "", "slots": 1, "adapter": "llvmpipe", "encoders": ["OpenH264"], "titles": [],
    });
    assert_eq!(serde_json::from_value::<NodeOffer>(old).unwrap().terms, NodeTerms::default());
}
