//! Answering on an open door until it is told to close.

use super::live::LiveCertificate;
use super::{Door, Keeper, Lock, TlsError, install};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::sync::watch;

/// Requests under way get this long after the door is told to close; longer ones are WebSockets, whose
/// ends were told by then.
const GRACE: Duration = Duration::from_secs(2);
/// A client that has not sent its request line and headers by then is slow on purpose.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

impl Door {
    /// Answers with `router` until `stop` turns true, keeping the certificate fresh. The router may ask
    /// for `ConnectInfo<SocketAddr>`; WebSockets work.
    pub async fn serve(self, router: Router, stop: watch::Receiver<bool>) -> Result<(), TlsError> {
        let (config, live, keeper) = match self.lock {
            Lock::Plain => return serve_on(self.listener, None, router, stop).await,
            Lock::Tls { config, live, keeper } => (config, live, keeper),
        };
        let (router, plain) = match &*keeper {
            Keeper::Local { authority, .. } => {
                let root = authority.root();
                (router.merge(install::pages(root, &self.url)), Some(install::plain_pages(root, &self.url)))
            }
            Keeper::Given(_) | Keeper::Acme(_) => (router, None),
        };
        let install_listener = match &*keeper {
            Keeper::Local { install: Some((listener, _)), .. } => {
                Some(listener.try_clone().map_err(TlsError::Serve)?)
            }
            _ => None,
        };
        let serving = serve_on(self.listener, Some(RustlsConfig::from_config(config)), router, stop.clone());
        let installing = async {
            match (install_listener, plain) {
                (Some(listener), Some(pages)) => serve_on(listener, None, pages, stop.clone()).await,
                _ => Ok(()),
            }
        };
        tokio::select! {
            served = async { tokio::try_join!(serving, installing) } => served.map(|_| ()),
            () = keep(*keeper, &live) => Ok(()),
        }
    }
}

/// Keeps the certificate fresh; never resolves.
async fn keep(keeper: Keeper, live: &LiveCertificate) {
    match keeper {
        Keeper::Given(given) => given.keep(live).await,
        Keeper::Acme(acme) => acme.keep(live).await,
        Keeper::Local { authority, .. } => authority.keep(live).await,
    }
    pending::<()>().await;
}

/// Answers on `listener` until `stop` turns true, then lets requests under way finish within [`GRACE`].
async fn serve_on(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    stop: watch::Receiver<bool>,
) -> Result<(), TlsError> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener).map_err(TlsError::Serve)?.handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = async {
        match tls {
            Some(config) => server.acceptor(RustlsAcceptor::new(config)).serve(service).await,
            None => server.serve(service).await,
        }
    };
    let closing = async {
        handle.listening().await;
        stopped(stop).await;
        handle.graceful_shutdown(Some(GRACE));
        pending::<()>().await;
    };
    tokio::select! {
        served = serving => served.map_err(TlsError::Serve),
        () = closing => Ok(()),
    }
}

/// Resolves when `stop` turns true, or when nobody is left who could turn it.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
