//! The catalogue: what online nodes hold.

use super::problem::{Code, Path, Problem};
use crate::catalogue::{self, Cover};
use crate::state::Shared;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nearframe_protocol::TitleId;
use nearframe_protocol::api::{self, Page, Title};
use std::sync::Arc;

/// Covers change with their title's bytes; a page that shows an old one for five minutes harms nobody.
const COVER_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

fn unknown(id: &TitleId) -> Problem {
    Problem::new(
        Code::UnknownTitle,
        format!("No connected machine holds the title {id}. GET /v1/titles lists what can be played."),
    )
}

/// All titles that can be played here.
#[utoipa::path(get, path = "/v1/titles", tag = "titles", operation_id = "list_titles", responses(
    (status = 200, description = "The catalogue, by id", body = Page<Title>),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> axum::Json<Page<Title>> {
    let items = catalogue::titles(&shared);
    axum::Json(Page { items, next_cursor: None })
}

/// One title.
#[utoipa::path(get, path = "/v1/titles/{id}", tag = "titles", operation_id = "get_title",
    params(("id" = String, Path, description = "Title id, such as `meteor`")),
    responses(
        (status = 200, description = "The title", body = Title),
        (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<TitleId>,
) -> Result<axum::Json<Title>, Problem> {
    let titles = catalogue::titles(&shared);
    titles.into_iter().find(|title| title.entry.id == id).map(axum::Json).ok_or_else(|| unknown(&id))
}

/// A title's cover picture.
#[utoipa::path(get, path = "/v1/titles/{id}/cover", tag = "titles", operation_id = "get_cover",
    params(("id" = String, Path, description = "Title id, such as `meteor`")),
    responses(
        (status = 200, description = "PNG, JPEG or WebP", body = Vec<u8>, content_type = "image/*"),
        (status = 304, description = "Not changed since the `ETag` in `If-None-Match`"),
        (status = "default", description = "Any error, such as `not_found`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn cover(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<TitleId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = catalogue::held(&shared, &id).ok_or_else(|| unknown(&id))?;
    let cover = catalogue::cover(&shared, &held).await.and_then(|text| Cover::parse(&text).ok());
    let cover = cover.ok_or_else(|| Problem::new(Code::NotFound, format!("The title {id} has no cover.")))?;
    let tag = format!("\"{}\"", &blake3::hash(&cover.bytes).to_hex()[..32]);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let tag = HeaderValue::from_str(&tag).expect("hex and quotes are a header value");
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, COVER_CACHE)];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(cover.content_type))];
    Ok((caching, kind, Bytes::from(cover.bytes)).into_response())
}
