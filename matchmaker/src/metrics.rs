//! Counters and gauges in the Prometheus text format. Numbers only: no id, name or address.

use crate::state::Shared;
use crate::store::webhooks::Next;
use nearframe_protocol::EndReason;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// All counters of the service.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) sessions_created: Counter,
    pub(crate) sessions_refused: Counter,
    pub(crate) receipts_counted: Counter,
    pub(crate) receipts_repeated: Counter,
    pub(crate) receipts_refused: Counter,
    pub(crate) saves_kept: Counter,
    pub(crate) surveys: Counter,
    pub(crate) measured: Counter,
    pub(crate) queued: Counter,
    pub(crate) preempted: Counter,
    pub(crate) pages: Gauge,
    pub(crate) links: Gauge,
    pub(crate) interruptible: Gauge,
    pub(crate) ledger_refuses: Gauge,
    pub(crate) rate_limited: Counter,
    webhooks_delivered: Counter,
    webhooks_failed: Counter,
    webhooks_dead: Counter,
    ended: Mutex<BTreeMap<&'static str, u64>>,
    responses: [Counter; 5],
}

/// Only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Grows and shrinks.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    /// Counts one until the guard is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(&self.0)
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// One, as long as it lives.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a AtomicI64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn session_ended(&self, reason: EndReason) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.entry(reason.as_str()).or_default() += 1;
    }

    pub(crate) fn webhook_tried(&self, next: &Next) {
        let counter = match next {
            Next::Delivered => &self.webhooks_delivered,
            Next::Again { .. } => &self.webhooks_failed,
            Next::Dead | Next::Gone => &self.webhooks_dead,
        };
        counter.add();
    }

    pub(crate) fn response(&self, status: u16) {
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|at| self.responses.get(at))
        {
            counter.add();
        }
    }
}

/// Everything, as text.
pub(crate) fn render(shared: &Shared) -> String {
    let metrics = &shared.metrics;
    let mut out = String::with_capacity(2048);
    let mut counter = |name: &str, help: &str, counter: &Counter| {
        family(&mut out, name, "counter", help);
        sample(&mut out, name, "", counter.0.load(Ordering::Relaxed));
    };
    counter("nearframe_sessions_created_total", "Sessions that got a lease.", &metrics.sessions_created);
    counter(
        "nearframe_sessions_refused_total",
        "Requests for a session that got none.",
        &metrics.sessions_refused,
    );
    counter("nearframe_surveys_total", "Lists of nodes to measure that pages asked for.", &metrics.surveys);
    counter("nearframe_measurements_total", "Surveys that pages brought back.", &metrics.measured);
    counter("nearframe_queued_total", "Answers that told a place in the queue.", &metrics.queued);
    counter(
        "nearframe_preempted_total",
        "Interruptible sessions that were told to make way.",
        &metrics.preempted,
    );
    counter("nearframe_saves_total", "Versions of saves that were kept.", &metrics.saves_kept);
    counter("nearframe_rate_limited_total", "Requests over a rate limit.", &metrics.rate_limited);

    family(&mut out, "nearframe_sessions_ended_total", "counter", "Sessions that ended, by reason.");
    for (reason, count) in metrics.ended.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        sample(&mut out, "nearframe_sessions_ended_total", &format!("{{reason=\"{reason}\"}}"), *count);
    }
    family(
        &mut out,
        "nearframe_receipts_total",
        "counter",
        "Receipts that nodes sent, by what became of them.",
    );
    for (result, counter) in [
        ("counted", &metrics.receipts_counted),
        ("repeated", &metrics.receipts_repeated),
        ("refused", &metrics.receipts_refused),
    ] {
        let value = counter.0.load(Ordering::Relaxed);
        sample(&mut out, "nearframe_receipts_total", &format!("{{result=\"{result}\"}}"), value);
    }
    family(
        &mut out,
        "nearframe_webhook_tries_total",
        "counter",
        "Tries to deliver an event, by what became of it.",
    );
    for (result, counter) in [
        ("delivered", &metrics.webhooks_delivered),
        ("again", &metrics.webhooks_failed),
        ("dead", &metrics.webhooks_dead),
    ] {
        let value = counter.0.load(Ordering::Relaxed);
        sample(&mut out, "nearframe_webhook_tries_total", &format!("{{result=\"{result}\"}}"), value);
    }
    family(&mut out, "nearframe_http_responses_total", "counter", "HTTP responses, by class of status.");
    for (class, counter) in (1..).zip(&metrics.responses) {
        let value = counter.0.load(Ordering::Relaxed);
        sample(&mut out, "nearframe_http_responses_total", &format!("{{class=\"{class}xx\"}}"), value);
    }
    gauges(shared, &mut out);
    out
}

fn gauges(shared: &Shared, out: &mut String) {
    let now = shared.uptime_ms();
    let (online, slots) = {
        let fleet = shared.fleet();
        let online = || fleet.members().filter(|(node, _)| fleet.is_online(*node));
        let slots: u64 = online()
            .filter_map(|(_, member)| member.offer.as_ref())
            .map(|offer| u64::from(offer.slots))
            .sum();
        (online().count() as u64, slots)
    };
    let (regions, replicas) = shared.cluster.size();
    let (banned, draining, clients, sites) = {
        let fleet = shared.fleet();
        let banned = fleet.members().filter(|(node, _)| fleet.order_of(*node).banned).count() as u64;
        let draining = fleet.members().filter(|(node, _)| fleet.is_draining(*node)).count() as u64;
        (banned, draining, fleet.clients_remembered() as u64, fleet.sites() as u64)
    };
    let (priced, dearest) = {
        let fleet = shared.fleet();
        let prices = fleet.prices_us();
        let priced = prices.iter().filter(|price| **price > 0).count() as u64;
        (priced, u64::from(prices.iter().copied().max().unwrap_or_default()))
    };
    let waiting = shared.placing.waiting.len();
    let held = |gauge: &Gauge| gauge.0.load(Ordering::Relaxed).max(0) as u64;
    for (name, help, value) in [
        ("nearframe_nodes_online", "Nodes connected and heard in the last 3 s.", online),
        ("nearframe_slots", "Sessions that online nodes can run at once.", slots),
        ("nearframe_signalling_sockets", "Open sockets of pages.", held(&shared.metrics.pages)),
        ("nearframe_node_links", "Open links of nodes.", held(&shared.metrics.links)),
        ("nearframe_replicas", "Matchmakers on the same database that are alive.", replicas),
        ("nearframe_regions_owned", "Regions that this matchmaker leases in.", regions),
        (
            "nearframe_store_answers",
            "Whether the database answered last.",
            shared.cluster.store_answers().into(),
        ),
        ("nearframe_nodes_banned", "Connected nodes that an operator shut out.", banned),
        ("nearframe_nodes_draining", "Connected nodes that take no new sessions.", draining),
        ("nearframe_priced_sites", "Sites whose slots are worth more to some than to others.", priced),
        ("nearframe_highest_slot_price_us", "What a slot of the dearest site is worth, round trip.", dearest),
        ("nearframe_queue_waiting", "Requests that wait for a slot.", waiting),
        (
            "nearframe_interruptible_sessions",
            "Sessions that may be interrupted.",
            held(&shared.metrics.interruptible),
        ),
        (
            "nearframe_titles_warm",
            "Titles that nodes keep at their menu by our word.",
            shared.placing.warmth.len() as u64,
        ),
        ("nearframe_latency_clients", "Client prefixes whose round trips are remembered.", clients),
        ("nearframe_latency_sites", "Sites that nodes stand or stood in.", sites),
        (
            "nearframe_ledger_refused_entries",
            "Entries of the record that the general ledger refuses and that are set aside.",
            held(&shared.metrics.ledger_refuses),
        ),
        ("nearframe_uptime_seconds", "Since the start of this process.", now / 1000),
    ] {
        family(out, name, "gauge", help);
        sample(out, name, "", value);
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(out, "{name}{labels} {value}");
}
