//! Which addresses events are sent to: never one that only this server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

/// Longest address, in bytes.
const MAX_URL_BYTES: usize = 2000;
/// A name that is not resolved by then is not.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Reads an address that an account names. `private`: also plain HTTP and addresses that are not public.
pub(crate) fn check(text: &str, private: bool) -> Result<Url, &'static str> {
    let form = "url: an address such as https://hooks.example.org/nearframe";
    let url = Url::parse(text).map_err(|_| form)?;
    if text.len() > MAX_URL_BYTES {
        return Err("url: at most 2000 bytes");
    }
    if url.scheme() != "https" && !(private && url.scheme() == "http") {
        return Err("url: https alone; this server sends nothing over plain http");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: without user and password; deliveries are signed instead");
    }
    let public = match url.host().ok_or(form)? {
        Host::Domain(name) => !name.trim_end_matches('.').ends_with("localhost"),
        Host::Ipv4(ip) => is_public(ip.into()),
        Host::Ipv6(ip) => is_public(ip.into()),
    };
    if public || private {
        Ok(url)
    } else {
        Err("url: a public host; this one is private or this server's own")
    }
}

/// The one address that is connected to. Where any that a name leads to is not public, none is.
pub(super) async fn resolve(url: &Url, private: bool) -> Result<SocketAddr, String> {
    let port = url.port_or_known_default().ok_or("the address has no port")?;
    let found: Vec<SocketAddr> = match url.host().ok_or("the address has no host")? {
        Host::Ipv4(ip) => vec![(ip, port).into()],
        Host::Ipv6(ip) => vec![(ip, port).into()],
        Host::Domain(name) => {
            let found = timeout(RESOLVE_WITHIN, lookup_host((name, port))).await;
            let found = found.map_err(|_| format!("{name} was not resolved within {RESOLVE_WITHIN:?}"))?;
            found.map_err(|error| format!("{name} is not resolved: {error}"))?.collect()
        }
    };
    if let Some(closed) = found.iter().find(|address| !private && !is_public(address.ip())) {
        return Err(format!("its host leads to {}, which is not public", closed.ip()));
    }
    found.first().copied().ok_or_else(|| "its host has no address".to_owned())
}

/// Whether anybody on the Internet can reach it: the IANA registries of special addresses, as of 2026, left out.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Global unicast, without what leads to an IPv4 address in disguise, or nowhere.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let is_global = (0x2000..0x4000).contains(&a);
    let is_protocol = a == 0x2001 && (b < 0x0200 || b == 0x0db8);
    let is_documentation = a == 0x3fff && b < 0x1000;
    is_global && !is_protocol && a != 0x2002 && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_hosts_over_https_are_taken() {
        for right in
            ["https://hooks.example.org/a?b=c", "https://93.184.215.14:8443/", "https://[2a00:1450::1]/"]
        {
            assert!(check(right, false).is_ok(), "{right}");
        }
        let wrong = [
            "",
            "hooks.example.org",
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "https://user:secret@hooks.example.org/",
            "https://localhost/",
            "https://a.LOCALHOST./",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://10.1.2.3/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/latest/meta-data",
            "file:///etc/passwd",
        ];
        for wrong in wrong {
            assert!(check(wrong, false).is_err(), "{wrong}");
        }
        assert!(check("http://127.0.0.1:9/", true).is_ok() && check("ftp://127.0.0.1/", true).is_err());
        assert!(check(&format!("https://a.example/{}", "x".repeat(2000)), false).is_err());
    }

    #[test]
    fn special_addresses_are_not_public() {
        let special = [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.9.9",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "100::1",
        ];
        for text in special {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_when_it_is_resolved() {
        let url = Url::parse("https://localhost:8443/").unwrap();
        let refused = resolve(&url, false).await.unwrap_err();
        assert!(refused.contains("not public"), "{refused}");
        assert_eq!(resolve(&url, true).await.unwrap().port(), 8443);
    }
}
