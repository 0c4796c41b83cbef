//! Who plays where, by where they come from: what the plan of a full house is made of.
//!
//! Players whom this process seated are known by their cell; slots that others hold are taken as they are, and leave
//! that much less to plan with. Whose slot became free is not said: the player who came first is taken to have left.

use super::flow::Market;
use super::plan::{GREEDY_BELOW_PERCENT, Plan};
use crate::fleet::Fleet;
use crate::latency::{Client, ClientKey, SiteId};
use nearframe_protocol::NodeId;
use std::collections::{HashMap, VecDeque};

/// Cells that are told apart. Who comes from yet another one is led by the prices alone.
const MOST_CELLS: usize = 512;
/// Cells whose round trips are looked up anew in a tick, in turn.
const REFRESHED: usize = 32;
/// Where no database knows the network, players of one square of this many degrees make a cell.
const CELL_DEGREES: f32 = 5.0;

/// What makes a cell: network and metropolis, else a square of the map, else the address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Key(ClientKey),
    Square(i32, i32),
}

impl Origin {
    fn of(client: &Client) -> Option<Self> {
        let square = client.place.map(|place| {
            let along = |degrees: f32| (degrees / CELL_DEGREES).floor() as i32;
            Self::Square(along(place.latitude_deg()), along(place.longitude_deg()))
        });
        client.area.map(Self::Key).or(square).or(client.prefix.map(Self::Key))
    }
}

#[derive(Clone, Debug)]
struct Cell {
    origin: Origin,
    /// Stands for all of them.
    client: Client,
    players: u32,
    /// The round trip to each site.
    cost_us: Vec<u32>,
}

/// The players who are seated, and the plan.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    cells: Vec<Cell>,
    by_origin: HashMap<Origin, usize>,
    /// The cells of the players of each node, in the order in which they came.
    seats: HashMap<NodeId, VecDeque<u16>>,
    plan: Plan,
    refresh_at: usize,
}

/// The market of a tick; solving it takes time, and needs nothing else.
#[derive(Clone, Debug)]
pub struct NextPlan {
    plan: Plan,
    market: Market,
    seated: Vec<u32>,
}

impl NextPlan {
    /// Computes the plan.
    pub fn solve(mut self) -> Plan {
        self.plan.tick(&self.market, &self.seated);
        self.plan
    }
}

impl Crowd {
    /// The site that the plan wants the next player from there at.
    pub(crate) fn site_for(&self, client: &Client) -> Option<SiteId> {
        let cell = self.by_origin.get(&Origin::of(client)?)?;
        self.plan.site_for(*cell)
    }

    /// So many slots of the node are held now: the players who came first have left.
    pub(crate) fn set_held(&mut self, node: NodeId, held: u32) {
        let Some(seats) = self.seats.get_mut(&node) else { return };
        while seats.len() > held as usize {
            if let Some(cell) = seats.pop_front() {
                self.cells[usize::from(cell)].players -= 1;
            }
        }
        if seats.is_empty() {
            self.seats.remove(&node);
        }
    }

    fn sit(&mut self, client: &Client, node: NodeId) -> Option<usize> {
        let cell = self.cell(client)?;
        self.cells[cell].players += 1;
        self.seats.entry(node).or_default().push_back(u16::try_from(cell).expect("cells are few"));
        Some(cell)
    }

    fn cell(&mut self, client: &Client) -> Option<usize> {
        let origin = Origin::of(client)?;
        if let Some(cell) = self.by_origin.get(&origin) {
            return Some(*cell);
        }
        let new = Cell { origin, client: *client, players: 0, cost_us: Vec::new() };
        let cell = if self.cells.len() < MOST_CELLS {
            self.cells.push(new);
            self.cells.len() - 1
        } else {
            let empty = self.cells.iter().position(|cell| cell.players == 0)?;
            self.by_origin.remove(&self.cells[empty].origin);
            self.cells[empty] = new;
            self.plan.forget(empty);
            empty
        };
        self.by_origin.insert(origin, cell);
        Some(cell)
    }
}

impl Fleet {
    /// A player was seated on a node.
    pub fn seat(&mut self, client: &Client, node: NodeId) {
        let site = self.site_of(node);
        if let (Some(cell), Some(site)) = (self.crowd.sit(client, node), site) {
            self.crowd.plan.seated(cell, site);
        }
    }

    /// What a slot of each site is worth to those who want it most, µs; none while there is room for everybody.
    pub fn prices_us(&self) -> &[u32] {
        self.crowd.plan.prices_us()
    }

    /// The market as it is now. `None` while there is room: then the nearest slot is simply taken.
    pub fn next_plan(&mut self) -> Option<NextPlan> {
        let sites: Vec<SiteId> = (0..self.board.index.sites()).map(|site| SiteId(site as u16)).collect();
        let totals: Vec<_> = sites.iter().map(|site| self.board.index.totals(*site)).collect();
        let all =
            |part: fn(&(u32, u32, u32)) -> u32| totals.iter().map(|it| u64::from(part(it))).sum::<u64>();
        let (slots, free) = (all(|it| it.1), all(|it| it.2));
        if (slots - free) * 100 < slots * GREEDY_BELOW_PERCENT || slots == 0 {
            self.adopt(Plan::default());
            return None;
        }
        self.refresh(sites.len());
        let mut seated = vec![0; self.crowd.cells.len() * sites.len()];
        let (mut demand, mut known) = (vec![0; self.crowd.cells.len()], vec![0_u32; sites.len()]);
        for (node, cells) in &self.crowd.seats {
            // Players of a node that takes nobody new have their slots, and are not part of what is shared out.
            let site = self.site_of(*node).filter(|_| self.board.index.is_open(*node));
            let Some(site) = site.map(SiteId::index) else { continue };
            for cell in cells.iter().map(|cell| usize::from(*cell)) {
                seated[cell * sites.len() + site] += 1;
                demand[cell] += 1;
                known[site] += 1;
            }
        }
        let left = |((_, slots, free), known): (&(u32, u32, u32), &u32)| (free + known).min(*slots);
        let capacity = totals.iter().zip(&known).map(left).collect();
        let cost_us = self.crowd.cells.iter().flat_map(|cell| cell.cost_us.iter().copied()).collect();
        Some(NextPlan { plan: self.crowd.plan.clone(), market: Market { demand, capacity, cost_us }, seated })
    }

    /// Goes by a plan from now on.
    pub fn adopt(&mut self, plan: Plan) {
        for site in 0..self.board.index.sites() {
            let price = plan.prices_us().get(site).copied().unwrap_or_default();
            self.board.index.set_scarcity(SiteId(site as u16), price);
        }
        self.crowd.plan = plan;
    }

    /// Looks up round trips that are new, and some of the others in turn.
    fn refresh(&mut self, sites: usize) {
        let count = self.crowd.cells.len();
        let turn = self.crowd.refresh_at..self.crowd.refresh_at + REFRESHED.min(count);
        for cell in 0..count {
            let due = turn.contains(&cell) || turn.contains(&(cell + count));
            let known = &self.crowd.cells[cell];
            if known.cost_us.len() == sites && !due {
                continue;
            }
            let mut cost_us = vec![0; sites];
            for (rtt_us, site) in self.ranking(&known.client).pairs() {
                cost_us[site.index()] = *rtt_us;
            }
            self.crowd.cells[cell].cost_us = cost_us;
        }
        self.crowd.refresh_at = turn.end % count.max(1);
    }
}
