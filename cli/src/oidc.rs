//! `oidc_providers`: one file for each provider that people sign in with.

use crate::options::Matchmaking;
use anyhow::{Context, Result, bail};
use nearframe_matchmaker::OidcProvider;
use nearframe_protocol::account::AccountKind;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A file's schema.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFile {
    /// What people call it; the file's name where absent.
    label: Option<String>,
    issuer: String,
    client_id: String,
    /// Beside the file, where it is no absolute path.
    client_secret_file: Option<PathBuf>,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
}

/// What a name is made of.
fn usual_scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

/// The providers that the options name, in this order.
pub(crate) fn providers(options: &Matchmaking) -> Result<Vec<OidcProvider>> {
    let read = |path: &PathBuf| read(path).with_context(|| format!("oidc_providers: {}", path.display()));
    options.oidc_providers.iter().flatten().map(read).collect()
}

fn read(path: &Path) -> Result<OidcProvider> {
    let text = fs::read_to_string(path)?;
    let file: ProviderFile =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?.to_owned();
    let secret = |secret: &PathBuf| {
        let secret = path.parent().unwrap_or(Path::new("")).join(secret);
        let text = fs::read_to_string(&secret)
            .with_context(|| format!("client_secret_file = {}", secret.display()))?;
        anyhow::Ok(text.trim().to_owned())
    };
    Ok(OidcProvider {
        label: file.label.unwrap_or_else(|| id.clone()),
        id,
        issuer: file.issuer,
        client_id: file.client_id,
        client_secret: file.client_secret_file.as_ref().map(secret).transpose()?,
        scopes: file.scopes,
    })
}

/// Kinds of account that may be made without an invitation.
pub(crate) fn new_accounts(words: &[String]) -> Result<Vec<AccountKind>> {
    let mut kinds = Vec::new();
    for word in words {
        match (word.as_str(), AccountKind::parse(word)) {
            ("none", _) if words.len() == 1 => {}
            (_, Some(kind)) => kinds.push(kind),
            _ => bail!("new_accounts = {word:?}: allowed are player and studio, or none alone"),
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_describes_a_provider_with_its_secret_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acme.toml");
        let text = "issuer = \"https://id.acme.example\"\nclient_id = \"nf\"\nclient_secret_file = \"acme.secret\"\n";
        fs::write(&path, text).unwrap();
        let options = Matchmaking { oidc_providers: Some(vec![path.clone()]), ..Matchmaking::default() };
        let missing = format!("{:#}", providers(&options).unwrap_err());
        assert!(missing.contains("acme.secret"), "{missing}");
        fs::write(dir.path().join("acme.secret"), "hush\n").unwrap();
        let found = providers(&options).unwrap().remove(0);
        assert_eq!((found.id.as_str(), found.label.as_str()), ("acme", "acme"));
        assert_eq!(found.client_secret.as_deref(), Some("hush"));
        assert_eq!(found.scopes, ["profile", "email"]);
        fs::write(&path, format!("{text}secret = \"hush\"\n")).unwrap();
        let unknown = format!("{:#}", providers(&options).unwrap_err());
        assert!(unknown.contains("line 4") && unknown.contains("secret"), "{unknown}");
    }

    #[test]
    fn kinds_of_new_accounts_are_named_or_none() {
        let read = |words: &[&str]| new_accounts(&words.iter().map(|&word| word.into()).collect::<Vec<_>>());
        assert_eq!(read(&["player", "studio"]).unwrap(), [AccountKind::Player, AccountKind::Studio]);
        assert_eq!(read(&["none"]).unwrap(), []);
        for wrong in [&["none", "player"][..], &["guest"]] {
            assert!(read(wrong).unwrap_err().to_string().contains("new_accounts"));
        }
    }
}
