//! The portal: files that `build.rs` put into the binary.

use super::not_found;
use super::problem::Problem;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Path below the portal's root, content, and content under gzip (empty where that gains nothing), sorted
/// by path.
static FILES: &[(&str, &[u8], &[u8])] = include!(concat!(env!("OUT_DIR"), "/portal.rs"));

/// Files with a hash in their name never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The rest is asked for again each time, and answered with 304 when it is still the same.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The page; its script reads the address and shows what belongs there.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// Any other file of the portal. A browser at a wrong address gets the page, which says so in its own
/// words; a program gets a problem.
pub(crate) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    match serve(&path, &headers) {
        Some(response) => Ok(response),
        None if wants_page(&headers) => {
            Ok((StatusCode::NOT_FOUND, index(HeaderMap::new()).await).into_response())
        }
        None => Err(not_found().await),
    }
}

/// Whether a person looks at the answer: browsers ask for HTML by name when they open an address.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn serve(path: &str, headers: &HeaderMap) -> Option<Response> {
    let at = FILES.binary_search_by_key(&path, |(name, ..)| name).ok()?;
    let (_, plain, compressed) = FILES[at];
    let zipped = !compressed.is_empty() && takes_gzip(headers);
    let content = if zipped { compressed } else { plain };
    let tag = format!("\"{}\"", &blake3::hash(content).to_hex()[..32]);
    let caching = [
        (header::CACHE_CONTROL, if path.starts_with("assets/") { FOREVER } else { ASK_AGAIN }),
        (header::ETAG, HeaderValue::from_str(&tag).ok()?),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match (kind.type_(), path.rsplit('.').next()) {
        (mime_guess::mime::TEXT, _) => format!("{kind}; charset=utf-8"),
        (_, Some("webmanifest")) => "application/manifest+json".to_owned(),
        _ => kind.to_string(),
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_str(&kind).ok()?)];
    let encoding = zipped.then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    let mut response = (caching, kind, Bytes::from_static(content)).into_response();
    response.headers_mut().extend(encoding.into_iter().flatten());
    Some(response)
}

/// Whether the reader takes gzip (RFC 9110 §12.5.3); `gzip;q=0` says no.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').map(str::trim).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wrong_address_is_a_page_for_people_and_a_problem_for_programs() {
        let mut browser = HeaderMap::new();
        browser.insert(header::ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
        let page = file(Path("nope".to_owned()), browser).await.unwrap();
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        assert!(page.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        assert!(file(Path("nope".to_owned()), HeaderMap::new()).await.is_err());
    }

    #[test]
    fn the_files_are_sorted_so_that_each_is_found() {
        assert!(FILES.is_sorted_by_key(|(name, ..)| *name));
        assert!(serve("index.html", &HeaderMap::new()).is_some());
        assert!(serve("../Cargo.toml", &HeaderMap::new()).is_none());
    }

    #[test]
    fn only_a_reader_that_takes_gzip_gets_it() {
        let with = |value| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            headers
        };
        assert!(takes_gzip(&with("gzip, deflate, br")) && takes_gzip(&with("br;q=1, gzip;q=0.5")));
        assert!(!takes_gzip(&with("br")) && !takes_gzip(&with("gzip;q=0")) && !takes_gzip(&HeaderMap::new()));
        let plain = serve("index.html", &HeaderMap::new()).unwrap();
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
    }
}
