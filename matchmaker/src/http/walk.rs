//! Walks every door as every kind of caller.

use super::doors::doors;
use super::role::{Guard, Role};
use super::who::{GUEST_COOKIE, MEMBER_COOKIE, OPERATOR_COOKIE};
use crate::state::{Parts, Shared, hash, wall_ms};
use crate::store::accounts::{AccountRow, Arrival, Arrived, Holding, KeyRow, LinkRow, Purse};
use crate::store::{AccountStore, Admission, CheckStore, Created, MemoryStore, NewSession, Payer, Store};
use crate::{Config, keys, random};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use nearframe_protocol::account::{AccountKind, MemberRole, Scope};
use nearframe_protocol::check::{PROOF_HEADER, proof};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{AccountId, ApiKeyId, Generation, NodeId, NodeKey, SessionId, TitleHash, TitleId};
use std::sync::Arc;
use tower::ServiceExt;

/// Who comes to a door. The session's guest is not its payer, which is the account.
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
    /// Of an operator's account.
    OperatorMember(MemberRole),
    /// Of the account that pays for the session and owns the node.
    Member(MemberRole),
    OtherAccountsOwner,
    RemovedMember,
    SignedOutMember,
    LateMember,
    /// The right cookie, sent by the page of a site that may embed the player.
    OwnerFromAListedSite,
    /// With all scopes.
    Key,
    KeyOf(Scope),
    OtherAccountsKey,
    RevokedKey,
    ExpiredKey,
    MistypedKey,
    Checker,
    RevokedChecker,
    StrangeChecker,
}

const KINDS: [Kind; 32] = [
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
    Kind::OperatorMember(MemberRole::Viewer),
    Kind::OperatorMember(MemberRole::Member),
    Kind::OperatorMember(MemberRole::Owner),
    Kind::Member(MemberRole::Viewer),
    Kind::Member(MemberRole::Member),
    Kind::Member(MemberRole::Owner),
    Kind::OtherAccountsOwner,
    Kind::RemovedMember,
    Kind::SignedOutMember,
    Kind::LateMember,
    Kind::OwnerFromAListedSite,
    Kind::Key,
    Kind::KeyOf(Scope::Quotes),
    Kind::KeyOf(Scope::Sessions),
    Kind::KeyOf(Scope::Usage),
    Kind::OtherAccountsKey,
    Kind::RevokedKey,
    Kind::ExpiredKey,
    Kind::MistypedKey,
    Kind::Checker,
    Kind::RevokedChecker,
    Kind::StrangeChecker,
];

impl Kind {
    /// How far an operator's doors are open.
    fn operates(self) -> Option<MemberRole> {
        match self {
            Self::Operator => Some(MemberRole::Owner),
            Self::OperatorMember(role) => Some(role),
            _ => None,
        }
    }

    /// What they may do in the account.
    fn role(self) -> Option<MemberRole> {
        if let Self::Member(role) = self { Some(role) } else { None }
    }

    /// Whether a good key is sent, and whether it has this scope.
    fn key(self, scope: Option<Scope>) -> Option<bool> {
        match self {
            Self::Key | Self::OtherAccountsKey => Some(scope.is_some()),
            Self::KeyOf(has) => Some(scope == Some(has)),
            _ => None,
        }
    }

    fn is_bad_key(self) -> bool {
        matches!(self, Self::RevokedKey | Self::ExpiredKey | Self::MistypedKey)
    }
}

/// Who may pass; sockets check by themselves, after they opened.
fn may_pass(guard: Guard, kind: Kind) -> bool {
    let public = matches!(guard.role, Role::Anyone | Role::Guest | Role::Ticket | Role::NodeKey);
    // A key counts where one may come, and is nothing where nobody asks.
    if kind.is_bad_key() {
        return public && guard.scope.is_none();
    }
    if let Some(fits) = kind.key(guard.scope) {
        return match guard.role {
            Role::Whoever | Role::Key => true,
            Role::SessionOwner | Role::SessionParty => fits && kind != Kind::OtherAccountsKey,
            _ if public => fits || guard.scope.is_none(),
            _ => fits,
        };
    }
    let outside = |role| if role == MemberRole::Viewer { role } else { MemberRole::Owner };
    match guard.role {
        Role::Anyone | Role::Whoever | Role::Guest | Role::Ticket | Role::NodeKey => true,
        Role::OwnPages => kind != Kind::OwnerFromAListedSite,
        Role::SignedIn => {
            matches!(kind, Kind::Member(_) | Kind::OperatorMember(_) | Kind::OtherAccountsOwner)
        }
        Role::SessionOwner => {
            let least = if guard.method == "GET" { MemberRole::Viewer } else { MemberRole::Member };
            matches!(kind, Kind::OwnerByCookie | Kind::OwnerByTicket) || kind.operates() >= Some(least)
        }
        Role::SessionParty => {
            let least = if guard.method == "GET" { MemberRole::Viewer } else { MemberRole::Member };
            let owns = matches!(kind, Kind::OwnerByCookie | Kind::OwnerByTicket);
            owns || kind.role() >= Some(least) || kind.operates() >= Some(least)
        }
        Role::SaveToken => kind == Kind::NodeBySaveToken,
        Role::Checker => kind == Kind::Checker,
        Role::Key => false,
        Role::Operator(role) => kind.operates() >= Some(role),
        Role::Account(role) => kind.role() >= Some(role) || kind.operates() >= Some(outside(role)),
        Role::Books(role) => {
            let own = [kind.role(), kind.operates()].into_iter().flatten().max();
            own >= Some(role) || (kind == Kind::OtherAccountsOwner)
        }
        Role::NodeOwner => kind.role().is_some() || kind.operates().is_some(),
    }
}

/// A site that may embed the player.
const LISTED: &str = "https://games.example";

struct House {
    shared: Arc<Shared>,
    store: Arc<MemoryStore>,
    router: Router,
    session: SessionId,
    node: NodeId,
    account: AccountId,
    key: ApiKeyId,
    owner: String,
    operator: String,
}

async fn account(store: &MemoryStore, kind: AccountKind) -> AccountId {
    let purse = Purse::new(Config::default().currency, Some(0));
    let row = AccountRow { id: random::account_id(), kind, name: "a".into(), created_at_ms: 0, purse };
    store.add_account(&row).await.unwrap();
    row.id
}

/// A key with these scopes, and its secret.
async fn key(
    store: &MemoryStore,
    account: AccountId,
    scopes: &[Scope],
    expires: Option<u64>,
) -> (ApiKeyId, String) {
    let secret = keys::fresh();
    let row = KeyRow {
        id: random::key_id(),
        account,
        name: "k".into(),
        prefix: keys::shown(&secret),
        scopes: scopes.to_vec(),
        created_at_ms: 0,
        created_by: None,
        expires_at_ms: expires,
        revoked_at_ms: None,
        last_used_ms: None,
        purse: Purse::new(Config::default().currency, None),
    };
    assert!(store.add_key(&row, hash(&secret)).await.unwrap());
    (row.id, secret)
}

/// The cookie of a new member.
async fn member(store: &dyn Store, account: AccountId, role: MemberRole, expires_at_ms: u64) -> String {
    let (token, cookie) = (random::secret(), random::secret());
    let link = LinkRow { token: hash(&token), account, role, member: None, expires_at_ms: u64::MAX };
    store.add_link(&link).await.unwrap();
    let arrival = Arrival {
        token: hash(&token),
        member: random::member_id(),
        name: "m".into(),
        cookie: hash(&cookie),
        cookie_expires_at_ms: expires_at_ms,
        now_ms: wall_ms(),
        identity: None,
    };
    let arrived = store.arrive(&arrival).await.unwrap();
    assert!(matches!(arrived, Arrived::As(_)), "{arrived:?}");
    cookie
}

async fn house() -> House {
    let store = Arc::new(MemoryStore::new());
    let config = Config { allowed_origins: vec![LISTED.to_owned()], ..Config::default() };
    let account = account(&store, AccountKind::Studio).await;
    let (key, _) = key(&store, account, &[Scope::Sessions], None).await;
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
    let node_key = NodeKey::from_seed([1; 32]).public();
    let admission = store.admit_node(&node_key, Some([1; 32]), &node_offer, wall_ms()).await.unwrap();
    let Admission::Admitted(node) = admission else { panic!("{admission:?}") };
    let new = NewSession {
        id: random::session_id(),
        guest: random::guest_id(),
        guest_limit: 1,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node,
        player_key: node_key,
        lease: random::lease_id(),
        tariff: config.tariff(),
        basis: None,
        now_ms: wall_ms(),
        idempotency: None,
        fence: None,
        payer: Some(Payer { account, key: Some(key) }),
        reservation: None,
        player: None,
    };
    assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    store.set_owner(&Holding::Node(node), Some(account)).await.unwrap();
    let operator = random::secret();
    store.add_operator_link([2; 32], u64::MAX).await.unwrap();
    assert!(store.redeem_operator_link([2; 32], 0, hash(&operator), u64::MAX).await.unwrap());
    let shared = Arc::new(Shared::new(config, Parts::alone(Arc::clone(&store) as Arc<dyn Store>, [7; 32])));
    let owner = shared.guest_cookie(new.guest);
    House {
        router: super::router(&shared),
        shared,
        store,
        session: new.id,
        node,
        account,
        key,
        owner,
        operator,
    }
}

impl House {
    async fn member(&self, kind: AccountKind, role: MemberRole) -> String {
        let account =
            if kind == AccountKind::Studio { self.account } else { account(&self.store, kind).await };
        // One that stays, so that nobody is the last.
        member(&*self.store, account, MemberRole::Owner, u64::MAX).await;
        member(&*self.store, account, role, u64::MAX).await
    }

    async fn headers(&self, kind: Kind, guard: Guard) -> Vec<(header::HeaderName, String)> {
        let store = &*self.store;
        let cookie = |name: &str, value: &str| vec![(header::COOKIE, format!("a=b; {name}={value}"))];
        let bearer = |ticket: String| vec![(header::AUTHORIZATION, format!("Bearer {ticket}"))];
        match kind {
            Kind::Stranger => vec![],
            Kind::ForgedGuest => cookie(GUEST_COOKIE, &format!("{}x", self.owner)),
            Kind::OtherGuest => cookie(GUEST_COOKIE, &self.shared.guest_cookie(random::guest_id())),
            Kind::WrongTicket => bearer(self.shared.ticket(random::session_id())),
            Kind::OwnerByCookie => cookie(GUEST_COOKIE, &self.owner),
            Kind::OwnerByTicket => bearer(self.shared.ticket(self.session)),
            Kind::WrongSaveToken => bearer(self.shared.save_token(random::session_id(), Generation(0))),
            Kind::NodeBySaveToken => bearer(self.shared.save_token(self.session, Generation(0))),
            Kind::ForgedOperator => cookie(OPERATOR_COOKIE, &random::secret()),
            Kind::Operator => cookie(OPERATOR_COOKIE, &self.operator),
            Kind::OperatorMember(role) => {
                cookie(MEMBER_COOKIE, &self.member(AccountKind::Operator, role).await)
            }
            Kind::Member(role) => cookie(MEMBER_COOKIE, &self.member(AccountKind::Studio, role).await),
            Kind::OtherAccountsOwner => {
                cookie(MEMBER_COOKIE, &self.member(AccountKind::Host, MemberRole::Owner).await)
            }
            Kind::RemovedMember => {
                let secret = self.member(AccountKind::Studio, MemberRole::Owner).await;
                let (row, _) = store.member_of_cookie(hash(&secret), 0).await.unwrap().unwrap();
                store.remove_member(self.account, row.id, 0).await.unwrap();
                cookie(MEMBER_COOKIE, &secret)
            }
            Kind::SignedOutMember => {
                let secret = self.member(AccountKind::Studio, MemberRole::Owner).await;
                store.sign_out(hash(&secret)).await.unwrap();
                cookie(MEMBER_COOKIE, &secret)
            }
            Kind::LateMember => {
                cookie(MEMBER_COOKIE, &member(store, self.account, MemberRole::Owner, 1).await)
            }
            Kind::OwnerFromAListedSite => {
                let secret = self.member(AccountKind::Studio, MemberRole::Owner).await;
                let origin = (header::ORIGIN, LISTED.to_owned());
                cookie(MEMBER_COOKIE, &secret).into_iter().chain([origin]).collect()
            }
            Kind::Key => bearer(key(store, self.account, Scope::ALL, None).await.1),
            Kind::KeyOf(scope) => bearer(key(store, self.account, &[scope], Some(u64::MAX)).await.1),
            Kind::OtherAccountsKey => {
                bearer(key(store, account(store, AccountKind::Studio).await, Scope::ALL, None).await.1)
            }
            Kind::RevokedKey => {
                let (id, secret) = key(store, self.account, Scope::ALL, None).await;
                assert!(store.revoke_key(self.account, id, 1).await.unwrap());
                bearer(secret)
            }
            Kind::ExpiredKey => bearer(key(store, self.account, Scope::ALL, Some(1)).await.1),
            Kind::Checker | Kind::RevokedChecker | Kind::StrangeChecker => {
                let key = NodeKey::from_seed([9; 32]);
                if kind != Kind::StrangeChecker {
                    assert!(store.enrol_checker(&key.public(), "c", 0).await.unwrap());
                }
                if kind == Kind::RevokedChecker {
                    assert!(store.revoke_checker(&key.public(), 1).await.unwrap());
                }
                let proof = proof(&key, wall_ms(), guard.method, guard.path);
                vec![(header::HeaderName::from_static(PROOF_HEADER), proof)]
            }
            Kind::MistypedKey => {
                let mut secret = key(store, self.account, Scope::ALL, None).await.1;
                secret.truncate(secret.len() - 1);
                bearer(secret)
            }
        }
    }

    /// A path of a door, with ids that are there.
    fn path(&self, path: &str) -> String {
        let path = match path {
            path if path.starts_with("/v1/sessions") => path.replace("{id}", &self.session.to_string()),
            path if path.starts_with("/v1/nodes") => path.replace("{id}", &self.node.to_string()),
            path => path.replace("{id}", "meteor"),
        };
        let path = path.replace("{account}", &self.account.to_string());
        let path = path.replace("{key}", &self.key.to_string());
        let path = path.replace("{webhook}", &random::webhook_id().to_string());
        let path = path.replace("{event}", &random::webhook_id().to_string());
        let path = path.replace("{case}", &random::webhook_id().to_string());
        let path = path.replace("{reservation}", &random::reservation_id().to_string());
        let path = path.replace("{auction}", &random::auction_id().to_string());
        let path = path.replace("{dispute}", &random::dispute_id().to_string());
        path.replace("{member}", &random::member_id().to_string()).replace(['{', '}', '*'], "")
    }
}

#[tokio::test]
async fn every_door_lets_in_exactly_who_has_its_role() {
    for kind in KINDS {
        for door in doors() {
            // A fresh house each time: some doors change something.
            let house = house().await;
            let guard = door.guard;
            let mut request = Request::builder().method(guard.method).uri(house.path(guard.path));
            for (name, value) in house.headers(kind, guard).await {
                request = request.header(name, value);
            }
            let answer = house.router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let refused = [401, 403].contains(&answer.status().as_u16());
            assert_eq!(!refused, may_pass(guard, kind), "{guard:?} as {kind:?}: {}", answer.status());
        }
    }
}
