//! A group's sessions: all of them are leased, or none is.

use super::{MAX_TRIES, begin, end, no_capacity};
use crate::bus::words::{Answer, Question};
use crate::http::problem::{Code, Problem};
use crate::placements;
use crate::placing::Asker;
use crate::placing::groups::{Joined, Member, Told};
use crate::prices;
use crate::random;
use crate::replicas;
use crate::state::Shared;
use crate::store::{Created, NewSession, SessionRow};
use nearframe_placement::Request;
use nearframe_placement::latency::Ranking;
use nearframe_protocol::EndReason;
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::fleet::{Gathered, Together};

/// What becomes of a member that asks.
pub(super) enum Outcome {
    Placed(Box<SessionRow>),
    Gathering(Gathered),
}

/// A member of a group asks for its session, of whichever replica keeps the group.
pub(super) async fn join(
    shared: &Shared,
    group: &str,
    new: NewSession,
    asked: &CreateSession,
    asker: &Asker,
) -> Result<Outcome, Problem> {
    // The group knows who asks again.
    let new = NewSession { idempotency: None, ..new };
    let mine = new.clone();
    let (client, measured) = (asker.client, asker.measured.clone());
    let member = Member { new, client, measured, session: None };
    let keeper = shared.cluster.keeper(group);
    let told = if keeper == shared.cluster.me {
        gather(shared, group, asked, member).await
    } else {
        let (group, asked, member) = (group.to_owned(), Box::new(asked.clone()), Box::new(member));
        match shared.bus.ask(keeper, Question::Gather { group, asked, member }).await {
            Ok(Answer::Gathered(told)) => told,
            _ => {
                let detail = "The server that keeps this group does not answer. Try again in a moment.";
                return Err(Problem::new(Code::Unavailable, detail).retry_after(2));
            }
        }
    };
    match told {
        Told::Gathering(gathered) => Ok(Outcome::Gathering(gathered)),
        Told::Placed(session) => {
            let row = shared.store.session(session).await?;
            let row = row.ok_or_else(|| Problem::new(Code::UnknownSession, "The session is gone."))?;
            Ok(Outcome::Placed(Box::new(row)))
        }
        Told::Refused { code, detail } => {
            let problem = Problem::new(Code::named(&code).unwrap_or(Code::Unavailable), detail);
            if !problem.is(Code::BudgetUsedUp) {
                return Err(problem);
            }
            // What the keeper of the group computed for itself does not travel; and it may be another member's.
            Err(problem.offering(super::offer::of(shared, &mine).await?))
        }
    }
}

/// Takes a member into its group, which is kept here; the last who comes has all of them placed.
pub(crate) async fn gather(shared: &Shared, group: &str, asked: &CreateSession, member: Member) -> Told {
    let (guest, hash) = (member.new.guest, member.new.title_hash);
    match shared.placing.groups.join(shared, group, member) {
        Joined::Unknown => {
            let detail = "There is no such group for this title, or it is over. Make a new one.";
            refused(Problem::new(Code::UnknownGroup, detail))
        }
        Joined::Full => refused(Problem::new(Code::UnknownGroup, "The group is complete without you.")),
        Joined::Crowded => {
            let detail = "Too many groups gather. Try again in a few minutes.";
            refused(Problem::new(Code::TooManySessions, detail))
        }
        Joined::Gathering(gathered) => Told::Gathering(gathered),
        Joined::Placed(session) => Told::Placed(session),
        Joined::Complete(together, members) => {
            let placed = match super::request(shared, asked, hash) {
                Ok(request) => place(shared, &request, together, &members).await,
                Err(problem) => Err(problem),
            };
            let sessions: Vec<_> =
                placed.iter().flatten().map(|row: &SessionRow| (row.guest, row.id)).collect();
            shared.placing.groups.placed(shared, group, &sessions);
            let mine = sessions.iter().find(|(member, _)| *member == guest);
            match (placed, mine) {
                (Ok(_), Some((_, session))) => Told::Placed(*session),
                (Ok(_), None) => refused(no_capacity("the group changed")),
                (Err(problem), _) => refused(problem),
            }
        }
    }
}

fn refused(problem: Problem) -> Told {
    let (code, detail) = problem.into_parts();
    Told::Refused { code: code.describe().0.to_owned(), detail }
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
    let rankings: Vec<Ranking> = {
        let fleet = shared.fleet();
        members.iter().map(|member| fleet.ranking_measured(&member.client, &member.measured)).collect()
    };
    for seed in 0..MAX_TRIES as u64 {
        let regions = shared.fleet().regions();
        let shut = shared.placing.rules().shut_regions(&regions, shared.now_ms());
        let request = Request { shut, ..request.clone() };
        let found = shared.fleet().decide_group(&request, &rankings, together, seed);
        let found = found.ok_or_else(|| no_capacity("nowhere is room for all of the group"))?;
        let mut rows = Vec::with_capacity(members.len());
        for ((member, ranking), found) in members.iter().zip(&rankings).zip(&found) {
            // Ids of an earlier try may be in the record already.
            let (id, lease) = (random::session_id(), random::lease_id());
            let mut new = NewSession { id, lease, node: found.node, ..member.new.clone() };
            if let Err(problem) = prices::settle(shared, &mut new).await {
                return give_up(shared, rows, problem).await;
            }
            let region = shared.fleet().region_of(found.node).to_owned();
            match replicas::commit(shared, &new, &region).await {
                Ok(Created::New(row)) => {
                    let why = shared.fleet().explain_choice(&request, ranking, *found);
                    let reasons = placements::describe(shared, row.id, &why);
                    reasons.into_iter().for_each(|reasons| shared.placements.keep(reasons));
                    shared.fleet().seat(&member.client, row.node);
                    rows.push(row);
                }
                Ok(Created::TooMany) => {
                    let guest = member.new.guest;
                    let detail = format!("A member of the group ({guest}) has too many sessions already.");
                    return give_up(shared, rows, Problem::new(Code::TooManySessions, detail)).await;
                }
                Ok(Created::OverBudget) => {
                    let problem = super::offer::over_budget(shared, &new).await?;
                    return give_up(shared, rows, problem).await;
                }
                Ok(Created::OverCap) => return give_up(shared, rows, super::over_cap()).await,
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
