//! The names and addresses that this machine is reached by.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Documentation addresses (RFC 5737, RFC 3849): asking for the route to one sends nothing.
const ELSEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// The addresses that packets to elsewhere would leave from, IPv4 first.
pub(super) fn routed() -> Vec<IpAddr> {
    ELSEWHERE.into_iter().filter_map(source_towards).collect()
}

fn source_towards(target: SocketAddr) -> Option<IpAddr> {
    let any =
        if target.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_loopback() && !source.is_unspecified()).then_some(source)
}

/// The host part of the URL to tell players, where they are not told another.
pub(super) fn host_for_url(listening: IpAddr) -> String {
    let shown = if listening.is_unspecified() {
        routed().into_iter().next().unwrap_or(IpAddr::from(Ipv4Addr::LOCALHOST))
    } else {
        listening
    };
    match shown {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Everything a certificate for `listening` should vouch for, sorted, each once.
pub(super) fn certificate_names(listening: IpAddr, host: &str, more: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if listening.is_unspecified() {
        names.extend(routed().iter().map(IpAddr::to_string));
        names.extend(host_name().into_iter().flat_map(|name| [format!("{name}.local"), name]));
    } else {
        names.push(listening.to_string());
    }
    names.push(host.trim_matches(['[', ']']).to_owned());
    names.extend(more.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// The machine's name, where it is one that a certificate can carry.
pub(super) fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_ascii_lowercase();
    let fits = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_a_url_wants_it() {
        assert_eq!(host_for_url("127.0.0.1".parse().unwrap()), "127.0.0.1");
        assert_eq!(host_for_url("::1".parse().unwrap()), "[::1]");
    }

    #[test]
    fn names_hold_the_address_the_host_and_what_was_asked_for_once() {
        let names = certificate_names(
            "192.168.7.8".parse().unwrap(),
            "192.168.7.8",
            &["arcade.local".to_owned(), "localhost".to_owned()],
        );
        assert_eq!(names, ["127.0.0.1", "192.168.7.8", "::1", "arcade.local", "localhost"]);
    }
}
