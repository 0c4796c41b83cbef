//! An HTTP client that keeps its connection.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A request that takes longer has failed.
const WITHIN: Duration = Duration::from_secs(15);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    /// Connects from an address of loopback of its own: the door limits how often one address may ask.
    pub(crate) fn dial(door: SocketAddr, number: u32) -> Result<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let [_, high, middle, low] = (number + 2).to_be_bytes();
        let own = SocketAddr::from((Ipv4Addr::new(127, high.wrapping_add(1), middle, low), 0));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &own).with_context(|| format!("taking the address {own}"))?;
        connect(&socket, &door).with_context(|| format!("dialling {door}"))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WITHIN))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.stream.get_ref().peer_addr()?
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                bail!("the matchmaker hung up");
            }
        }
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = field("content-length").map_or(Ok(0), |text| text.parse())?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
        Ok(Answer { status, head, body: String::from_utf8(body)? })
    }
}
