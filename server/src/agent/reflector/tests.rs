//! A reflector on real sockets of loopback.

use super::*;
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, CLASS_INDICATION, Getter, Message, TransactionId,
};
use rtc::stun::textattrs::TextAttribute;
use rtc::stun::xoraddr::XorMappedAddress;
use tokio::time::timeout;

const NOW_MS: u64 = 1_700_000_000_000;
/// Far above what loopback needs.
const SOON: Duration = Duration::from_secs(5);
/// Long enough for what must not come.
const QUIET: Duration = Duration::from_millis(400);

async fn reflector() -> (Reflector, mpsc::Receiver<Event>) {
    let (events_in, events) = mpsc::channel(8);
    let reflector = Reflector::open(&MediaNetwork::default(), events_in).await.unwrap();
    (reflector, events)
}

fn ticket(reflector: &Reflector) -> Ticket {
    Ticket::new(&reflector.secret, (NOW_MS / 1000) as u32 + TICKET_S, [5; 8])
}

fn check(ticket: &Ticket) -> Vec<u8> {
    let provider = rtc::crypto::default_provider().unwrap();
    let key = ticket.password.as_bytes();
    let mut message = Message::new();
    message
        .build(&[
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(TextAttribute::new(ATTR_USERNAME, format!("{}:page", ticket.ufrag))),
            Box::new(MessageIntegrity::new_raw_integrity_with_provider(key, provider.crypto())),
            Box::new(FINGERPRINT),
        ])
        .unwrap();
    message.raw
}

async fn page() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn hear(page: &UdpSocket, within: Duration) -> Option<(Message, SocketAddr)> {
    let mut buffer = [0; 1500];
    let (length, from) = timeout(within, page.recv_from(&mut buffer)).await.ok()?.unwrap();
    let mut message = Message::new();
    message.unmarshal_binary(&buffer[..length]).unwrap();
    Some((message, from))
}

#[tokio::test]
async fn a_page_with_a_ticket_is_answered_once_the_matchmaker_said_what_time_it_is() {
    let (reflector, _events) = reflector().await;
    let described = reflector.describe();
    assert!(!described.behind_nat);
    let page = page().await;
    page.send_to(&check(&ticket(&reflector)), described.addresses[0]).await.unwrap();
    assert!(hear(&page, QUIET).await.is_none(), "without a clock no ticket holds");
    reflector.follow(TheirClock::showed(NOW_MS));
    page.send_to(&check(&ticket(&reflector)), described.addresses[0]).await.unwrap();
    let (answer, from) = hear(&page, SOON).await.unwrap();
    assert_eq!((answer.typ, from), (BINDING_SUCCESS, described.addresses[0]));
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&answer).unwrap();
    assert_eq!(mapped.port, page.local_addr().unwrap().port());
}

#[tokio::test]
async fn a_page_is_let_in_by_three_packets_that_ask_for_nothing_and_only_with_a_ticket() {
    let (mut reflector, _events) = reflector().await;
    reflector.follow(TheirClock::showed(NOW_MS));
    let page = page().await;
    let address = page.local_addr().unwrap();
    reflector.let_in(address, "AAAAAAAAAAAAAAAA");
    assert!(hear(&page, QUIET).await.is_none(), "no ticket, no packet");
    let ufrag = ticket(&reflector).ufrag;
    reflector.let_in(address, &ufrag);
    for _ in 0..3 {
        let (packet, from) = hear(&page, SOON).await.unwrap();
        assert_eq!((packet.typ.class, from), (CLASS_INDICATION, reflector.addresses[0]));
    }
    assert!(hear(&page, QUIET).await.is_none(), "and no more");
}

#[tokio::test]
async fn the_outside_address_is_learnt_from_a_stun_server_and_told() {
    let (mut reflector, mut events) = reflector().await;
    let server = page().await;
    reflector.find_outside(vec![format!("stun:{}", server.local_addr().unwrap())]);
    let (request, from) = hear(&server, SOON).await.unwrap();
    let outside: SocketAddr = "203.0.113.7:61000".parse().unwrap();
    let mut answer = Message::new();
    let mapped = XorMappedAddress { ip: outside.ip(), port: outside.port() };
    answer.build(&[Box::new(BINDING_SUCCESS), Box::new(request.transaction_id), Box::new(mapped)]).unwrap();
    server.send_to(&answer.raw, from).await.unwrap();
    assert!(matches!(timeout(SOON, events.recv()).await, Ok(Some(Event::Outside))));
    let described = reflector.describe();
    assert!(described.behind_nat && described.addresses.contains(&outside), "{described:?}");
}

#[tokio::test]
async fn the_port_is_one_of_the_range_and_a_full_range_says_what_to_do() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let network = MediaNetwork { udp_ports: (port, port), ..MediaNetwork::default() };
    let (events, _) = mpsc::channel(1);
    let error = Reflector::open(&network, events.clone()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("media_ports"), "{error}");
    drop(taken);
    let reflector = Reflector::open(&network, events).await.unwrap();
    assert_eq!(reflector.describe().addresses[0].port(), port);
}
