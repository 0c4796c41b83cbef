//! A group's sessions: all of them are leased, or none is.

use super::{MAX_TRIES, begin, end, no_capacity};
use crate::http::problem::{Code, Problem};
use crate::placements;
use crate::placing::Asker;
use crate::placing::groups::{Joined, Member};
use crate::prices;
use crate::random;
use crate::replicas;
use crate::state::Shared;
use crate::store::{Created, NewSession, SessionRow};
use nearframe_placement::Request;
use nearframe_placement::latency::Ranking;
use nearframe_protocol::EndReason;
use nearframe_protocol::fleet::{Gathered, Together};

/// What becomes of a member that asks.
pub(super) enum Outcome {
    Placed(Box<SessionRow>),
    Gathering(Gathered),
}

/// A member of a group asks for its session.
pub(super) async fn join(
    shared: &Shared,
    token: &str,
    new: NewSession,
    request: &Request,
    asker: &Asker,
) -> Result<Outcome, Problem> {
    let guest = new.guest;
    let ranking = shared.fleet().ranking_measured(&asker.client, &asker.measured);
    // The group knows who asks again.
    let member = Member { new: NewSession { idempotency: None, ..new }, ranking, session: None };
    match shared.placing.groups.join(shared, token, member) {
        Joined::Unknown => {
            let detail = "There is no such group for this title, or it is over. Make a new one.";
            Err(Problem::new(Code::UnknownGroup, detail))
        }
        Joined::Full => Err(Problem::new(Code::UnknownGroup, "The group is complete without you.")),
        Joined::Gathering(gathered) => Ok(Outcome::Gathering(gathered)),
        Joined::Placed(session) => {
            let row = shared.store.session(session).await?;
            let row = row.ok_or_else(|| Problem::new(Code::UnknownSession, "The session is gone."))?;
            Ok(Outcome::Placed(Box::new(row)))
        }
        Joined::Complete(together, members) => {
            let placed = place(shared, request, together, &members).await;
            let sessions: Vec<_> =
                placed.iter().flatten().map(|row: &SessionRow| (row.guest, row.id)).collect();
            shared.placing.groups.placed(shared, token, &sessions);
            let mine = placed?.into_iter().find(|row| row.guest == guest);
            let mine = mine.ok_or_else(|| no_capacity("the group changed"))?;
            Ok(Outcome::Placed(Box::new(mine)))
        }
    }
}

/// Leases and starts all members' sessions.
async fn place(
    shared: &Shared,
    request: &Request,
    together: Together,
    members: &[Member],
) -> Result<Vec<SessionRow>, Problem> {
    let keeps = shared.placing.rules().keep_anything();
    let _turn = if keeps { Some(shared.placing.turn.lock().await) } else { None };
    let rankings: Vec<Ranking> = members.iter().map(|member| member.ranking.clone()).collect();
    for seed in 0..MAX_TRIES as u64 {
        let regions = shared.fleet().regions();
        let shut = shared.placing.rules().shut_regions(&regions, shared.now_ms());
        let request = Request { shut, ..request.clone() };
        let found = shared.fleet().decide_group(&request, &rankings, together, seed);
        let found = found.ok_or_else(|| no_capacity("nowhere is room for all of the group"))?;
        let mut rows = Vec::with_capacity(members.len());
        for (member, found) in members.iter().zip(&found) {
            // Ids of an earlier try may be in the record already.
            let (id, lease) = (random::session_id(), random::lease_id());
            let mut new = NewSession { id, lease, node: found.node, ..member.new.clone() };
            if let Err(problem) = prices::settle(shared, &mut new).await {
                return give_up(shared, rows, problem).await;
            }
            let region = shared.fleet().region_of(found.node).to_owned();
            match replicas::commit(shared, &new, &region).await {
                Ok(Created::New(row)) => {
                    let why = shared.fleet().explain_choice(&request, &member.ranking, *found);
                    let reasons = placements::describe(shared, row.id, &why);
                    reasons.into_iter().for_each(|reasons| shared.placements.keep(reasons));
                    rows.push(row);
                }
                Ok(Created::TooMany) => {
                    let guest = member.new.guest;
                    let detail = format!("A member of the group ({guest}) has too many sessions already.");
                    return give_up(shared, rows, Problem::new(Code::TooManySessions, detail)).await;
                }
                Ok(Created::OverBudget) => return give_up(shared, rows, super::over_budget()).await,
                Ok(Created::Again(_) | Created::NoCapacity | Created::Fenced | Created::KeyReused) => break,
                Err(problem) => return give_up(shared, rows, problem).await,
            }
        }
        if rows.len() == members.len() {
            for row in &rows {
                shared.metrics.sessions_created.add();
                begin(shared, row, false).await?;
            }
            return Ok(rows);
        }
        for row in rows {
            end(shared, row.id, EndReason::Operator).await?;
        }
        replicas::read_held(shared).await?;
    }
    Err(no_capacity("others were faster each time"))
}

/// Ends what was leased already; the problem is the answer to all of them.
async fn give_up(shared: &Shared, rows: Vec<SessionRow>, why: Problem) -> Result<Vec<SessionRow>, Problem> {
    for row in rows {
        end(shared, row.id, EndReason::Operator).await?;
    }
    Err(why)
}
