//! OpenID Connect, as the one who relies on it: what providers say is fetched within bounds, cached, and believed only
//! after every check.
//!
//! Deliberately without accounts and cookies: who an identity belongs to is decided in `http`.
//!
//! **Architecture invariant:** no answer of a provider, and no silence, holds up or ends anything but the sign-in that
//! asked it.

mod config;
mod fetch;
mod provider;

pub use config::OidcProvider;
pub(crate) use provider::{Answer, Kept, OidcError, Provider};

use crate::{Error, Result};

/// The providers that are configured.
#[derive(Default)]
pub(crate) struct Providers(Vec<Provider>);

impl Providers {
    pub(crate) fn open(configured: &[OidcProvider]) -> Result<Self> {
        let provider = |config: &OidcProvider| {
            Provider::new(config.clone()).map_err(|error| Error::Roots { error: error.to_string() })
        };
        Ok(Self(configured.iter().map(provider).collect::<Result<_>>()?))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &OidcProvider> {
        self.0.iter().map(Provider::config)
    }

    pub(crate) fn named(&self, id: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.config().id == id)
    }
}
