//! `Idempotency-Key`: a request that is sent again does nothing again and gets its first answer again.
//!
//! One mechanism for every door that changes something, for callers who say who they are; a guest's key counts with
//! its cookie. `POST /v1/sessions` keeps its keys with its leases instead, in one transaction. Answers that hold a
//! secret are not kept: the secret is shown once.

use super::MAX_BODY_BYTES;
use super::problem::{Code, Problem};
use super::role::{Caller, Guard};
use crate::state::{Shared, hash};
use crate::store::deeds::{AnswerRow, Asked, Claim, actor_text};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers are kept for a day: whoever has not asked again by then does not.
pub(crate) const KEPT_MS: u64 = 24 * 3600 * 1000;
/// A request without an answer after this is of a process that is gone: requests take 10 s at most.
const ABANDONED_MS: u64 = 20_000;
/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 128;
/// Largest answer that is kept; listings are not, and nothing else comes near.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Doors that are the same when repeated, by other means: sessions by their leases, saves by what they hold, an agent's
/// tools by the doors that they come through.
const ELSEWHERE: [&str; 3] = ["/v1/sessions", "/v1/sessions/{id}/save", "/mcp"];
/// Marks an answer that is a repetition.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Marks an answer that holds a secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownOnce;

/// The caller's key, where there is one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Problem::new(Code::BadRequest, "Idempotency-Key must have 1 to 128 visible ASCII characters.")
    })?;
    Ok(Some(key))
}

/// Whose key it is: nobody's key means nothing, since another stranger may choose the same.
fn whose(caller: &Caller) -> Option<String> {
    let guest = || caller.guest.map(|guest| format!("guest:{guest}"));
    caller.who.actor().map(|actor| actor_text(&actor)).or_else(guest)
}

/// Runs the handler, unless the same request was answered before.
pub(crate) async fn once(
    shared: &Shared,
    guard: Guard,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Response {
    if guard.method == "GET" || ELSEWHERE.contains(&guard.path) {
        return next.run(request).await;
    }
    let key = match key(request.headers()) {
        Ok(key) => key.zip(whose(caller)).map(|(key, whose)| hash(&format!("{whose}/{key}"))),
        Err(problem) => return problem.into_response(),
    };
    let Some(key) = key else { return next.run(request).await };
    match claimed(shared, key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn claimed(
    shared: &Shared,
    key: crate::store::Hash,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let too_large = |_| Problem::new(Code::TooLarge, "Bodies have at most 64 KiB.");
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(too_large)?;
    let words = format!("{} {}\n", parts.method, parts.uri.path_and_query().map_or("", |path| path.as_str()));
    let request_hash = *blake3::hash(&[words.as_bytes(), &body].concat()).as_bytes();
    let now_ms = shared.now_ms();
    let abandoned_before_ms = now_ms.saturating_sub(ABANDONED_MS);
    let asked = Asked { key, request: request_hash, now_ms, abandoned_before_ms };
    match shared.store.claim(&asked).await? {
        Claim::Fresh => {
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            keep(shared, &asked, response).await
        }
        Claim::Running => {
            let detail = "A request with this Idempotency-Key is under way. Ask again in a moment.";
            Err(Problem::new(Code::InProgress, detail).retry_after(1))
        }
        Claim::Other => {
            let detail = "This Idempotency-Key came with another request before. Use a new one.";
            Err(Problem::new(Code::KeyReused, detail))
        }
        Claim::Answered(answer) => again(answer),
    }
}

/// What was done is kept; what was refused may be asked for anew.
async fn keep(shared: &Shared, asked: &Asked, response: Response) -> Result<Response, Problem> {
    if !response.status().is_success() {
        shared.store.give_claim_up(asked).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER_BYTES)
        .await
        .map_err(|error| Problem::new(Code::Internal, format!("The answer cannot be kept: {error}.")))?;
    let is_secret = parts.extensions.get::<ShownOnce>().is_some();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let answer = AnswerRow {
        status: parts.status.as_u16(),
        content_type: content_type.map(str::to_owned),
        body: (!is_secret).then(|| body.to_vec()),
    };
    // What was done stays done, and its answer goes out, whether or not it is kept.
    if let Err(error) = shared.store.keep_answer(asked, &answer).await {
        tracing::warn!(%error, "an answer is not kept for a repetition");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(answer: AnswerRow) -> Result<Response, Problem> {
    let Some(body) = answer.body else {
        let detail = "This was done, and its answer held a secret that is shown once. If the answer was lost, take back \
                      what was made and make another under a new Idempotency-Key.";
        return Err(Problem::new(Code::AnsweredOnce, detail));
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Bytes::from(body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(kind) = answer.content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
