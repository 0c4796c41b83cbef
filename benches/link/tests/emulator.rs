//! Real programs and sockets behind the emulated path. Needs iproute2 and util-linux.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use nearframe_link::emulator::{Direction, Emulator, EmulatorSpec, End, Logged, Outcome};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a test that it is to be killed.
const INSIDE: &str = "NEARFRAME_LINK_TEST_INSIDE";

/// Whether this process may make namespaces. If not, the test has been run in another that may.
fn has_rights(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        run_in_unshare(test);
    }
    is_root
}

/// A user who is not root has what it takes inside `unshare`.
fn run_in_unshare(test: &str) {
    let mut inside = Command::new("unshare");
    inside.args(["-Ur", "--"]).arg(std::env::current_exe().unwrap()).args(["--exact", test]);
    let inside = inside.output().expect("unshare of util-linux is there");
    let (out, err) = (String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    assert!(inside.status.success(), "{out}{err}");
}

fn emulator(down: &str, up: &str) -> Emulator {
    let spec = EmulatorSpec { down: down.parse().unwrap(), up: up.parse().unwrap(), seed: 1 };
    Emulator::start(&spec).unwrap()
}

fn socket(emulator: &Emulator, end: End, address: Ipv4Addr) -> UdpSocket {
    let socket = emulator.run_in(end, || UdpSocket::bind((address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn pair(emulator: &Emulator) -> (UdpSocket, UdpSocket) {
    let server = socket(emulator, End::Server, emulator.server_address());
    let client = socket(emulator, End::Client, emulator.client_address());
    server.connect(client.local_addr().unwrap()).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    (server, client)
}

/// From a word of the client to the server's answer.
fn round_trip(server: &UdpSocket, client: &UdpSocket) -> Duration {
    let asked = Instant::now();
    client.send(b"hello").unwrap();
    let mut word = [0; 16];
    let length = server.recv(&mut word).unwrap();
    server.send(&word[..length]).unwrap();
    assert_eq!(client.recv(&mut word).unwrap(), 5);
    asked.elapsed()
}

#[test]
fn a_round_trip_takes_the_delay_of_both_directions() {
    if !has_rights("a_round_trip_takes_the_delay_of_both_directions") {
        return;
    }
    let emulator = emulator("delay=20ms", "delay=10ms");
    let (server, client) = pair(&emulator);
    let trips: Vec<_> = (0..20).map(|_| round_trip(&server, &client)).collect();
    let fastest = trips.iter().min().unwrap();
    assert!(*fastest >= Duration::from_millis(30), "{trips:?}");
    assert!(*fastest < Duration::from_millis(35), "{trips:?}");
    assert_eq!(emulator.relay_stats().lateness.count(), 40);
}

#[test]
fn datagrams_fill_the_link_to_its_rate_and_no_further() {
    if !has_rights("datagrams_fill_the_link_to_its_rate_and_no_further") {
        return;
    }
    const LENGTH: Duration = Duration::from_secs(2);
    let emulator = emulator("rate=1M delay=5ms", "delay=5ms");
    let (server, client) = pair(&emulator);
    client.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let reading = std::thread::spawn(move || {
        let mut word = [0; 2048];
        std::iter::from_fn(|| client.recv(&mut word).ok().map(|_| Instant::now())).collect::<Vec<_>>()
    });
    // A queue that lasts while a busy machine keeps the sender from sending.
    emulator.restart("rate=8M queue=300ms delay=5ms".parse().unwrap(), "delay=5ms".parse().unwrap()).unwrap();
    let started = Instant::now();
    // Twice the rate, with 28 bytes of headers to each.
    while started.elapsed() < LENGTH {
        for _ in 0..4 {
            server.send(&[0; 1172]).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let got = reading.join().unwrap();
    let stats = emulator.take_stats(Direction::Down);
    let arrived: Vec<_> = stats.log.iter().filter(|one| one.outcome == Outcome::Delivered).collect();
    assert_eq!(arrived.len(), got.len());
    let bps = |time: Duration| (got.len() - 1) as f64 * 1200.0 * 8.0 / time.as_secs_f64();
    let left = |one: &Logged| one.at + one.queued;
    let modelled = bps(left(arrived[arrived.len() - 1]) - left(arrived[0]));
    let seen = bps(got[got.len() - 1] - got[0]);
    // Less than the rate only where the machine was too busy to send.
    assert!(modelled <= 8.001e6 && modelled > 4e6, "{modelled} bit/s");
    assert!((seen / modelled - 1.0).abs() < 0.05, "{seen} bit/s instead of {modelled}");
    assert_eq!(stats.link.sent, stats.link.delivered + stats.link.queue_full);
    assert_eq!(stats.log.len() as u64, stats.link.sent);
    assert!(stats.link.queue_full > 100);
    assert!(stats.queue_delay.max() <= Duration::from_millis(300));
    assert_eq!(stats.queue_delay.count(), stats.link.delivered);
    let capacity = emulator.capacity_bytes(Direction::Down, Duration::ZERO, LENGTH).unwrap();
    assert_eq!(capacity, 2_000_000);
}

#[test]
fn lost_datagrams_are_those_that_the_seed_says() {
    if !has_rights("lost_datagrams_are_those_that_the_seed_says") {
        return;
    }
    let lost = || {
        let emulator = emulator("loss=10% burst=3", "");
        let (server, client) = pair(&emulator);
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let reading = std::thread::spawn(move || {
            let mut word = [0; 16];
            std::iter::from_fn(|| client.recv(&mut word).ok().map(|_| [word[0], word[1]])).collect::<Vec<_>>()
        });
        for number in 0..500_u16 {
            server.send(&number.to_be_bytes()).unwrap();
            // More at once than a socket holds would be lost by the kernel.
            std::thread::sleep(Duration::from_micros(200));
        }
        let got = reading.join().unwrap();
        let log = emulator.take_stats(Direction::Down).log;
        assert_eq!(log.iter().filter(|one| one.outcome == Outcome::Lost).count(), 500 - got.len());
        got
    };
    let got = lost();
    assert!((400..490).contains(&got.len()), "{}", got.len());
    assert_eq!(got, lost());
}

#[test]
fn tcp_flows_fill_the_link_while_they_run() {
    if !has_rights("tcp_flows_fill_the_link_while_they_run") {
        return;
    }
    let emulator = emulator("rate=10M queue=50ms delay=5ms", "delay=5ms");
    let until = Duration::from_millis(2300);
    let flow = emulator.start_bulk_flow(Duration::from_millis(300), until).unwrap();
    std::thread::sleep(until + Duration::from_millis(200));
    let received = flow.received_bytes();
    // Of 2.5 MB in two seconds, less headers, the start and what else the machine does.
    assert!((800_000..2_500_000).contains(&received), "{received}");
    let log = emulator.take_stats(Direction::Down).log;
    assert!(log.iter().all(|one| one.tcp && one.size <= 1500));
    let (first, last) = (log[0].at, log.last().unwrap().at);
    assert!(
        first >= Duration::from_millis(299) && last < until + Duration::from_millis(150),
        "{first:?} {last:?}"
    );
}

#[test]
fn a_client_that_changes_its_address_is_heard_from_the_new_one_only() {
    if !has_rights("a_client_that_changes_its_address_is_heard_from_the_new_one_only") {
        return;
    }
    let mut emulator = emulator("delay=1ms", "delay=1ms");
    let (server, client) = pair(&emulator);
    round_trip(&server, &client);
    let new = emulator.change_address().unwrap();
    assert_eq!(emulator.client_address(), new);
    let (server, client) = pair(&emulator);
    round_trip(&server, &client);
    assert_eq!(client.local_addr().unwrap().ip(), new);
    let old = Ipv4Addr::from(u32::from(new) - 1);
    assert!(emulator.run_in(End::Client, || UdpSocket::bind((old, 0))).unwrap().is_err());
}

#[test]
fn packets_that_allow_marks_arrive_marked_and_whole() {
    if !has_rights("packets_that_allow_marks_arrive_marked_and_whole") {
        return;
    }
    let emulator = emulator("rate=2M queue=500ms mark=5ms", "");
    let (server, client) = pair(&emulator);
    // ECT(0) on all that the server sends.
    rustix::net::sockopt::set_ip_tos(&server, 2).unwrap();
    for _ in 0..20 {
        server.send(&[7; 1000]).unwrap();
    }
    let mut word = [0; 2048];
    let got = (0..20).filter(|_| client.recv(&mut word).is_ok_and(|length| length == 1000)).count();
    // A wrong checksum would have kept the kernel from handing them over.
    assert_eq!(got, 20);
    assert!(emulator.take_stats(Direction::Down).link.marked >= 15);
}

#[test]
fn programs_see_their_end_only() {
    if !has_rights("programs_see_their_end_only") {
        return;
    }
    let emulator = emulator("", "");
    for (end, address) in [(End::Server, emulator.server_address()), (End::Client, emulator.client_address())]
    {
        let seen = emulator.command_in(end, "ip").args(["-br", "-4", "addr"]).output().unwrap();
        let seen = String::from_utf8(seen.stdout).unwrap();
        assert_eq!(seen.lines().count(), 2, "{seen}");
        assert!(seen.contains(&format!("{address}/32")), "{seen}");
        let path = emulator.namespace_path(end);
        let net = format!("--net={}", path.display());
        let entered = Command::new("nsenter").arg(net).args(["ip", "-br", "-4", "addr"]).output().unwrap();
        assert_eq!(String::from_utf8(entered.stdout).unwrap(), seen);
    }
}

#[test]
fn nothing_is_left_when_it_ends() {
    if !has_rights("nothing_is_left_when_it_ends") {
        return;
    }
    let path = {
        let emulator = emulator("", "");
        let address = SocketAddr::from((emulator.server_address(), 9));
        // The address is known at its end and nowhere else.
        assert!(UdpSocket::bind((address.ip(), 0)).is_err());
        emulator.namespace_path(End::Server)
    };
    // The file may be another one by now, but not a namespace of this emulator.
    let seen =
        Command::new("nsenter").arg(format!("--net={}", path.display())).args(["ip", "-br", "addr"]).output();
    assert!(!String::from_utf8_lossy(&seen.unwrap().stdout).contains("10.88.0.1"));
}

#[test]
fn programs_at_its_ends_do_not_outlive_a_process_that_is_killed() {
    if std::env::var_os(INSIDE).is_some() {
        let emulator = emulator("", "");
        let mut program = emulator.command_in(End::Client, "sleep").arg("600").spawn().unwrap();
        writeln!(std::io::stdout(), "\nprogram {}", program.id()).unwrap();
        program.wait().unwrap();
        return;
    }
    let name = "programs_at_its_ends_do_not_outlive_a_process_that_is_killed";
    if !has_rights(name) {
        return;
    }
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").stdout(Stdio::piped());
    let mut inside = inside.spawn().unwrap();
    let mut lines = BufReader::new(inside.stdout.take().unwrap()).lines();
    let program = lines.find_map(|line| line.unwrap().strip_prefix("program ").map(str::to_owned)).unwrap();
    inside.kill().unwrap();
    inside.wait().unwrap();
    let runs =
        || std::fs::read_to_string(format!("/proc/{program}/comm")).is_ok_and(|name| name.trim() == "sleep");
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs() {
        assert!(Instant::now() < deadline, "{program} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn users_without_rights_have_it_inside_unshare() {
    run_in_unshare("a_client_that_changes_its_address_is_heard_from_the_new_one_only");
}
