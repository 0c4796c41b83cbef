//! Passkeys (WebAuthn, level 3): what browsers are asked, and what their answers prove.
//!
//! They are bound to the host name of the server's public address, so there are none where it has no name. Nothing is
//! asked about who made an authenticator (`attestation: none`); that a person was verified by it always is.

use nearframe_protocol::MemberId;
use nearframe_protocol::sign_in::PasskeyOffer;
use serde_json::{Value, json};
use url::{Host, Url};
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

/// What this server can ask of passkeys.
pub(crate) struct Passkeys(Result<(Box<Webauthn>, String), &'static str>);

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    /// It is not of the form.
    #[error("it does not have the form of WebAuthn: {0}")]
    Form(#[from] serde_json::Error),
    /// Its counter went back: somebody may have a copy of the passkey.
    #[error("its counter went back")]
    Copied,
    /// It proves nothing.
    #[error("{0}")]
    Unproved(WebauthnError),
}

impl From<WebauthnError> for Wrong {
    fn from(error: WebauthnError) -> Self {
        match error {
            WebauthnError::CredentialPossibleCompromise => Self::Copied,
            error => Self::Unproved(error),
        }
    }
}

/// A passkey to be kept.
pub(crate) struct Kept {
    /// What authenticators know it by.
    pub(crate) credential: Vec<u8>,
    /// JSON of its key and counter.
    pub(crate) body: String,
}

/// An answer to a challenge, and which passkey it says it is of.
pub(crate) struct Claim {
    answer: PublicKeyCredential,
    /// What authenticators know the passkey by.
    pub(crate) credential: Vec<u8>,
    /// Whose the authenticator says that it is.
    pub(crate) member: MemberId,
}

impl Passkeys {
    /// For the server's public address.
    pub(crate) fn of(public: Option<&Url>) -> Self {
        let Some(url) = public else {
            return Self(Err("This server does not know its public address (`public_url`)."));
        };
        let Some(Host::Domain(host)) = url.host() else {
            return Self(Err(
                "This server is reached by a number, and passkeys belong to a name: see `public_url`.",
            ));
        };
        if url.scheme() != "https" && host != "localhost" {
            return Self(Err("Browsers use passkeys over HTTPS alone."));
        }
        let made = WebauthnBuilder::new(host, url).and_then(|builder| builder.rp_name("nearframe").build());
        Self(match made {
            Ok(webauthn) => Ok((Box::new(webauthn), host.to_owned())),
            Err(_) => Err("Passkeys cannot belong to the name of this server."),
        })
    }

    /// What the page is told.
    pub(crate) fn offer(&self) -> PasskeyOffer {
        match &self.0 {
            Ok((_, host)) => PasskeyOffer { offered: true, host: Some(host.clone()), why_not: None },
            Err(why) => PasskeyOffer { offered: false, host: None, why_not: Some((*why).to_owned()) },
        }
    }

    fn webauthn(&self) -> Result<&Webauthn, &'static str> {
        self.0.as_ref().map(|(webauthn, _)| &**webauthn).map_err(|why| *why)
    }

    /// Whether they are offered, or why not.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.webauthn().map(drop)
    }

    /// What a browser is asked to make a passkey that signs in without a name, and what is to be remembered.
    pub(crate) fn begin_adding(
        &self,
        member: MemberId,
        name: &str,
        known: &[Vec<u8>],
    ) -> Result<(Value, String), Wrong> {
        let webauthn = self.webauthn().map_err(|_| WebauthnError::Configuration)?;
        let who = Uuid::from_bytes(*member.as_bytes());
        let (asked, state) = webauthn.start_passkey_registration(who, name, name, Some(known.to_vec()))?;
        let mut options = serde_json::to_value(&asked)?;
        let selection = &mut options["publicKey"]["authenticatorSelection"];
        selection["residentKey"] = json!("required");
        selection["requireResidentKey"] = json!(true);
        Ok((options, serde_json::to_string(&state)?))
    }

    /// The passkey that a browser made.
    pub(crate) fn finish_adding(&self, answer: Value, state: &str) -> Result<Kept, Wrong> {
        let webauthn = self.webauthn().map_err(|_| WebauthnError::Configuration)?;
        let answer: RegisterPublicKeyCredential = serde_json::from_value(answer)?;
        let state: PasskeyRegistration = serde_json::from_str(state)?;
        let passkey = webauthn.finish_passkey_registration(&answer, &state)?;
        let credential = passkey.cred_id().clone();
        Ok(Kept { credential, body: serde_json::to_string(&passkey)? })
    }

    /// What a browser is asked to sign in with any passkey that it has, and what is to be remembered.
    pub(crate) fn begin(&self) -> Result<(Value, String), Wrong> {
        let webauthn = self.webauthn().map_err(|_| WebauthnError::Configuration)?;
        let (mut asked, state) = webauthn.start_discoverable_authentication()?;
        // A button asks for it, not a form that fills itself.
        asked.mediation = None;
        Ok((serde_json::to_value(&asked)?, serde_json::to_string(&state)?))
    }

    /// Which passkey an answer says it is of. Nothing is proved yet.
    pub(crate) fn read(&self, answer: Value) -> Result<Claim, Wrong> {
        let webauthn = self.webauthn().map_err(|_| WebauthnError::Configuration)?;
        let answer: PublicKeyCredential = serde_json::from_value(answer)?;
        let (who, credential) = webauthn.identify_discoverable_authentication(&answer)?;
        let (member, credential) = (MemberId::from_bytes(*who.as_bytes()), credential.to_vec());
        Ok(Claim { answer, credential, member })
    }

    /// The passkey as it is to be kept from now on, if the answer proves it.
    pub(crate) fn finish(&self, claim: &Claim, state: &str, body: &str) -> Result<String, Wrong> {
        let webauthn = self.webauthn().map_err(|_| WebauthnError::Configuration)?;
        let state: DiscoverableAuthentication = serde_json::from_str(state)?;
        let mut passkey: Passkey = serde_json::from_str(body)?;
        let proved = webauthn.finish_discoverable_authentication_v2(&claim.answer, state, &passkey)?;
        passkey.update_credential(&proved);
        Ok(serde_json::to_string(&passkey)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_offered_under_a_name_over_https_alone() {
        let offer = |url: &str| Passkeys::of(Some(&Url::parse(url).unwrap())).offer();
        for (url, host) in
            [("https://play.example:8443", "play.example"), ("http://localhost:8600", "localhost")]
        {
            assert_eq!(offer(url).host.as_deref(), Some(host));
        }
        for (url, why) in [
            ("http://127.0.0.1:8600", "number"),
            ("https://[2001:db8::1]", "number"),
            ("http://play.example", "HTTPS"),
        ] {
            let offer = offer(url);
            assert!(!offer.offered && offer.why_not.unwrap().contains(why), "{url}");
        }
        assert!(Passkeys::of(None).offer().why_not.unwrap().contains("public_url"));
        assert!(Passkeys::of(None).begin().is_err());
    }
}
