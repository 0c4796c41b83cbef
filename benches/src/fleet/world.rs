//! The simulated world, minute by minute.

use crate::placement::data::Cities;
use crate::placement::dice::Dice;
use nearframe_placement::assign::preempt::{Task, evict};
use nearframe_placement::assign::queue::{Account, Queue, Ticket, Wait};
use nearframe_placement::assign::reserve::{Booking, BookingId, Region};
use nearframe_placement::assign::{Market, Plan};
use nearframe_placement::index::search::Query;
use nearframe_placement::index::{Claim, Scratch};
use nearframe_placement::latency::lies::{Verdict, judge};
use nearframe_placement::latency::{Client, ClientKey, LatencyModel, Ranking, SiteId, Survey};
use nearframe_placement::profile::Profile;
use nearframe_placement::{Index, Needs, Request};
use nearframe_protocol::{NodeId, TitleHash, TitleId};
use std::collections::BTreeMap;

pub(super) mod seen;
pub(super) use seen::{Hour, Seen};

const MINUTE_MS: u64 = 60_000;
/// Nodes of the fleet for each city; hosts are where players are, with a spread.
const NODES_PER_CITY: f64 = 6.0;
const SLOTS_PER_NODE: u32 = 4;
/// Mean length of a session, minutes.
const SESSION_MINUTES: f64 = 45.0;
/// Longest session, minutes: after it, spot slots are certain to be free.
const LONGEST_MINUTES: u32 = 180;
/// A node fails once in so many minutes and is away for half an hour; a site once in so many, for an hour.
const NODE_FAILS: f64 = 4_320.0;
const SITE_FAILS: f64 = 43_200.0;
const LIARS: f64 = 0.02;
/// Clients whose address database is wrong about them.
const MISLOCATED: f64 = 0.2;
const PREFIXES_PER_CITY: usize = 20;
/// Share of all slots that render tasks hold where nobody else wants them.
const BATCH: f64 = 0.08;
/// Share of a country's slots that spot never gets.
const RESERVE: f64 = 0.05;
const PLAN_EVERY: u32 = 5;
/// Nobody plays over more, µs; who finds nothing nearer waits.
const RTT_CEILING_US: u32 = 120_000;
/// Round trip inside a city, ms.
const LOCAL_MS: f64 = 2.0;
/// A way that was never measured, ms.
const UNKNOWN_MS: f64 = 300.0;

#[derive(Clone, Debug)]
struct Node {
    site: usize,
    claimed: usize,
    /// Away until this minute.
    back: u32,
    banned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    claim: Claim,
    city: usize,
    until: u32,
    country: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    city: usize,
    since: u32,
    told: Option<Wait>,
}

/// One day.
pub(super) struct Day<'a> {
    cities: &'a Cities,
    dice: Dice,
    index: Index,
    model: LatencyModel,
    query: Query,
    nodes: Vec<Node>,
    countries: Vec<Region>,
    country_of: Vec<usize>,
    arrivals_per_minute: Vec<f64>,
    sessions: Vec<Session>,
    tasks: BTreeMap<u64, (Task, Claim)>,
    queue: Queue,
    waiting: BTreeMap<Ticket, Waiting>,
    plan: Plan,
    serial: u64,
    scratch: Scratch,
    pub(super) seen: Seen,
}

impl<'a> Day<'a> {
    pub(super) fn new(cities: &'a Cities, seed: u64, peak: f64) -> Self {
        let count = cities.places.len();
        let mut dice = Dice::new(seed);
        let model = crate::placement::model(cities);
        let mut index = Index::new();
        let mut names: Vec<&String> = cities.countries.iter().collect();
        names.sort();
        names.dedup();
        let country = |city: &String| names.binary_search(&city).expect("every country is named");
        let country_of: Vec<usize> = cities.countries.iter().map(country).collect();
        cities.countries.iter().for_each(|country| {
            index.add_site(country);
        });
        let (title, hash) = (TitleId::new("meteor").expect("an id"), TitleHash::from_bytes([1; 32]));
        index.titles.intern(&title, hash);
        let needs = Needs { rtt_ceiling_us: Some(RTT_CEILING_US), ..Needs::default() };
        let request = Request { needs, ..Request::play(title, hash) };
        let query = Query::new(&index, &request).expect("the title is known");
        // Demand by population, such that all of it at once would be the peak.
        let roots: Vec<f64> = cities.population.iter().map(|people| people.max(1.0).sqrt()).collect();
        let supply: Vec<f64> = roots.iter().map(|root| root * (0.4 + dice.exponential(0.6))).collect();
        let each = NODES_PER_CITY * count as f64 / supply.iter().sum::<f64>();
        let sizes = supply.iter().map(|share| (share * each).round().max(1.0) as usize);
        let nodes: Vec<Node> = sizes
            .enumerate()
            .flat_map(|(site, size)| std::iter::repeat_n(site, size))
            .map(|site| {
                let claimed = if dice.chance(LIARS) { dice.below(count) } else { site };
                Node { site, claimed, back: 0, banned: false }
            })
            .collect();
        let slots = nodes.len() as f64 * f64::from(SLOTS_PER_NODE);
        let at_once = slots * peak / SESSION_MINUTES / roots.iter().sum::<f64>();
        let mut day = Self {
            cities,
            dice,
            index,
            model,
            query,
            nodes,
            countries: names.iter().map(|_| Region::new(0, 0)).collect(),
            country_of,
            arrivals_per_minute: roots.iter().map(|root| root * at_once).collect(),
            sessions: Vec::new(),
            tasks: BTreeMap::new(),
            queue: Queue::new(),
            waiting: BTreeMap::new(),
            plan: Plan::default(),
            serial: 0,
            scratch: Scratch::default(),
            seen: Seen::default(),
        };
        (0..day.nodes.len()).for_each(|node| day.join(node));
        day.count_capacity(true);
        day
    }

    /// One minute passes.
    pub(super) fn minute(&mut self, now: u32) {
        let now_ms = u64::from(now) * MINUTE_MS;
        self.end_sessions(now);
        self.churn(now);
        self.count_capacity(false);
        self.book(now_ms);
        if now.is_multiple_of(PLAN_EVERY) {
            self.look_ahead();
        }
        self.serve_queue(now);
        for city in 0..self.cities.places.len() {
            for _ in 0..self.poisson(self.arrivals_per_minute[city] * self.awake(city, now)) {
                self.serial += 1;
                let ticket = Ticket(self.serial);
                if !self.place(city, now) {
                    self.make_way(now_ms);
                    // Everybody is an account of their own here.
                    let joined = self.queue.join(ticket, Account(self.serial), 1).is_ok();
                    let told = self.queue.wait(ticket, now_ms);
                    if joined {
                        self.waiting.insert(ticket, Waiting { city, since: now, told });
                    }
                }
            }
        }
        self.fill_with_tasks(now_ms);
        let slots = self.nodes.len() as f64 * f64::from(SLOTS_PER_NODE);
        let used = (self.sessions.len() + self.tasks.len()) as f64 / slots;
        self.seen.minute(now, used, self.waiting.len());
    }

    /// Measures as a page would, decides and takes the slot; false where no slot may be used.
    fn place(&mut self, city: usize, now: u32) -> bool {
        let now_ms = u64::from(now) * MINUTE_MS;
        let expected_ms = u64::from(LONGEST_MINUTES) * MINUTE_MS;
        let room: Vec<bool> =
            self.countries.iter().map(|country| country.spot_room(now_ms, expected_ms) > 0).collect();
        let claimed =
            if self.dice.chance(MISLOCATED) { self.dice.below(self.cities.places.len()) } else { city };
        let prefix = city * PREFIXES_PER_CITY + self.dice.below(PREFIXES_PER_CITY);
        let client = Client {
            prefix: Some(ClientKey::V4(prefix as u32)),
            place: Some(self.cities.places[claimed]),
            ..Client::default()
        };
        let ranking = self.measure(city, &client, &room, now / 60);
        let ranking = ranking.pairs().iter().copied();
        let seed = self.dice.next();
        let Some(found) = self.index.find(&self.query, ranking, seed, &mut self.scratch) else {
            return false;
        };
        let site = found.handle.site.index();
        let country = self.country_of[site];
        let admitted = self.countries[country].admit_spot(now_ms, expected_ms).is_ok();
        let oracle = self.oracle_ms(city, &room);
        let Some(claim) = self.index.claim(&found, 1).ok().filter(|_| admitted) else { return false };
        let node = u128::from_le_bytes(*claim.node.as_bytes()) as usize;
        // A liar's players meet the place where it is, not the one it claims.
        self.seen.placed(self.true_ms(city, self.nodes[node].site), oracle);
        let long = self.dice.exponential(SESSION_MINUTES).ceil() as u32;
        let until = now + long.clamp(1, LONGEST_MINUTES);
        self.sessions.push(Session { claim, city, until, country });
        true
    }

    fn measure(&mut self, city: usize, client: &Client, room: &[bool], epoch: u32) -> Ranking {
        let allowed: Vec<SiteId> = (0..self.cities.places.len())
            .filter(|&site| room[self.country_of[site]] && self.index.totals(SiteId(site as u16)).2 > 0)
            .map(|site| SiteId(site as u16))
            .collect();
        let known = client.keys().any(|key| self.model.history.past(key).is_some());
        let mut survey = Survey::new(&self.model, client, allowed, if known { 3 } else { 8 });
        let mut measured = Vec::new();
        loop {
            let batch = survey.next(4);
            if batch.is_empty() {
                break;
            }
            for site in batch {
                let rtt_ms = self.true_ms(city, site.index()) * (1.0 + self.dice.exponential(0.01));
                survey.record(site, rtt_ms as f32);
                measured.push((site, rtt_ms as f32));
            }
        }
        let ranking = survey.ranking();
        self.model.observe(client, &measured, epoch);
        ranking
    }

    /// The least round trip to any free slot that may be used.
    fn oracle_ms(&self, city: usize, room: &[bool]) -> f64 {
        let free = |site: &usize| self.index.totals(SiteId(*site as u16)).2 > 0;
        let open = (0..self.cities.places.len()).filter(|&site| room[self.country_of[site]]).filter(free);
        open.map(|site| self.true_ms(city, site)).fold(f64::INFINITY, f64::min)
    }

    fn true_ms(&self, city: usize, site: usize) -> f64 {
        if city == site { LOCAL_MS } else { self.cities.rtt.rtt_ms(city, site).unwrap_or(UNKNOWN_MS) }
    }

    fn end_sessions(&mut self, now: u32) {
        let (over, on) = self.sessions.drain(..).partition::<Vec<_>, _>(|session| session.until <= now);
        self.sessions = on;
        for session in over {
            self.index.release(session.claim);
            self.countries[session.country].end_spot();
        }
    }

    /// Nodes and whole sites fail and come back; prices change on nodes that are idle.
    fn churn(&mut self, now: u32) {
        let failed_sites: Vec<bool> =
            (0..self.cities.places.len()).map(|_| self.dice.chance(1.0 / SITE_FAILS)).collect();
        for node in 0..self.nodes.len() {
            let Node { site, back, banned, .. } = self.nodes[node];
            let away = if failed_sites[site] {
                60
            } else if self.dice.chance(1.0 / NODE_FAILS) {
                30
            } else {
                0
            };
            if banned {
                continue;
            }
            if back > now {
                continue;
            }
            if back > 0 && back == now {
                self.join(node);
            } else if away > 0 && self.index.handle(id(node)).is_some() {
                self.nodes[node].back = now + away;
                self.fail(node, now);
            } else if self.dice.chance(0.001)
                && self.index.slots(id(node)).is_some_and(|(all, free)| all == free)
            {
                self.join(node);
            }
        }
    }

    fn fail(&mut self, node: usize, now: u32) {
        self.index.remove(id(node));
        self.tasks.retain(|_, (_, claim)| claim.node != id(node));
        let (lost, on) =
            self.sessions.drain(..).partition::<Vec<_>, _>(|session| session.claim.node == id(node));
        self.sessions = on;
        for session in lost {
            self.seen.interrupted(now);
            self.countries[session.country].end_spot();
            // The player starts again at once, elsewhere.
            self.place(session.city, now);
        }
    }

    /// A node joins; eight anchors check where it says it is.
    fn join(&mut self, node: usize) {
        let Node { site, claimed, .. } = self.nodes[node];
        let drawn: Vec<usize> = (0..8).map(|_| self.dice.below(self.cities.places.len())).collect();
        let anchors: Vec<_> = drawn
            .into_iter()
            .chain([claimed])
            .map(|anchor| (self.cities.places[anchor], self.true_ms(site, anchor)))
            .collect();
        let caught = matches!(judge(self.cities.places[claimed], &anchors), Verdict::Impossible { .. });
        self.seen.judged(node, claimed != site, caught);
        if caught {
            self.nodes[node].banned = true;
            self.index.remove(id(node));
            return;
        }
        let price = 50_000 * self.dice.below(6) as u64;
        let profile = Profile {
            slots: SLOTS_PER_NODE,
            price_micros_per_hour: price,
            batch: true,
            ..Profile::default()
        };
        let key = self.query_title();
        self.index.insert(id(node), SiteId(claimed as u16), &profile, &[key]);
    }

    fn query_title(&mut self) -> nearframe_placement::index::TitleKey {
        let title = TitleId::new("meteor").expect("an id");
        self.index.titles.intern(&title, TitleHash::from_bytes([1; 32]))
    }

    fn count_capacity(&mut self, first: bool) {
        let mut slots = vec![0; self.countries.len()];
        for (site, country) in self.country_of.iter().enumerate() {
            slots[*country] += self.index.totals(SiteId(site as u16)).1;
        }
        for (country, slots) in self.countries.iter_mut().zip(slots) {
            if first {
                *country = Region::new(slots, (f64::from(slots) * RESERVE).ceil() as u32);
            }
            country.set_capacity(slots);
        }
    }

    /// Once in a while somebody books slots of a country ahead.
    fn book(&mut self, now_ms: u64) {
        for country in 0..self.countries.len() {
            self.countries[country].expire(now_ms);
            if self.dice.chance(1.0 / 120.0) {
                self.serial += 1;
                let from_ms = now_ms + MINUTE_MS * (10 + self.dice.below(360) as u64);
                let slots = 1 + self.dice.below(3) as u32;
                let booking = Booking { from_ms, until_ms: from_ms + 60 * MINUTE_MS, slots };
                let spot_ends_ms = now_ms + u64::from(LONGEST_MINUTES) * MINUTE_MS;
                let taken = self.countries[country].book(BookingId(self.serial), booking, spot_ends_ms);
                self.seen.booked(taken.is_ok());
            }
        }
    }

    /// Prices from everybody who plays or waits.
    fn look_ahead(&mut self) {
        let count = self.cities.places.len();
        let mut demand = vec![0; count];
        let playing = self.sessions.iter().map(|session| session.city);
        playing.chain(self.waiting.values().map(|waiting| waiting.city)).for_each(|city| demand[city] += 1);
        let capacity = (0..count).map(|site| self.index.totals(SiteId(site as u16)).1).collect();
        let ways = (0..count).flat_map(|city| (0..count).map(move |site| (city, site)));
        let cost_us = ways.map(|(city, site)| (self.true_ms(city, site) * 1000.0) as u32).collect();
        self.plan.tick(&Market { demand, capacity, cost_us }, &[]);
        for (&price, site) in self.plan.prices_us().iter().zip(0..) {
            self.index.set_scarcity(SiteId(site), price);
        }
    }

    fn serve_queue(&mut self, now: u32) {
        let order: Vec<Ticket> = self.queue.order().collect();
        for ticket in order {
            let waiting = self.waiting[&ticket];
            if !self.place(waiting.city, now) {
                break;
            }
            self.queue.served(ticket, u64::from(now) * MINUTE_MS);
            self.waiting.remove(&ticket);
            self.seen.served(now - waiting.since, waiting.told);
        }
    }

    /// A task makes way for a player who found nothing.
    fn make_way(&mut self, now_ms: u64) {
        let tasks: Vec<Task> = self.tasks.values().map(|(task, _)| *task).collect();
        let free = |node: NodeId| self.index.slots(node).map_or(0, |(_, free)| free);
        if let Some(eviction) = evict(&tasks, 1, now_ms, |_| true, free) {
            for task in eviction.tasks {
                if let Some((_, claim)) = self.tasks.remove(&task) {
                    self.index.release(claim);
                    self.seen.evicted(now_ms / MINUTE_MS);
                }
            }
        }
    }

    /// Render tasks take what is idle, up to their share, while less than half is in use.
    fn fill_with_tasks(&mut self, now_ms: u64) {
        let slots = self.nodes.len() as f64 * f64::from(SLOTS_PER_NODE);
        let most = (slots * BATCH) as usize;
        while self.tasks.len() < most && self.waiting.is_empty() && (self.sessions.len() as f64) < slots * 0.6
        {
            let seed = self.dice.next();
            let anywhere = self.index.anywhere();
            let Some(found) = self.index.find(&self.query, anywhere, seed, &mut self.scratch) else { break };
            let Ok(claim) = self.index.claim(&found, 1) else { break };
            self.serial += 1;
            let task =
                Task { id: self.serial, node: claim.node, slots: 1, kept_at_ms: now_ms, interruptions: 0 };
            self.tasks.insert(self.serial, (task, claim));
        }
    }

    /// How many of a city's players are awake: least at five in the morning of its longitude, most at eight in
    /// the evening.
    fn awake(&self, city: usize, now: u32) -> f64 {
        let local = f64::from(now) / 60.0 + f64::from(self.cities.places[city].longitude_deg()) / 15.0;
        let phase = (local - 20.5) / 24.0 * std::f64::consts::TAU;
        0.55 + 0.45 * phase.cos()
    }

    fn poisson(&mut self, mean: f64) -> u32 {
        let mut left = mean;
        let mut count = 0;
        loop {
            left -= self.dice.exponential(1.0);
            if left < 0.0 {
                return count;
            }
            count += 1;
        }
    }
}

fn id(node: usize) -> NodeId {
    NodeId::from_bytes((node as u128).to_le_bytes())
}
