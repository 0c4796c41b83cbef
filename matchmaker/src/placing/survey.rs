//! Surveys: which nodes a page measures, and what it says about them.
//!
//! Nothing is kept of a survey: what must be remembered travels with the page, sealed. Any replica takes it back.

use super::{Asker, epoch};
use crate::http::problem::{Code, Problem};
use crate::placing::outlook;
use crate::state::Shared;
use crate::{catalogue, ice, random};
use nearframe_placement::Request;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::measure::{
    Candidate, Check, CreateSurvey, LONGEST_RTT_US, MOST_CANDIDATES, Measured, Survey, TICKET_S, Ticket,
};
use nearframe_protocol::{NodeId, VersionOffer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What was measured is taken for this long: a visitor looks around before playing.
const SURVEY_MS: u64 = 10 * 60 * 1000;
/// Relays serve a survey for this long, in s.
const RELAY_S: u64 = 120;
const PURPOSE: &str = "survey";

/// What travels with the page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    expires_ms: u64,
    /// The network that asked: results count for it, wherever they come from.
    network: IpAddr,
    nodes: Vec<NodeId>,
}

impl Token {
    fn to_bytes(&self) -> Vec<u8> {
        let address = match self.network {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut bytes = self.expires_ms.to_le_bytes().to_vec();
        bytes.extend(address.octets());
        self.nodes.iter().for_each(|node| bytes.extend(node.as_bytes()));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (expires, rest) = bytes.split_first_chunk()?;
        let (address, rest) = rest.split_first_chunk::<16>()?;
        let (nodes, left) = rest.as_chunks::<16>();
        let fits = left.is_empty() && nodes.len() <= MOST_CANDIDATES;
        fits.then(|| Self {
            expires_ms: u64::from_le_bytes(*expires),
            network: IpAddr::V6(Ipv6Addr::from(*address)).to_canonical(),
            nodes: nodes.iter().map(|node| NodeId::from_bytes(*node)).collect(),
        })
    }
}

/// The /24 or /48 of an address: all that is remembered of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
    }
}

/// Names the nodes to measure.
pub(crate) fn create(shared: &Shared, address: IpAddr, asked: &CreateSurvey) -> Result<Survey, Problem> {
    let version = VersionOffer::current()
        .agree(&asked.versions)
        .map_err(|error| Problem::new(Code::VersionMismatch, error.to_string()))?;
    let request = match &asked.title {
        Some(id) => {
            let held = catalogue::held(shared, id).ok_or_else(|| catalogue::unknown(id))?;
            Some(shared.placing.rules().request(Request::play(id.clone(), held.entry.hash)))
        }
        None => None,
    };
    let now = shared.now_ms();
    let seed = u64::from_le_bytes(random::bytes());
    let network = network(address);
    let client = shared.placing.client(network);
    let expires_s = u32::try_from(now / 1000).unwrap_or(u32::MAX).saturating_add(TICKET_S);
    let candidates: Vec<Candidate> = {
        let fleet = shared.fleet();
        let nodes = fleet.candidates(&client, request.as_ref(), seed);
        let candidate = |node: NodeId| {
            let reflector = fleet.reflector(node)?;
            let ticket = Ticket::new(&reflector.secret, expires_s, random::bytes());
            Some(Candidate {
                node,
                addresses: reflector.addresses.clone(),
                ufrag: ticket.ufrag,
                password: ticket.password,
                behind_nat: reflector.behind_nat,
            })
        };
        nodes.into_iter().filter_map(candidate).collect()
    };
    let nodes = candidates.iter().map(|candidate| candidate.node).collect();
    let token = Token { expires_ms: now + SURVEY_MS, network, nodes };
    shared.metrics.surveys.add();
    Ok(Survey {
        version,
        survey: shared.seal(PURPOSE, &token.to_bytes()),
        expires_at_ms: token.expires_ms,
        candidates,
        ice_servers: ice::short_lived(&shared.config.ice, now, RELAY_S),
    })
}

fn open(shared: &Shared, text: &str, now_ms: u64) -> Option<Token> {
    let token = Token::from_bytes(&shared.unseal(PURPOSE, text)?)?;
    (now_ms <= token.expires_ms).then_some(token)
}

pub(crate) fn not_ours() -> Problem {
    Problem::new(Code::BadSurvey, "The survey is unknown or too old. Start a new one with POST /v1/surveys.")
}

/// Lets the page in at nodes behind a NAT: each is told the page's outside address, which must be the one that this
/// request came from, so that nobody has packets sent to somebody else.
pub(crate) async fn let_in(
    shared: &Shared,
    caller: IpAddr,
    survey: &str,
    checks: &[Check],
) -> Result<(), Problem> {
    let token = open(shared, survey, shared.now_ms()).ok_or_else(not_ours)?;
    let expires_s = u32::try_from(shared.now_ms() / 1000).unwrap_or(u32::MAX).saturating_add(TICKET_S);
    for check in checks.iter().take(MOST_CANDIDATES) {
        let asked = token.nodes.contains(&check.node);
        if !asked || check.address.ip().to_canonical() != caller.to_canonical() {
            let detail =
                "A check goes to a node of the survey, from the address that this request came from.";
            return Err(Problem::new(Code::BadRequest, detail));
        }
        let secret = shared.fleet().reflector(check.node).map(|reflector| reflector.secret);
        let Some(secret) = secret else { continue };
        let ufrag = Ticket::new(&secret, expires_s, random::bytes()).ufrag;
        // A node that is gone answers no check either.
        let _ = shared.bus.command(check.node, ToNode::Check { address: check.address, ufrag }).await;
    }
    Ok(())
}

/// What a page measured, as far as it was asked for; learnt from.
pub(crate) fn take(shared: &Shared, measured: &Measured, now_ms: u64) -> Option<Asker> {
    let token = open(shared, &measured.survey, now_ms)?;
    let asked = measured.nodes.iter().filter(|found| token.nodes.contains(&found.node));
    let mut values: Vec<(NodeId, u32)> =
        asked.map(|found| (found.node, found.rtt_us.min(LONGEST_RTT_US))).collect();
    values.sort_unstable();
    values.dedup_by_key(|(node, _)| *node);
    let client = shared.placing.client(token.network);
    let credible = shared.fleet().learn(&client, &values, epoch(now_ms));
    if credible {
        shared.metrics.measured.add();
    } else if !values.is_empty() {
        tracing::debug!("measurements that contradict each other are not taken in");
        values.clear();
    }
    Some(Asker { client, measured: values })
}

/// What a page measured, and what it may expect now.
pub(crate) async fn measured(
    shared: &Shared,
    measured: &Measured,
) -> Result<nearframe_protocol::measure::Outlook, Problem> {
    let asker = take(shared, measured, shared.now_ms()).ok_or_else(not_ours)?;
    Ok(outlook::of(shared, &asker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_travels_with_the_page_and_holds_no_more_of_its_address_than_the_network() {
        for (address, kept) in [("192.0.2.77", "192.0.2.0"), ("2001:db8:1:2:3::4", "2001:db8:1::")] {
            let nodes = (1..=8).map(|n| NodeId::from_random([n; 16])).collect();
            let token = Token { expires_ms: 7, network: network(address.parse().unwrap()), nodes };
            assert_eq!(token.network, kept.parse::<IpAddr>().unwrap());
            assert_eq!(Token::from_bytes(&token.to_bytes()), Some(token));
        }
        for rubbish in [&[][..], &[1; 23], &[1; 30], &[1; 24 + 9 * 16]] {
            assert_eq!(Token::from_bytes(rubbish), None, "{} bytes", rubbish.len());
        }
    }
}
