//! The API's description, generated from the doors.

use super::{
    accounts, api_keys, bills, budgets, caps, cases, checks, credits, disputes, earnings, fleet, invoices,
    members, nodes, operator, passkeys, payouts, plans, prices, probes, queue, quotes, reservations, saves,
    service_levels, sessions, sign_in, stakes, statements, surveys, titles, trail, usage, webhooks, who,
};
use crate::signalling;
use nearframe_protocol::check::PROOF_HEADER;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};

/// The API's description, OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "nearframe",
        version = "1",
        description = "Games from the nearest GPU. Errors are RFC 9457 problems; ids are UUIDs; times \
                       are Unix milliseconds; money is a decimal string with its currency.",
        license(name = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    paths(
        titles::list,
        titles::one,
        titles::cover,
        sessions::create,
        sessions::list,
        sessions::one,
        sessions::leave,
        sessions::receipts,
        sessions::placement,
        sessions::path,
        surveys::create,
        surveys::checks,
        surveys::measured,
        surveys::outlook,
        queue::list,
        queue::leave,
        queue::group,
        fleet::view,
        fleet::ban,
        fleet::lift_ban,
        fleet::drain,
        fleet::lift_drain,
        fleet::orders,
        fleet::residency,
        fleet::reserve,
        fleet::book,
        fleet::bookings,
        fleet::cancel,
        checks::list,
        checks::enrol,
        checks::revoke,
        checks::file,
        checks::next,
        checks::seeds,
        checks::of_node,
        saves::put,
        saves::get,
        saves::list,
        saves::download,
        saves::delete,
        signalling::page::open,
        nodes::list,
        signalling::node::open,
        operator::enrol,
        prices::now,
        prices::index,
        prices::version,
        prices::set,
        quotes::create,
        reservations::create,
        reservations::list,
        reservations::one,
        reservations::cancel,
        reservations::auction,
        caps::of_title,
        caps::set_of_title,
        caps::of_account,
        caps::set_of_account,
        plans::list,
        plans::set,
        plans::one,
        plans::subscribe,
        plans::cancel,
        plans::charges,
        payouts::destinations,
        payouts::set_destination,
        payouts::list,
        payouts::run,
        payouts::submit,
        payouts::bank_file,
        payouts::claims,
        payouts::outcome,
        budgets::list,
        budgets::set,
        statements::csv,
        invoices::pdf,
        usage::list,
        usage::titles,
        usage::nodes,
        usage::work,
        usage::series,
        usage::sessions,
        bills::of_session,
        service_levels::of_month,
        disputes::open,
        disputes::of_session,
        disputes::count,
        disputes::list,
        disputes::decide,
        cases::list,
        cases::decide,
        credits::list,
        stakes::appeal,
        stakes::decide,
        stakes::appeals,
        stakes::rules,
        stakes::of_account,
        stakes::post,
        stakes::notice,
        stakes::deposit,
        earnings::overview,
        earnings::head,
        earnings::refused,
        earnings::root,
        earnings::of_node,
        accounts::me,
        sign_in::ways,
        members::sign_in,
        members::sign_out,
        sign_in::to_provider,
        sign_in::begin_at_provider,
        sign_in::back,
        sign_in::choice,
        sign_in::choose,
        passkeys::begin,
        passkeys::sign_in,
        passkeys::own,
        passkeys::unlink,
        passkeys::begin_adding,
        passkeys::add,
        passkeys::remove,
        accounts::create,
        accounts::list,
        accounts::one,
        accounts::set_allowance,
        accounts::holdings,
        accounts::set_title_owner,
        accounts::set_node_owner,
        members::list,
        members::invite,
        members::link_again,
        members::set_role,
        members::remove,
        api_keys::list,
        api_keys::create,
        api_keys::set_allowance,
        api_keys::revoke,
        webhooks::list,
        webhooks::create,
        webhooks::set,
        webhooks::remove,
        webhooks::renew,
        webhooks::test,
        webhooks::deliveries,
        webhooks::redeliver,
        trail::list,
        probes::openapi,
        probes::live,
        probes::ready,
        probes::metrics
    ),
    components(schemas(
        nearframe_protocol::api::Problem,
        nearframe_protocol::attest::Attestation,
        nearframe_protocol::webhook::Event
    )),
    modifiers(&Credentials)
)]
pub(crate) struct Api;

/// How a caller shows whose session it is, and who the operator is.
struct Credentials;

impl utoipa::Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let cookie = |name| SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(name)));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("guest", cookie(who::GUEST_COOKIE));
        components.add_security_scheme("operator", cookie(who::OPERATOR_COOKIE));
        components.add_security_scheme("member", cookie(who::MEMBER_COOKIE));
        let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("ticket", bearer());
        components.add_security_scheme("save_token", bearer());
        components.add_security_scheme("key", bearer());
        let proof = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(PROOF_HEADER)));
        components.add_security_scheme("checker", proof);
    }
}

#[cfg(test)]
mod tests {
    use super::super::doors::doors;
    use super::*;

    #[test]
    fn every_door_of_the_api_is_described_and_nothing_else_is() {
        let described = serde_json::to_value(Api::openapi()).unwrap();
        let mut documented: Vec<(String, String)> = Vec::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                documented.push((method.to_uppercase(), path.clone()));
            }
        }
        let api = |path: &str| path.starts_with("/v1/") || path.ends_with('z') || path == "/metrics";
        let mut routed: Vec<_> = doors()
            .iter()
            .filter(|door| api(door.guard.path))
            .map(|door| (door.guard.method.to_owned(), door.guard.path.to_owned()))
            .collect();
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn the_committed_description_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/openapi.json");
        let now = Api::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == now, "docs/api/openapi.json is old: run the tests with UPDATE_OPENAPI=1");
    }
}
