use super::*;
use crate::Config;
use crate::state::Parts;
use crate::store::accounts::{AccountRow, Purse};
use crate::store::webhooks::{DeliveryRow, WebhookChange};
use crate::store::{AccountStore, MemoryStore};
use nearframe_protocol::account::AccountKind;
use nearframe_protocol::webhook::{DeliveryState, Disabled, EventKind};
use nearframe_protocol::{AccountId, EventId, WebhookId};
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::time::advance;

const URL: &str = "https://hooks.example.org/";

/// Answers as it was told, and with 200 after that; keeps what it was to carry.
#[derive(Default)]
struct StandIn {
    answers: Mutex<VecDeque<Carried>>,
    letters: Mutex<Vec<Letter>>,
}

impl StandIn {
    fn telling(answers: impl IntoIterator<Item = Carried>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), letters: Mutex::default() }
    }
    fn carried(&self) -> usize {
        self.letters.lock().unwrap().len()
    }
    fn header(&self, at: usize, name: &str) -> String {
        let letters = self.letters.lock().unwrap();
        let header = letters[at].headers.iter().find(|(known, _)| *known == name);
        header.unwrap().1.clone()
    }
}

#[async_trait]
impl Courier for StandIn {
    async fn carry(&self, letter: Letter) -> Carried {
        self.letters.lock().unwrap().push(letter);
        self.answers.lock().unwrap().pop_front().unwrap_or(answer(200, None))
    }
}

fn answer(status: u16, retry_after_s: Option<u64>) -> Carried {
    Carried::Answered { status, retry_after_s }
}

struct House {
    shared: Arc<Shared>,
    account: AccountId,
    webhook: WebhookId,
}

impl House {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let account = random::account_id();
        let purse = Purse::new(Config::default().currency, None);
        let row =
            AccountRow { id: account, kind: AccountKind::Studio, name: "a".into(), created_at_ms: 0, purse };
        store.add_account(&row).await.unwrap();
        let shared = Arc::new(Shared::new(Config::default(), Parts::alone(store, [7; 32])));
        let house = Self { shared, account, webhook: random::webhook_id() };
        house.add(house.webhook).await;
        house
    }

    async fn add(&self, id: WebhookId) {
        let row = WebhookRow {
            id,
            account: self.account,
            url: URL.into(),
            events: vec![EventKind::SessionEnded],
            disabled: None,
            secret_number: 1,
            old_secret_until_ms: None,
            created_at_ms: 1,
            created_by: None,
            delivered_at_ms: None,
        };
        assert!(self.shared.store.add_webhook(&row).await.unwrap());
    }

    async fn row(&self) -> WebhookRow {
        let rows = self.shared.store.webhooks(self.account).await.unwrap();
        rows.into_iter().find(|row| row.id == self.webhook).unwrap()
    }

    async fn happens(&self) -> EventId {
        test(&self.shared, self.account, self.webhook).await.unwrap()
    }

    async fn delivery(&self, event: EventId) -> DeliveryRow {
        let rows = self.shared.store.deliveries(self.webhook, None, 50).await.unwrap();
        rows.into_iter().find(|row| row.event == event).unwrap()
    }

    /// Tries everything that is due now.
    async fn pass(&self, courier: &StandIn) {
        let (claim, dues) = claim(&self.shared, AT_ONCE).await.unwrap();
        for due in dues {
            attempt(&self.shared, courier, due, claim).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_in_three_days_is_dead_and_is_delivered_when_somebody_asks() {
    let house = House::new().await;
    let event = house.happens().await;
    let courier = StandIn::telling((0..10).map(|_| Carried::Failed("no route".into())));
    let mut minutes = 0;
    while house.delivery(event).await.state == DeliveryState::Pending {
        house.pass(&courier).await;
        advance(Duration::from_secs(60)).await;
        minutes += 1;
        assert!(minutes < 60 * 24 * 4, "it is tried for ever");
    }
    assert_eq!(courier.carried(), 10);
    assert!((60 * 75..60 * 85).contains(&minutes), "given up after {minutes} minutes");
    let dead = house.delivery(event).await;
    assert_eq!(
        (dead.state, dead.tries, dead.trouble.as_deref()),
        (DeliveryState::Dead, 10, Some("no route"))
    );
    assert_eq!(house.row().await.disabled, Some(Disabled::Failing), "nothing was delivered all the while");

    let change = WebhookChange { url: URL.into(), events: vec![EventKind::SessionEnded], enabled: true };
    let store = &house.shared.store;
    assert!(store.change_webhook(house.account, house.webhook, &change).await.unwrap());
    assert!(store.redeliver(house.webhook, event, house.shared.now_ms()).await.unwrap());
    house.pass(&courier).await;
    let row = house.delivery(event).await;
    assert_eq!((row.state, row.status, row.trouble), (DeliveryState::Delivered, Some(200), None));
    let id = |at| courier.header(at, ID_HEADER);
    assert_eq!((id(0), id(10)), (event.to_string(), event.to_string()), "the id stays");
    assert_ne!(courier.header(0, TIMESTAMP_HEADER), courier.header(10, TIMESTAMP_HEADER));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_replica_died_is_made_by_another() {
    let house = House::new().await;
    let event = house.happens().await;
    let (_, lost) = claim(&house.shared, AT_ONCE).await.unwrap();
    assert_eq!(lost.len(), 1);
    let courier = StandIn::default();
    advance(Duration::from_millis(CLAIM_MS - 1)).await;
    house.pass(&courier).await;
    assert_eq!(courier.carried(), 0, "the other one may still be at it");
    advance(Duration::from_millis(1)).await;
    house.pass(&courier).await;
    house.pass(&courier).await;
    assert_eq!((courier.carried(), house.delivery(event).await.state), (1, DeliveryState::Delivered));
}

#[tokio::test(start_paused = true)]
async fn one_who_wants_no_more_gets_no_more() {
    let house = House::new().await;
    let (first, second) = (house.happens().await, house.happens().await);
    let courier = StandIn::telling([answer(410, None)]);
    let (claim, mut dues) = claim(&house.shared, 1).await.unwrap();
    attempt(&house.shared, &courier, dues.remove(0), claim).await;
    assert_eq!(house.row().await.disabled, Some(Disabled::Gone));
    house.pass(&courier).await;
    assert_eq!(courier.carried(), 1);
    let states = [house.delivery(first).await.state, house.delivery(second).await.state];
    assert!(states.contains(&DeliveryState::Dead) && states.contains(&DeliveryState::Pending), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn one_under_load_is_left_alone_with_everything_for_as_long_as_it_asks() {
    let house = House::new().await;
    house.happens().await;
    let courier = StandIn::telling([answer(429, Some(600))]);
    house.pass(&courier).await;
    let later = house.happens().await;
    advance(Duration::from_secs(599)).await;
    house.pass(&courier).await;
    assert_eq!(courier.carried(), 1);
    advance(Duration::from_secs(1)).await;
    house.pass(&courier).await;
    assert_eq!((courier.carried(), house.delivery(later).await.state), (3, DeliveryState::Delivered));
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_signs_beside_the_old_one_for_a_day() {
    let house = House::new().await;
    let courier = StandIn::default();
    let expected = |at: usize, number| {
        let secret = house.shared.webhook_secret(house.webhook, number);
        let body = courier.letters.lock().unwrap()[at].body.clone();
        signature::sign(&secret, &courier.header(at, ID_HEADER), &courier.header(at, TIMESTAMP_HEADER), &body)
    };
    house.happens().await;
    house.pass(&courier).await;
    assert_eq!(courier.header(0, SIGNATURE_HEADER), expected(0, 1));
    let until_ms = house.shared.now_ms() + OLD_SECRET_MS;
    assert!(house.shared.store.renew_secret(house.account, house.webhook, 1, until_ms).await.unwrap());
    house.happens().await;
    house.pass(&courier).await;
    assert_eq!(courier.header(1, SIGNATURE_HEADER), format!("{} {}", expected(1, 2), expected(1, 1)));
    assert_ne!(expected(1, 1), expected(1, 2));
    advance(Duration::from_millis(OLD_SECRET_MS)).await;
    house.happens().await;
    house.pass(&courier).await;
    assert_eq!(courier.header(2, SIGNATURE_HEADER), expected(2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_hold_up_the_others() {
    let house = House::new().await;
    for _ in 0..AT_ONCE * 2 {
        house.happens().await;
    }
    // All of the first that may be under way at once are, and never come back.
    let (_, hanging) = claim(&house.shared, AT_ONCE).await.unwrap();
    let hanging_to_one = hanging.iter().filter(|due| due.webhook.id == house.webhook).count();
    assert_eq!(hanging_to_one, crate::store::webhooks::AT_ONCE_TO_ONE as usize);
    let other = random::webhook_id();
    house.add(other).await;
    test(&house.shared, house.account, other).await.unwrap();
    let (_, dues) = claim(&house.shared, AT_ONCE).await.unwrap();
    let to: Vec<_> = dues.iter().map(|due| due.webhook.id).collect();
    assert_eq!(to, [other]);
}

#[tokio::test(start_paused = true)]
async fn events_go_to_those_who_want_them_and_old_ones_are_forgotten() {
    let house = House::new().await;
    let store = &house.shared.store;
    let of = |kind| {
        let data = nearframe_protocol::webhook::EventData::Test(nearframe_protocol::webhook::TestEvent {
            webhook: house.webhook,
        });
        crate::store::webhooks::EventRow::new(house.account, kind, house.shared.now_ms(), data).unwrap()
    };
    let (wanted, other) = (of(EventKind::SessionEnded), of(EventKind::BudgetLow));
    assert_eq!(store.add_event(&wanted, None).await.unwrap(), 1);
    assert_eq!(store.add_event(&wanted, None).await.unwrap(), 0, "it happened once");
    assert_eq!(store.add_event(&other, None).await.unwrap(), 0);
    assert_eq!(store.accounts_that_want(EventKind::SessionEnded).await.unwrap(), [house.account]);
    assert!(store.accounts_that_want(EventKind::BudgetLow).await.unwrap().is_empty());
    store.forget_events(house.shared.now_ms() + 1).await.unwrap();
    assert!(store.deliveries(house.webhook, None, 9).await.unwrap().is_empty());
}
