//! Walks every door as every kind of caller.

use super::doors;
use super::role::{GUEST_COOKIE, OPERATOR_COOKIE, Role};
use crate::state::{Parts, Shared, hash, wall_ms};
use crate::store::{Admission, Created, MemoryStore, NewSession, Store};
use crate::{Config, random};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{Generation, NodeKey, SessionId, TitleHash, TitleId};
use std::sync::Arc;
use tower::ServiceExt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stranger,
    ForgedGuest,
    OtherGuest,
    WrongTicket,
    OwnerByCookie,
    OwnerByTicket,
    WrongSaveToken,
    NodeBySaveToken,
    ForgedOperator,
    Operator,
}

const KINDS: [Kind; 10] = [
    Kind::Stranger,
    Kind::ForgedGuest,
    Kind::OtherGuest,
    Kind::WrongTicket,
    Kind::OwnerByCookie,
    Kind::OwnerByTicket,
    Kind::WrongSaveToken,
    Kind::NodeBySaveToken,
    Kind::ForgedOperator,
    Kind::Operator,
];

/// Who may pass; sockets check by themselves, after they opened.
fn may_pass(role: Role, kind: Kind) -> bool {
    match role {
        Role::Anyone | Role::Guest | Role::Ticket | Role::NodeKey => true,
        Role::SessionOwner => matches!(kind, Kind::OwnerByCookie | Kind::OwnerByTicket | Kind::Operator),
        Role::SaveToken => kind == Kind::NodeBySaveToken,
        Role::Operator => kind == Kind::Operator,
    }
}

struct House {
    shared: Arc<Shared>,
    router: Router,
    session: SessionId,
    owner: String,
    operator: String,
}

async fn house() -> House {
    let store = Arc::new(MemoryStore::new());
    let config = Config::default();
    let node_offer = NodeOffer {
        name: "n".into(),
        region: String::new(),
        slots: 1,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    store.add_enrolment([1; 32], u64::MAX).await.unwrap();
    let key = NodeKey::from_seed([1; 32]).public();
    let admission = store.admit_node(&key, Some([1; 32]), &node_offer, wall_ms()).await.unwrap();
    let Admission::Admitted(node) = admission else { panic!("{admission:?}") };
    let new = NewSession {
        id: random::session_id(),
        guest: random::guest_id(),
        guest_limit: 1,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node,
        player_key: key,
        lease: random::lease_id(),
        tariff: config.tariff(),
        basis: None,
        now_ms: wall_ms(),
        idempotency: None,
        fence: None,
    };
    assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    let operator = random::secret();
    store.add_operator_link([2; 32], u64::MAX).await.unwrap();
    assert!(store.redeem_operator_link([2; 32], 0, hash(&operator), u64::MAX).await.unwrap());
    let shared = Arc::new(Shared::new(config, Parts::alone(store, [7; 32])));
    let owner = shared.guest_cookie(new.guest);
    House { router: super::router(&shared), shared, session: new.id, owner, operator }
}

impl House {
    fn credentials(&self, kind: Kind) -> Option<(header::HeaderName, String)> {
        let cookie = |name: &str, value: &str| Some((header::COOKIE, format!("a=b; {name}={value}")));
        let bearer = |ticket: String| Some((header::AUTHORIZATION, format!("Bearer {ticket}")));
        match kind {
            Kind::Stranger => None,
            Kind::ForgedGuest => cookie(GUEST_COOKIE, &format!("{}x", self.owner)),
            Kind::OtherGuest => cookie(GUEST_COOKIE, &self.shared.guest_cookie(random::guest_id())),
            Kind::WrongTicket => bearer(self.shared.ticket(random::session_id())),
            Kind::OwnerByCookie => cookie(GUEST_COOKIE, &self.owner),
            Kind::OwnerByTicket => bearer(self.shared.ticket(self.session)),
            Kind::WrongSaveToken => bearer(self.shared.save_token(random::session_id(), Generation(0))),
            Kind::NodeBySaveToken => bearer(self.shared.save_token(self.session, Generation(0))),
            Kind::ForgedOperator => cookie(OPERATOR_COOKIE, &random::secret()),
            Kind::Operator => cookie(OPERATOR_COOKIE, &self.operator),
        }
    }
}

#[tokio::test]
async fn every_door_lets_in_exactly_who_has_its_role() {
    for kind in KINDS {
        for door in doors() {
            // A fresh house each time: some doors change something.
            let house = house().await;
            let path = match door.path {
                path if path.starts_with("/v1/sessions") => path.replace("{id}", &house.session.to_string()),
                path => path.replace("{id}", "meteor").replace('*', ""),
            };
            let mut request = Request::builder().method(door.method).uri(path.replace(['{', '}'], ""));
            if let Some((name, value)) = house.credentials(kind) {
                request = request.header(name, value);
            }
            let answer = house.router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let refused = [401, 403].contains(&answer.status().as_u16());
            let (method, path, role) = (door.method, door.path, door.role);
            assert_eq!(!refused, may_pass(role, kind), "{method} {path} ({role:?}) as {kind:?}");
        }
    }
}
