//! The table of doors: every route with the role it asks for, and the scope that lets a key through.

use super::role::{Guard, Role};
use super::{
    accounts, api_keys, bills, budgets, caps, cases, checks, credits, disputes, earnings, fleet, invoices,
    mcp, members, nodes, operator, passkeys, payouts, plans, prices, probes, queue, quotes, reservations,
    saves, service_levels, sessions, sign_in, stakes, statements, static_files, surveys, titles, trail,
    usage, webhooks,
};
use crate::signalling;
use crate::state::Shared;
use axum::routing::{MethodRouter, delete, get, post, put};
use nearframe_protocol::account::{MemberRole, Scope};
use std::sync::Arc;

/// One route.
pub(super) struct Door {
    pub(super) guard: Guard,
    pub(super) handler: MethodRouter<Arc<Shared>>,
}

impl Door {
    /// Keys with this scope open it as well.
    fn key(mut self, scope: Scope) -> Self {
        self.guard.scope = Some(scope);
        self
    }
}

pub(super) fn doors() -> Vec<Door> {
    let door =
        |method, path, role, handler| Door { guard: Guard { method, path, role, scope: None }, handler };
    let page = || get(static_files::index);
    vec![
        door("GET", "/v1/titles", Role::Anyone, get(titles::list)),
        door("GET", "/v1/titles/{id}", Role::Anyone, get(titles::one)),
        door("GET", "/v1/titles/{id}/cover", Role::Anyone, get(titles::cover)),
        door("POST", "/v1/sessions", Role::Guest, post(sessions::create)).key(Scope::Sessions),
        door("GET", "/v1/sessions", Role::Guest, get(sessions::list)).key(Scope::Sessions),
        door("GET", "/v1/sessions/{id}", Role::SessionOwner, get(sessions::one)).key(Scope::Sessions),
        door("DELETE", "/v1/sessions/{id}", Role::SessionOwner, delete(sessions::leave)).key(Scope::Sessions),
        door("GET", "/v1/sessions/{id}/receipts", Role::SessionOwner, get(sessions::receipts))
            .key(Scope::Sessions),
        door("GET", "/v1/sessions/{id}/placement", Role::SessionOwner, get(sessions::placement))
            .key(Scope::Sessions),
        door("POST", "/v1/sessions/{id}/path", Role::SessionOwner, post(sessions::path)),
        door("POST", "/v1/surveys", Role::Guest, post(surveys::create)),
        door("POST", "/v1/surveys/checks", Role::Guest, post(surveys::checks)),
        door("POST", "/v1/surveys/measured", Role::Guest, post(surveys::measured)),
        door("GET", "/v1/outlook", Role::Guest, get(surveys::outlook)),
        door("GET", "/v1/queue", Role::Guest, get(queue::list)),
        door("DELETE", "/v1/queue/{title}", Role::Guest, delete(queue::leave)),
        door("POST", "/v1/groups", Role::Guest, post(queue::group)),
        door("GET", "/v1/fleet", Role::Operator(MemberRole::Viewer), get(fleet::view)),
        door("PUT", "/v1/nodes/{id}/ban", Role::Operator(MemberRole::Member), put(fleet::ban)),
        door("DELETE", "/v1/nodes/{id}/ban", Role::Operator(MemberRole::Member), delete(fleet::lift_ban)),
        door("PUT", "/v1/nodes/{id}/drain", Role::Operator(MemberRole::Member), put(fleet::drain)),
        door("DELETE", "/v1/nodes/{id}/drain", Role::Operator(MemberRole::Member), delete(fleet::lift_drain)),
        door("GET", "/v1/nodes/{id}/orders", Role::Operator(MemberRole::Viewer), get(fleet::orders)),
        door("GET", "/v1/nodes/{id}/checks", Role::NodeOwner, get(checks::of_node)),
        door("GET", "/v1/checkers", Role::Operator(MemberRole::Viewer), get(checks::list)),
        door("PUT", "/v1/checkers/{checker}", Role::Operator(MemberRole::Owner), put(checks::enrol)),
        door("DELETE", "/v1/checkers/{checker}", Role::Operator(MemberRole::Owner), delete(checks::revoke)),
        door("POST", "/v1/checks", Role::Checker, post(checks::file)),
        door("GET", "/v1/checks/next", Role::Checker, get(checks::next)),
        door("GET", "/v1/checks/seeds", Role::Anyone, get(checks::seeds)),
        door("PUT", "/v1/titles/{id}/residency", Role::Operator(MemberRole::Member), put(fleet::residency)),
        door("PUT", "/v1/regions/{region}/reserve", Role::Operator(MemberRole::Member), put(fleet::reserve)),
        door("POST", "/v1/bookings", Role::Operator(MemberRole::Member), post(fleet::book)),
        door("GET", "/v1/bookings", Role::Operator(MemberRole::Member), get(fleet::bookings)),
        door("DELETE", "/v1/bookings/{booking}", Role::Operator(MemberRole::Member), delete(fleet::cancel)),
        door("GET", "/v1/sessions/{id}/signal", Role::Ticket, get(signalling::page::open)),
        door("PUT", "/v1/sessions/{id}/save", Role::SaveToken, put(saves::put)),
        door("GET", "/v1/sessions/{id}/save", Role::SaveToken, get(saves::get)),
        door("GET", "/v1/saves", Role::Guest, get(saves::list)),
        door("GET", "/v1/saves/{title}/{version}", Role::Guest, get(saves::download)),
        door("DELETE", "/v1/saves/{title}", Role::Guest, delete(saves::delete)),
        door("GET", "/v1/nodes", Role::Anyone, get(nodes::list)),
        door("GET", "/v1/nodes/link", Role::NodeKey, get(signalling::node::open)),
        door("POST", "/v1/enrolments", Role::Operator(MemberRole::Member), post(operator::enrol)),
        door("GET", "/v1/prices", Role::Anyone, get(prices::now)),
        door("GET", "/v1/prices/index", Role::Anyone, get(prices::index)),
        door("GET", "/v1/prices/{version}", Role::Anyone, get(prices::version)),
        door("PUT", "/v1/prices", Role::Operator(MemberRole::Member), put(prices::set)),
        door("POST", "/v1/quotes", Role::Anyone, post(quotes::create)).key(Scope::Quotes),
        door("POST", "/v1/reservations", Role::Books(MemberRole::Member), post(reservations::create))
            .key(Scope::Sessions),
        door("GET", "/v1/reservations", Role::Books(MemberRole::Viewer), get(reservations::list))
            .key(Scope::Sessions),
        door(
            "GET",
            "/v1/reservations/{reservation}",
            Role::Books(MemberRole::Viewer),
            get(reservations::one),
        )
        .key(Scope::Sessions),
        door(
            "DELETE",
            "/v1/reservations/{reservation}",
            Role::Books(MemberRole::Member),
            delete(reservations::cancel),
        )
        .key(Scope::Sessions),
        door("GET", "/v1/auctions/{auction}", Role::Anyone, get(reservations::auction)),
        door("GET", "/v1/titles/{id}/player-cap", Role::Books(MemberRole::Viewer), get(caps::of_title)),
        door("PUT", "/v1/titles/{id}/player-cap", Role::Books(MemberRole::Member), put(caps::set_of_title)),
        door("GET", "/v1/accounts/{account}/cap", Role::Account(MemberRole::Viewer), get(caps::of_account)),
        door(
            "PUT",
            "/v1/accounts/{account}/cap",
            Role::Account(MemberRole::Owner),
            put(caps::set_of_account),
        ),
        door("GET", "/v1/plans", Role::Anyone, get(plans::list)),
        door("PUT", "/v1/plans/{plan}", Role::Operator(MemberRole::Member), put(plans::set)),
        door(
            "GET",
            "/v1/accounts/{account}/subscription",
            Role::Account(MemberRole::Viewer),
            get(plans::one),
        ),
        door(
            "PUT",
            "/v1/accounts/{account}/subscription",
            Role::Account(MemberRole::Owner),
            put(plans::subscribe),
        ),
        door(
            "DELETE",
            "/v1/accounts/{account}/subscription",
            Role::Account(MemberRole::Owner),
            delete(plans::cancel),
        ),
        door("GET", "/v1/accounts/{account}/charges", Role::Account(MemberRole::Viewer), get(plans::charges)),
        door(
            "GET",
            "/v1/accounts/{account}/destination",
            Role::Account(MemberRole::Viewer),
            get(payouts::destinations),
        ),
        door(
            "PUT",
            "/v1/accounts/{account}/destination",
            Role::Account(MemberRole::Owner),
            put(payouts::set_destination),
        ),
        door("GET", "/v1/payouts", Role::Books(MemberRole::Viewer), get(payouts::list)),
        door("POST", "/v1/payouts", Role::Operator(MemberRole::Owner), post(payouts::run)),
        door(
            "POST",
            "/v1/payouts/{run}/submission",
            Role::Operator(MemberRole::Owner),
            post(payouts::submit),
        ),
        door(
            "GET",
            "/v1/payouts/{run}/bank-file",
            Role::Operator(MemberRole::Viewer),
            get(payouts::bank_file),
        ),
        door("GET", "/v1/payouts/{run}/claims", Role::Operator(MemberRole::Viewer), get(payouts::claims)),
        door(
            "PUT",
            "/v1/payouts/{run}/{payout}/outcome",
            Role::Operator(MemberRole::Owner),
            put(payouts::outcome),
        ),
        door("GET", "/v1/budgets", Role::Operator(MemberRole::Viewer), get(budgets::list)),
        door("PUT", "/v1/budgets/{title}", Role::Operator(MemberRole::Member), put(budgets::set)),
        door("GET", "/v1/statements/{title}/{month}", Role::Books(MemberRole::Viewer), get(statements::csv))
            .key(Scope::Usage),
        door("GET", "/v1/invoices/{month}", Role::Books(MemberRole::Viewer), get(invoices::pdf))
            .key(Scope::Usage),
        door("GET", "/v1/usage/{month}", Role::Books(MemberRole::Viewer), get(usage::list)).key(Scope::Usage),
        door("GET", "/v1/usage/titles", Role::Books(MemberRole::Viewer), get(usage::titles))
            .key(Scope::Usage),
        door("GET", "/v1/usage/nodes", Role::Books(MemberRole::Viewer), get(usage::nodes)).key(Scope::Usage),
        door("GET", "/v1/usage/work", Role::Books(MemberRole::Viewer), get(usage::work)).key(Scope::Usage),
        door("GET", "/v1/usage/series", Role::Books(MemberRole::Viewer), get(usage::series))
            .key(Scope::Usage),
        door("GET", "/v1/usage/sessions", Role::Books(MemberRole::Viewer), get(usage::sessions))
            .key(Scope::Usage),
        door("GET", "/v1/sessions/{id}/bill", Role::SessionOwner, get(bills::of_session))
            .key(Scope::Sessions),
        door("POST", "/v1/sessions/{id}/disputes", Role::SessionParty, post(disputes::open))
            .key(Scope::Sessions),
        door("GET", "/v1/sessions/{id}/disputes", Role::SessionParty, get(disputes::of_session))
            .key(Scope::Sessions),
        door("PUT", "/v1/sessions/{id}/count", Role::SessionOwner, put(disputes::count)).key(Scope::Sessions),
        door("GET", "/v1/service-levels/{month}", Role::Anyone, get(service_levels::of_month)),
        door("GET", "/v1/disputes", Role::Operator(MemberRole::Viewer), get(disputes::list)),
        door(
            "POST",
            "/v1/disputes/{dispute}/decision",
            Role::Operator(MemberRole::Member),
            post(disputes::decide),
        ),
        door("GET", "/v1/cases", Role::Operator(MemberRole::Viewer), get(cases::list)),
        door("POST", "/v1/cases/{case}/decision", Role::Operator(MemberRole::Member), post(cases::decide)),
        door("GET", "/v1/accounts/{account}/credits", Role::Account(MemberRole::Viewer), get(credits::list)),
        door("POST", "/v1/cases/{case}/appeal", Role::SignedIn, post(stakes::appeal)),
        door(
            "POST",
            "/v1/cases/{case}/appeal/decision",
            Role::Operator(MemberRole::Member),
            post(stakes::decide),
        ),
        door("GET", "/v1/appeals", Role::Operator(MemberRole::Viewer), get(stakes::appeals)),
        door("GET", "/v1/stake/rules", Role::Anyone, get(stakes::rules)),
        door(
            "GET",
            "/v1/accounts/{account}/stake",
            Role::Account(MemberRole::Viewer),
            get(stakes::of_account),
        ),
        door("POST", "/v1/accounts/{account}/stake", Role::Account(MemberRole::Owner), post(stakes::post)),
        door(
            "POST",
            "/v1/accounts/{account}/stake/notice",
            Role::Account(MemberRole::Owner),
            post(stakes::notice),
        ),
        door(
            "POST",
            "/v1/nodes/{id}/stake/deposits",
            Role::Operator(MemberRole::Owner),
            post(stakes::deposit),
        ),
        door("GET", "/v1/earnings", Role::Books(MemberRole::Viewer), get(earnings::overview)),
        door("GET", "/v1/ledger/head", Role::Anyone, get(earnings::head)),
        door("GET", "/v1/ledger/refused", Role::Operator(MemberRole::Viewer), get(earnings::refused)),
        door("GET", "/v1/settlement", Role::Anyone, get(earnings::root)),
        door("GET", "/v1/nodes/{id}/earnings", Role::NodeOwner, get(earnings::of_node)),
        door("GET", "/v1/me", Role::Whoever, get(accounts::me)),
        door("GET", "/v1/sign-in", Role::Anyone, get(sign_in::ways)),
        door("POST", "/v1/sign-in", Role::OwnPages, post(members::sign_in)),
        door("GET", "/v1/sign-in/oidc/{provider}", Role::Anyone, get(sign_in::to_provider)),
        door("POST", "/v1/sign-in/oidc/{provider}", Role::OwnPages, post(sign_in::begin_at_provider)),
        door("GET", "/v1/sign-in/oidc/{provider}/callback", Role::Whoever, get(sign_in::back)),
        door("GET", "/v1/sign-in/choice", Role::OwnPages, get(sign_in::choice)),
        door("POST", "/v1/sign-in/choice", Role::OwnPages, post(sign_in::choose)),
        door("POST", "/v1/sign-in/passkey/challenge", Role::OwnPages, post(passkeys::begin)),
        door("POST", "/v1/sign-in/passkey", Role::OwnPages, post(passkeys::sign_in)),
        door("GET", "/v1/me/sign-ins", Role::SignedIn, get(passkeys::own)),
        door("DELETE", "/v1/me/identities/{identity}", Role::SignedIn, delete(passkeys::unlink)),
        door("POST", "/v1/me/passkeys/challenge", Role::SignedIn, post(passkeys::begin_adding)),
        door("POST", "/v1/me/passkeys", Role::SignedIn, post(passkeys::add)),
        door("DELETE", "/v1/me/passkeys/{passkey}", Role::SignedIn, delete(passkeys::remove)),
        door("DELETE", "/v1/sign-in", Role::Whoever, delete(members::sign_out)),
        door("POST", "/v1/accounts", Role::Operator(MemberRole::Owner), post(accounts::create)),
        door("GET", "/v1/accounts", Role::Operator(MemberRole::Viewer), get(accounts::list)),
        door("GET", "/v1/accounts/{account}", Role::Account(MemberRole::Viewer), get(accounts::one)),
        door(
            "PUT",
            "/v1/accounts/{account}/allowance",
            Role::Operator(MemberRole::Owner),
            put(accounts::set_allowance),
        ),
        door(
            "GET",
            "/v1/accounts/{account}/holdings",
            Role::Account(MemberRole::Viewer),
            get(accounts::holdings),
        ),
        door(
            "PUT",
            "/v1/titles/{id}/owner",
            Role::Operator(MemberRole::Owner),
            put(accounts::set_title_owner),
        ),
        door("PUT", "/v1/nodes/{id}/owner", Role::Operator(MemberRole::Owner), put(accounts::set_node_owner)),
        door("GET", "/v1/accounts/{account}/members", Role::Account(MemberRole::Viewer), get(members::list)),
        door(
            "POST",
            "/v1/accounts/{account}/invitations",
            Role::Account(MemberRole::Owner),
            post(members::invite),
        ),
        door(
            "POST",
            "/v1/accounts/{account}/members/{member}/link",
            Role::Account(MemberRole::Owner),
            post(members::link_again),
        ),
        door(
            "PUT",
            "/v1/accounts/{account}/members/{member}",
            Role::Account(MemberRole::Owner),
            put(members::set_role),
        ),
        door(
            "DELETE",
            "/v1/accounts/{account}/members/{member}",
            Role::Account(MemberRole::Owner),
            delete(members::remove),
        ),
        door("GET", "/v1/accounts/{account}/keys", Role::Account(MemberRole::Viewer), get(api_keys::list)),
        door(
            "POST",
            "/v1/accounts/{account}/keys",
            Role::Account(MemberRole::Member),
            post(api_keys::create),
        ),
        door(
            "PUT",
            "/v1/accounts/{account}/keys/{key}/allowance",
            Role::Account(MemberRole::Member),
            put(api_keys::set_allowance),
        ),
        door(
            "DELETE",
            "/v1/accounts/{account}/keys/{key}",
            Role::Account(MemberRole::Member),
            delete(api_keys::revoke),
        ),
        door(
            "GET",
            "/v1/accounts/{account}/webhooks",
            Role::Account(MemberRole::Viewer),
            get(webhooks::list),
        ),
        door(
            "POST",
            "/v1/accounts/{account}/webhooks",
            Role::Account(MemberRole::Member),
            post(webhooks::create),
        ),
        door(
            "PUT",
            "/v1/accounts/{account}/webhooks/{webhook}",
            Role::Account(MemberRole::Member),
            put(webhooks::set),
        ),
        door(
            "DELETE",
            "/v1/accounts/{account}/webhooks/{webhook}",
            Role::Account(MemberRole::Member),
            delete(webhooks::remove),
        ),
        door(
            "POST",
            "/v1/accounts/{account}/webhooks/{webhook}/secret",
            Role::Account(MemberRole::Member),
            post(webhooks::renew),
        ),
        door(
            "POST",
            "/v1/accounts/{account}/webhooks/{webhook}/test",
            Role::Account(MemberRole::Member),
            post(webhooks::test),
        ),
        door(
            "GET",
            "/v1/accounts/{account}/webhooks/{webhook}/deliveries",
            Role::Account(MemberRole::Viewer),
            get(webhooks::deliveries),
        ),
        door(
            "POST",
            "/v1/accounts/{account}/webhooks/{webhook}/deliveries/{event}",
            Role::Account(MemberRole::Member),
            post(webhooks::redeliver),
        ),
        door("POST", "/mcp", Role::Key, post(mcp::serve)),
        door("GET", "/mcp", Role::Key, get(mcp::no_stream)),
        door("GET", "/v1/audit", Role::Books(MemberRole::Owner), get(trail::list)),
        door("GET", "/v1/openapi.json", Role::Anyone, get(probes::openapi)),
        door("GET", "/livez", Role::Anyone, get(probes::live)),
        door("GET", "/readyz", Role::Anyone, get(probes::ready)),
        door("GET", "/metrics", Role::Anyone, get(probes::metrics)),
        door("GET", "/operator", Role::Anyone, get(operator::sign_in)),
        door("GET", "/", Role::Anyone, page()),
        door("GET", "/play/{title}", Role::Anyone, page()),
        door("GET", "/sessions/{id}", Role::Anyone, page()),
        door("GET", "/nodes", Role::Anyone, page()),
        door("GET", "/fleet", Role::Anyone, page()),
        door("GET", "/earnings", Role::Anyone, page()),
        door("GET", "/costs", Role::Anyone, page()),
        door("GET", "/account", Role::Anyone, page()),
        door("GET", "/about", Role::Anyone, page()),
        door("GET", "/about/{*rest}", Role::Anyone, page()),
        door("GET", "/{*path}", Role::Anyone, get(static_files::file)),
    ]
}
