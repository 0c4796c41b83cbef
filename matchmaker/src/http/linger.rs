//! Who is refused while still sending gets the answer, rather than a connection that breaks.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// What is read of a body that nobody wants: more is not sent by mistake.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// For so long.
const WITHIN: Duration = Duration::from_secs(2);

/// The body, which the handler reads, and then perhaps we.
#[derive(Clone)]
struct Lent(Arc<Mutex<BodyDataStream>>);

impl Lent {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }

    async fn drain(&self) {
        let mut read = 0;
        while let Some(Ok(bytes)) = std::future::poll_fn(|context| self.poll(context)).await
            && read < MOST_BYTES
        {
            read += bytes.len();
        }
    }
}

/// Reads what is left of the body of a request that was refused.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    if waits_for_leave || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(body.into_data_stream())));
    let read = lent.clone();
    let body = Body::from_stream(poll_fn(move |context| read.poll(context)));
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        // Whoever is slower than that learns it the hard way.
        let _ = timeout(WITHIN, lent.drain()).await;
    }
    response
}
