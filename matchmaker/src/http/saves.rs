//! Saves: a node's door for the pack of its session, and a guest's own list.

use super::problem::{Code, Path, Problem, Query};
use super::role::{Caller, unknown_session};
use crate::assets::{AssetError, Hash};
use crate::saves::{self, KeepError, Kept, MOST_TITLES, MOST_VERSIONS};
use crate::state::Shared;
use crate::store::{NewSave, SaveOwner, SaveRow, Saved};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use nearframe_protocol::api::{self, Page, Save};
use nearframe_protocol::save::{BASED_ON_HEADER, HASH_HEADER, MAX_PACK_BYTES, SaveRef};
use nearframe_protocol::{PackHash, SaveVersion, TitleId};
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::Instant;

const HASH: HeaderName = HeaderName::from_static(HASH_HEADER);
const BASED_ON: HeaderName = HeaderName::from_static(BASED_ON_HEADER);

/// Takes a pack of the session's saves as the next version of its guest's title. A pack that this
/// session sent last, or that is current already, makes no new version.
#[utoipa::path(put, path = "/v1/sessions/{id}/save", tag = "saves", operation_id = "put_session_save",
    params(
        ("id" = nearframe_protocol::SessionId, Path, description = "Session id"),
        ("nearframe-save-hash" = PackHash, Header, description = "BLAKE3 of the body, hex"),
        ("nearframe-save-based-on" = Option<SaveVersion>, Header,
         description = "The version that the session started from"),
    ),
    request_body(content = Vec<u8>, content_type = "application/gzip", description = "At most 64 MiB"),
    security(("save_token" = [])),
    responses(
        (status = 200, description = "Kept before", body = SaveRef),
        (status = 201, description = "A new version", body = SaveRef),
        (status = "default", description = "Any error, such as `wrong_hash`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (row, generation) = caller.session.zip(caller.generation).ok_or_else(unknown_session)?;
    let hash: PackHash = parsed(&headers, &HASH)?
        .ok_or_else(|| Problem::new(Code::BadRequest, format!("The header {HASH} is missing.")))?;
    let based_on = parsed(&headers, &BASED_ON)?.map(SaveVersion);
    if parsed::<u64>(&headers, &header::CONTENT_LENGTH)?.is_some_and(|length| length > MAX_PACK_BYTES) {
        return Err(too_large());
    }
    let (pace, _) = row.id.as_bytes().split_first_chunk().expect("an id has 16 bytes");
    if let Err(wait_s) = shared.saves.pace.take_for(*pace, Instant::now()) {
        shared.metrics.rate_limited.add();
        let detail = format!("A session sends a pack once a minute. Try again in {wait_s} s.");
        return Err(Problem::new(Code::TooManyRequests, detail).retry_after(wait_s));
    }
    let _right = shared.saves.uploads.try_acquire().map_err(|_| busy())?;
    let asset = *hash.as_bytes();
    // Should anything fail from here on, the asset is removed later.
    shared.store.note_asset(asset, shared.now_ms()).await?;
    let content = body.into_data_stream().map_err(io::Error::other).boxed();
    let put = shared.assets.put(Hash::from_bytes(asset), content, MAX_PACK_BYTES).await;
    let size_bytes = put.map_err(|error| refusal(&error))?;
    let new = NewSave {
        session: row.id,
        generation,
        based_on,
        hash,
        size_bytes,
        title_version: String::new(),
        now_ms: shared.now_ms(),
        most_titles: MOST_TITLES,
        most_versions: MOST_VERSIONS,
    };
    match saves::keep(&shared, &row, new).await {
        Ok(Kept::Stored(Saved::New(save))) => {
            shared.metrics.saves_kept.add();
            tracing::info!(session = %row.id, version = %save.version, bytes = size_bytes, "save kept");
            Ok((StatusCode::CREATED, axum::Json(save.reference())).into_response())
        }
        Ok(Kept::Stored(Saved::Same(save))) => Ok(axum::Json(save.reference()).into_response()),
        Ok(Kept::Stored(Saved::TooManyTitles)) => {
            let detail =
                format!("This player has saves of {MOST_TITLES} titles; those of one must be deleted.");
            Err(Problem::new(Code::TooManySaves, detail))
        }
        Ok(Kept::Stored(Saved::UnknownSession)) => Err(unknown_session()),
        Ok(Kept::Vanished) => Err(busy()),
        Err(KeepError::Asset(error)) => Err(refusal(&error)),
        Err(KeepError::Store(error)) => Err(error.into()),
    }
}

fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Result<Option<T>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let value = value.to_str().ok().and_then(|text| text.parse().ok());
    value.map(Some).ok_or_else(|| Problem::new(Code::BadRequest, format!("The header {name} is malformed.")))
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("A pack has at most {MAX_PACK_BYTES} bytes."))
}

fn busy() -> Problem {
    Problem::new(Code::Unavailable, "Too many packs come at once. Send it again in a moment.").retry_after(2)
}

fn refusal(error: &AssetError) -> Problem {
    match error {
        AssetError::WrongHash { .. } => Problem::new(Code::WrongHash, format!("{error}.")),
        AssetError::TooLarge { .. } => too_large(),
        AssetError::Cut(_) => Problem::new(Code::BadRequest, "The body ended early. Send it again."),
        AssetError::Full => {
            tracing::error!(%error, "no room for saves");
            Problem::new(Code::StorageFull, "The server has no room for saves. The operator must free space.")
                .retry_after(60)
        }
        AssetError::Io(_) => {
            tracing::error!(%error, "the assets failed");
            Problem::new(Code::Unavailable, "The saves cannot be reached. Try again in a moment.")
                .retry_after(5)
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    version: Option<u64>,
}

/// A pack of the session's guest and title: the version asked for, or the current one.
#[utoipa::path(get, path = "/v1/sessions/{id}/save", tag = "saves", operation_id = "get_session_save",
    params(
        ("id" = nearframe_protocol::SessionId, Path, description = "Session id"),
        ("version" = Option<SaveVersion>, Query, description = "The current one where absent"),
    ),
    security(("save_token" = [])),
    responses(
        (status = 200, description = "The pack; its hash in `nearframe-save-hash`", body = Vec<u8>,
         content_type = "application/gzip"),
        (status = "default", description = "Any error, such as `unknown_save`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let row = caller.session.ok_or_else(unknown_session)?;
    let owner = SaveOwner { guest: row.guest, title: row.title };
    give(&shared, &owner, wanted.version.map(SaveVersion)).await
}

/// The caller's own saves, by title, newest version first; none without a guest cookie.
#[utoipa::path(get, path = "/v1/saves", tag = "saves", operation_id = "list_saves",
    responses(
        (status = 200, description = "All of them: at most 6 versions of 32 titles", body = Page<Save>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Page<Save>>, Problem> {
    let rows = match caller.guest {
        Some(guest) => shared.store.saves_of(guest).await?,
        None => Vec::new(),
    };
    Ok(axum::Json(Page { items: rows.into_iter().map(Save::from).collect(), next_cursor: None }))
}

/// One of the caller's saves, as a file: a gzipped tar of what the title saved.
#[utoipa::path(get, path = "/v1/saves/{title}/{version}", tag = "saves", operation_id = "get_save",
    params(
        ("title" = TitleId, Path, description = "Title id, such as `meteor`"),
        ("version" = SaveVersion, Path, description = "From the list"),
    ),
    responses(
        (status = 200, description = "The pack", body = Vec<u8>, content_type = "application/gzip"),
        (status = "default", description = "Any error, such as `unknown_save`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn download(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((title, version)): Path<(TitleId, SaveVersion)>,
) -> Result<Response, Problem> {
    let guest = caller.guest.ok_or_else(unknown_save)?;
    let name = format!("attachment; filename=\"{title}-{version}.tar.gz\"");
    let mut response = give(&shared, &SaveOwner { guest, title }, Some(version)).await?;
    let name = HeaderValue::from_str(&name).expect("title ids and numbers are a header value");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// Deletes all of the caller's saves of a title. A session that plays it now will save again.
#[utoipa::path(delete, path = "/v1/saves/{title}", tag = "saves", operation_id = "delete_saves",
    params(("title" = TitleId, Path, description = "Title id, such as `meteor`")),
    responses(
        (status = 204, description = "None are left"),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(title): Path<TitleId>,
) -> Result<StatusCode, Problem> {
    if let Some(guest) = caller.guest {
        let removed = shared.store.remove_saves(&SaveOwner { guest, title }, shared.now_ms()).await?;
        tracing::info!(removed, "saves deleted by their guest");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn unknown_save() -> Problem {
    Problem::new(Code::UnknownSave, "There is no such save. See GET /v1/saves.")
}

/// Streams a pack: the version, or the current one.
async fn give(shared: &Shared, owner: &SaveOwner, version: Option<SaveVersion>) -> Result<Response, Problem> {
    let rows = shared.store.saves_of_title(owner).await?;
    let is_wanted = |row: &SaveRow| version.map_or(row.current, |version| row.version == version);
    let save = rows.into_iter().find(is_wanted).ok_or_else(unknown_save)?;
    let asset = shared.assets.get(Hash::from_bytes(save.asset())).await.map_err(|error| refusal(&error))?;
    let asset = asset.ok_or_else(|| {
        tracing::error!(hash = %save.hash, "the pack of a save is missing");
        Problem::new(Code::UnknownSave, "The content of this save is lost. An earlier version may be there.")
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/gzip")),
        (header::CONTENT_LENGTH, asset.size_bytes.into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HASH, HeaderValue::from_str(&save.hash.to_string()).expect("hex is a header value")),
    ];
    Ok((headers, Body::from_stream(asset.content)).into_response())
}
