//! Probes that reach for the network and for other sessions' sockets and shared memory.

use std::io::{self, Read};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use crate::probe::Control::{Inside, Outside, OutsideAsRoot};
use crate::probe::{Facts, Outcome, Probe, call, done};

const NETWORK: &str = "network namespace";
const SECCOMP: &str = "seccomp";
/// An echo on the same machine takes microseconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

pub(crate) const PROBES: fn() -> Vec<Probe> = || {
    let probe = |name, layer, control, attempt| Probe { name, layer, control, attempt };
    vec![
        probe("connect_to_a_server_of_the_host", NETWORK, Outside, |aim| {
            done("connected", TcpStream::connect(("127.0.0.1", aim.number("TCP"))))
        }),
        probe("ask_a_udp_server_of_the_host", NETWORK, Outside, |aim| echo(aim.number("UDP"))),
        probe("ask_a_name_server", NETWORK, Inside(own_loopback), |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").map_err(|error| error.to_string())?;
            // An address that is nobody's: with any route at all, sending to it works.
            done("sent", socket.connect("192.0.2.53:53").and_then(|()| socket.send(b"?")))
        }),
        probe("ask_a_name_server_by_ipv6", NETWORK, Inside(own_loopback), |_| {
            let socket = UdpSocket::bind("[::]:0").map_err(|error| error.to_string())?;
            done("sent", socket.connect("[2001:db8::53]:53").and_then(|()| socket.send(b"?")))
        }),
        probe("ask_the_neighbourhood", NETWORK, Inside(own_loopback), |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").map_err(|error| error.to_string())?;
            done("sent", socket.send_to(b"?", "239.255.255.250:1900"))
        }),
        probe("connect_to_an_abstract_socket", NETWORK, Outside, |aim| {
            let address = SocketAddr::from_abstract_name(aim.text("ABSTRACT")).unwrap();
            done("connected", UnixStream::connect_addr(&address))
        }),
        probe("connect_to_an_x_server_of_the_host", NETWORK, Outside, |aim| {
            let address = SocketAddr::from_abstract_name(aim.text("X11")).unwrap();
            done("connected", UnixStream::connect_addr(&address))
        }),
        probe("connect_to_another_sessions_socket", "mount namespace", Outside, |aim| {
            done("connected", UnixStream::connect(aim.path("SOCKET")))
        }),
        probe("connect_to_the_agents_socket", "mount namespace", Outside, |aim| {
            let up = format!("/proc/self/cwd/{}{}", "../".repeat(16), aim.text("SOCKET"));
            done("connected", UnixStream::connect(up))
        }),
        probe("send_raw_packets", "no capabilities", OutsideAsRoot, |_| {
            socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
        }),
        probe("send_raw_packets_by_ipv6", "no capabilities", OutsideAsRoot, |_| {
            socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)
        }),
        probe("listen_on_a_cable", SECCOMP, OutsideAsRoot, |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
        probe("ask_the_kernel_by_netlink", SECCOMP, Outside, |_| {
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC)
        }),
        probe("use_a_rare_socket_family", SECCOMP, Outside, |_| {
            // The first of those that this kernel has.
            let families = [
                libc::AF_ALG,
                libc::AF_VSOCK,
                libc::AF_BLUETOOTH,
                libc::AF_CAN,
                libc::AF_TIPC,
                libc::AF_NETLINK,
            ];
            let rare = |family: &i32| {
                socket(*family, libc::SOCK_DGRAM, if *family == libc::AF_NETLINK { 9 } else { 0 })
            };
            families.iter().map(rare).find(Result::is_ok).unwrap_or(Err("none of them".into()))
        }),
        probe("change_a_network_interface", "no capabilities", OutsideAsRoot, |_| interface()),
        probe("attach_shared_memory_of_the_host", "IPC namespace", Outside, |aim| {
            // SAFETY: the segment is only attached and never touched.
            call(
                "attached",
                unsafe { libc::shmat(aim.number("SEGMENT"), std::ptr::null(), libc::SHM_RDONLY) } as i64,
            )
        }),
    ]
};

fn echo(port: u16) -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let asked = socket.connect(("127.0.0.1", port)).and_then(|()| socket.send(b"?"));
    done("answered", asked.and_then(|_| socket.recv(&mut [0; 8])))
}

/// The title may talk to itself.
fn own_loopback(_: &Facts) -> Outcome {
    let server = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = server.local_addr().unwrap().port();
    let echo_once = std::thread::spawn(move || -> io::Result<()> {
        let (_, from) = server.recv_from(&mut [0; 8])?;
        server.send_to(b"!", from).map(drop)
    });
    let answer = echo(port);
    echo_once.join().unwrap().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).map_err(|error| error.to_string())?;
    drop(listener.accept().unwrap());
    done("closed", stream.read(&mut [0])).and(answer)
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    // SAFETY: numbers only.
    call("a socket", unsafe { libc::socket(family, kind, protocol) }.into())
}

/// Sets the flags of the loopback interface to what they are.
fn interface() -> Outcome {
    // SAFETY: numbers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    call("a socket", socket.into())?;
    // SAFETY: the number is this process's own, just made.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all bytes zero are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    // SAFETY: the request lives on this stack and has the size that both calls expect.
    let read = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    call("read", read.into())?;
    // SAFETY: as above.
    call("set", unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) }.into())
}
