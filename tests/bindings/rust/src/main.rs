//! What the crate `pcap` offers, used; what it says goes to stdout.
//!
//! ARGUMENTS: a folder of savefiles, the ends of a veth pair.

use pcap::{
    Active, BpfProgram, Capture, Device, Direction, Error, Inactive, Linktype, Offline, Packet,
    PacketCodec, Precision, TimestampType,
};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Good ones, and ones with an error of each kind.
const FILTERS: [&str; 14] = [
    "",
    "ip",
    "tcp port 80 or udp portrange 53-1024",
    "ether[0] & 1 != 0",
    "len > 100",
    "vlan and ip",
    "not (arp or ip6)",
    "tcp[tcpflags] & tcp-syn != 0",
    "host",
    "port 99999999",
    "foo bar",
    "ip[1:3] = 0",
    "net 10.0.0.1/8",
    "port http and (",
];

fn say(what: &str, outcome: impl Debug) {
    println!("{what}: {outcome:?}");
}

type Seen = (i64, i64, u32, u32, u64);

fn seen(packet: &Packet) -> Seen {
    let mut hasher = DefaultHasher::new();
    packet.data.hash(&mut hasher);
    let header = packet.header;
    (header.ts.tv_sec, header.ts.tv_usec, header.caplen, header.len, hasher.finish())
}

fn digest(what: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Keeps what it sees.
struct Codec;

impl PacketCodec for Codec {
    type Item = Seen;

    fn decode(&mut self, packet: Packet) -> Seen {
        seen(&packet)
    }
}

fn tables() {
    for number in -1..290 {
        let linktype = Linktype(number);
        println!("{number} {:?} {:?}", linktype.get_name(), linktype.get_description());
    }
    for name in ["EN10MB", "en10mb", "DLT_EN10MB", "", "no such"] {
        say(name, Linktype::from_name(name));
    }
    say("devices", Device::list());
    say("lookup", Device::lookup());
}

fn savefile(path: &Path) {
    println!("{}", path.file_name().unwrap().display());
    for precision in [Precision::Micro, Precision::Nano] {
        let mut capture = match Capture::from_file_with_precision(path, precision) {
            Ok(capture) => capture,
            Err(error) => return say(" open", error),
        };
        say(" versions", (capture.version(), capture.get_datalink(), capture.list_datalinks()));
        let mut got = Vec::new();
        say(" for_each", capture.for_each(None, |packet| got.push(seen(&packet))));
        say(" packets", (got.len(), digest(&got)));
        say(" end", (capture.next_packet().err(), capture.dispatch(None, |_| ())));
        say(
            " no",
            (
                capture.stats(),
                capture.direction(Direction::In),
                capture.set_datalink(Linktype(113)),
            ),
        );
    }
    let iterated: Vec<_> = Capture::from_file(path).unwrap().iter(Codec).collect();
    say(" iter", (iterated.len(), digest(format!("{iterated:?}"))));
}

/// Verdicts of a filter: by the handle, by the program, and its error.
fn filters(path: &Path) {
    for filter in FILTERS {
        for optimize in [false, true] {
            let mut capture = Capture::from_file(path).unwrap();
            let program: Result<BpfProgram, Error> = capture.compile(filter, optimize);
            let set = capture.filter(filter, optimize);
            let mut accepted = 0;
            let done = capture.for_each(None, |packet| {
                accepted += 1;
                if let Ok(program) = &program {
                    assert!(program.filter(packet.data));
                }
            });
            println!(
                "{filter:?} {set:?} {accepted} {done:?} {:?}",
                program.map(|p| !p.get_instructions().is_empty())
            );
        }
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = dead.compile(filter, true);
        let syn = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0E\0\0(\0\x01\0\0@\x06\0\0\x0a\0\0\x01\x0a\0\0\x02\0P\x10\0\0\0\0\0\0\0\0\0P\x02\0\0\0\0\0\0";
        println!(
            "{filter:?} {:?}",
            program.map(|p| (p.filter(syn), p.filter(&syn[..20]), p.filter(b"")))
        );
    }
}

fn dump(path: &Path) {
    let name = std::env::temp_dir().join(format!("bindings-{}.pcap", std::process::id()));
    let mut capture: Capture<Offline> =
        Capture::from_file_with_precision(path, Precision::Nano).unwrap();
    let mut out = capture.savefile(&name).unwrap();
    for _ in 0..3 {
        out.write(&capture.next_packet().unwrap());
    }
    say("flush", (out.flush(), std::fs::metadata(&name).unwrap().len()));
    drop(out);
    let mut out = capture.savefile_append(&name).unwrap();
    out.write(&capture.next_packet().unwrap());
    drop(out);
    say("dumped", digest(std::fs::read(&name).unwrap()));
    let other = Capture::dead(Linktype(113)).unwrap();
    say(
        "another link type",
        other
            .savefile_append(&name)
            .err()
            .map(|e| e.to_string().replace(name.to_str().unwrap(), "")),
    );
    std::fs::write(&name, "not a savefile at all, is it?").unwrap();
    say(
        "rubbish",
        other
            .savefile_append(&name)
            .err()
            .map(|e| e.to_string().replace(name.to_str().unwrap(), "")),
    );
    say(
        "nowhere",
        (other.savefile("/nonexistent/x").err(), Capture::from_file("/nonexistent/x").err()),
    );
    std::fs::remove_file(&name).unwrap();
}

fn inactive(device: &str) -> Capture<Inactive> {
    Capture::from_device(device).unwrap().timeout(20).snaplen(200).promisc(true)
}

fn frame(number: u8, size: usize) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5".to_vec();
    frame.resize(size, number);
    frame
}

/// The lengths of what comes, until there are `count` or time is up.
fn arrivals(capture: &mut Capture<Active>, count: usize, patience: Duration) -> Vec<(u32, u32)> {
    let end = Instant::now() + patience;
    let mut got = Vec::new();
    while got.len() < count && Instant::now() < end {
        match capture.next_packet() {
            Ok(packet) => got.push((packet.header.caplen, packet.header.len)),
            Err(Error::TimeoutExpired) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => {
                say("arrivals", error);
                break;
            }
        }
    }
    got
}

const PATIENCE: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(200);

fn live(near: &str, far: &str) {
    let mut sender = inactive(far).open().unwrap();
    for precision in [Precision::Micro, Precision::Nano] {
        for immediate in [false, true] {
            let capture =
                inactive(near).precision(precision).immediate_mode(immediate).buffer_size(1 << 20);
            let mut capture = capture.open().unwrap().setnonblock().unwrap();
            say("links", (capture.get_datalink(), capture.list_datalinks(), capture.is_nonblock()));
            for number in 0..5 {
                say("send", sender.sendpacket(frame(number, 60 + 100 * usize::from(number))));
            }
            say("got", arrivals(&mut capture, 5, PATIENCE));
            say("stats", capture.stats());
            say(
                "filter",
                (capture.filter("ether[14] = 3", true), capture.filter("ether[14", true)),
            );
            for number in 0..5 {
                sender.sendpacket(frame(number, 60)).unwrap();
            }
            say(
                "filtered",
                (arrivals(&mut capture, 1, PATIENCE), arrivals(&mut capture, 1, MOMENT)),
            );
            say("stats", capture.stats());
            say(
                "sets",
                (
                    capture.set_datalink(Linktype(143)),
                    capture.get_datalink(),
                    capture.set_datalink(Linktype(9)),
                ),
            );
        }
    }
    let mut capture = inactive(near).immediate_mode(true).open().unwrap().setnonblock().unwrap();
    for direction in [Direction::In, Direction::Out, Direction::InOut] {
        say("direction", capture.direction(direction));
        sender.sendpacket(frame(1, 60)).unwrap();
        capture.sendpacket(frame(2, 70)).unwrap();
        let mut got = arrivals(&mut capture, 2, MOMENT);
        got.sort_unstable();
        say("got", got);
    }
    say(
        "too short, too long",
        (sender.sendpacket(frame(0, 1)), sender.sendpacket(frame(0, 70_000))),
    );
    let capture = Capture::from_device(near).unwrap().immediate_mode(true).timeout(20);
    say(
        "empty",
        capture
            .open()
            .unwrap()
            .sendpacket(&b""[..])
            .err()
            .map(|e| e.to_string().contains("must be positive")),
    );
}

fn failures(near: &str) {
    for device in [near, "lo", "no such device", "", "a name that is much too long"] {
        say(device, Capture::from_device(device).map(|c| c.open().map(|c| c.get_datalink())));
        say(device, Capture::from_device(device).map(|c| c.rfmon(true).open().err()));
    }
    for kind in [
        TimestampType::Host,
        TimestampType::HostLowPrec,
        TimestampType::HostHighPrec,
        TimestampType::Adapter,
        TimestampType::AdapterUnsynced,
    ] {
        say(
            "time stamps",
            Capture::from_device(near).unwrap().tstamp_type(kind).open().map(|_| ()),
        );
    }
    say(
        "any",
        Capture::from_device("any").unwrap().open().map(|c| (c.get_datalink(), c.list_datalinks())),
    );
}

/// A thread ends a wait that nothing else ends.
fn breaking(near: &str) {
    for immediate in [false, true] {
        let mut capture = inactive(near).immediate_mode(immediate).open().unwrap();
        for round in 0..3 {
            let handle = capture.breakloop_handle();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(MOMENT);
                handle.breakloop();
            });
            let outcome = match round {
                0 => capture.for_each(None, |_| ()).err(),
                1 => capture.dispatch(None, |_| ()).err(),
                _ => capture.next_packet().err(),
            };
            say("broken", (immediate, round, outcome));
            thread.join().unwrap();
        }
    }
    let mut capture = inactive(near).open().unwrap();
    let handle = capture.breakloop_handle();
    drop(capture.filter("ip", true));
    drop(capture);
    handle.breakloop();
    println!("breakloop after the end");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&arguments[1]).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let (near, far) = (&arguments[2], &arguments[3]);
    tables();
    paths.iter().for_each(|path| savefile(path));
    let mixed = paths.iter().find(|p| p.ends_with("mixed.pcap")).unwrap();
    filters(mixed);
    dump(mixed);
    live(near, far);
    failures(near);
    breaking(near);
}
