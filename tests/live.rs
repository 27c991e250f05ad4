//! Live capture in network namespaces that these tests make. Without root they skip, loudly.

#[path = "live/capture.rs"]
mod capture;
#[path = "live/netns.rs"]
mod netns;

use capture::{METHODS, config, half_word_is, open, packets, to_port};
use netns::{Sender, in_namespace, number, run, tagged, udp, veth};
use pcap::capture::linux::Method;
use pcap::capture::{Backend, Direction, Fill, FilterMode};
use pcap::linktype::Dlt;
use pcap::timestamp::Precision;
use std::os::fd::RawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(10);

fn numbers(packets: &[capture::Packet]) -> Vec<u32> {
    packets.iter().map(|p| number(&p.bytes)).collect()
}

#[test]
fn counts_contents_and_times() {
    in_namespace("counts", || {
        veth("va", "vb");
        // As long as one socket of the machine wants them, all packets are stamped on arrival,
        // else when a ring takes them: a change in between would make time run backwards.
        let stamped = pcap::sys::packet::PacketSocket::new(false).unwrap();
        stamped.set_timestamp_ns().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        for method in METHODS {
            for precision in [Precision::Micro, Precision::Nano] {
                let wanted = config("va").tap(|c| {
                    c.precision = precision;
                    c.snaplen = 2000;
                });
                let mut live = open(&wanted, method);
                let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let sender = Sender::on("vb");
                let frames: Vec<_> = (0..500).map(|n| udp(n, 53, n as usize)).collect();
                frames.iter().for_each(|frame| sender.send(frame));
                let got = packets(&mut *live, 500, PATIENCE).unwrap();
                let bytes: Vec<_> = got.iter().map(|p| p.bytes.clone()).collect();
                assert!(bytes == frames, "{method:?}: {} packets", bytes.len());
                assert!(got.iter().all(|p| p.len as usize == p.bytes.len()));
                assert!(got.is_sorted_by_key(|p| p.ts), "{method:?}");
                let unit = if precision == Precision::Nano { 1 } else { 1000 };
                let ns = |p: &capture::Packet| p.ts.sec * 1_000_000_000 + p.ts.frac * unit;
                let before = i64::try_from(before.as_nanos()).unwrap() / unit * unit;
                let first = ns(&got[0]) - before;
                assert!((0..5_000_000_000).contains(&first), "{method:?} {precision:?}: {first}");
                let stats = live.stats().unwrap();
                assert_eq!((stats.received, stats.dropped, stats.if_dropped), (500, 0, 0));
            }
        }
    });
}

/// A change to a value, as an expression.
trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for pcap::capture::Config {}

#[test]
fn snapshot_length() {
    in_namespace("snaplen", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.snaplen = 60), method);
            for filter in [false, true] {
                if filter {
                    live.set_filter(&to_port(53)).unwrap();
                }
                Sender::on("vb").send(&udp(7, 53, 400));
                let got = packets(&mut *live, 1, PATIENCE).unwrap();
                assert_eq!((got[0].bytes.len(), got[0].len), (60, 446), "{method:?}");
                assert_eq!(got[0].bytes, udp(7, 53, 400)[..60]);
            }
            assert_eq!(live.snaplen(), 60);
        }
    });
}

#[test]
fn filter_in_the_kernel() {
    in_namespace("filter", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va"), method);
            live.set_filter(&to_port(8888)).unwrap();
            assert_eq!(live.filter_placement().mode, FilterMode::KernelClassic);
            let sender = Sender::on("vb");
            for n in 0..100 {
                sender.send(&udp(n, 8880 + (n % 10) as u16, 10));
            }
            let got = packets(&mut *live, 10, PATIENCE).unwrap();
            let expected: Vec<_> = (0..100).filter(|n| n % 10 == 8).collect();
            assert_eq!(numbers(&got), expected, "{method:?}");
            // The kernel counts what passed: it is the kernel that filtered.
            assert_eq!(live.stats().unwrap().received, 10, "{method:?}");
        }
    });
}

/// Frames that only the filter before last accepts never come after a filter was set, while
/// another thread sends as fast as it can.
#[test]
fn no_stale_packet_after_a_filter_change() {
    in_namespace("stale", || {
        veth("va", "vb");
        for method in METHODS {
            let buffer = 4 << 20;
            let mut live = open(&config("va").tap(|c| c.buffer_size = buffer), method);
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let sender = Sender::on("vb");
                    let frames = [udp(0, 1000, 30), udp(0, 1001, 30)];
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        frames.iter().for_each(|frame| sender.send(frame));
                    }
                });
                let mut seen = 0;
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    for round in 0..60 {
                        let port = 1000 + (round % 2) as u16;
                        live.set_filter(&to_port(port)).unwrap();
                        seen += read_only(&mut *live, port, Duration::from_millis(8));
                    }
                }));
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                result.unwrap();
                assert!(seen > 1000, "{method:?}: {seen} packets");
            });
        }
    });
}

/// Reads for a while; every packet must be to `port`. How many there were.
fn read_only(live: &mut dyn Backend, port: u16, time: Duration) -> usize {
    let (end, mut seen) = (Instant::now() + time, 0);
    live.set_nonblock(true).unwrap();
    while Instant::now() < end {
        if live.fill().unwrap() != Fill::Ready {
            std::thread::sleep(Duration::from_micros(200));
        }
        // Not all of it, so that some wait when the filter changes.
        for _ in 0..200 {
            let Some(packet) = live.next_packet() else { break };
            // SAFETY: valid until the next call on the capture.
            let bytes = unsafe { std::slice::from_raw_parts(packet.data, 60) };
            assert_eq!(u16::from_be_bytes([bytes[36], bytes[37]]), port, "a stale packet");
            seen += 1;
        }
    }
    seen
}

/// A small snapshot length must not make the first packets after a change vanish.
#[test]
fn truncated_packets_survive_a_filter_change() {
    in_namespace("truncated", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.snaplen = 20), method);
            live.set_filter(&to_port(53)).unwrap();
            std::thread::sleep(Duration::from_millis(60));
            let sender = Sender::on("vb");
            (0..20).for_each(|n| sender.send(&udp(n, 53, 0)));
            let got = packets(&mut *live, 20, Duration::from_secs(2)).unwrap();
            assert_eq!(got.len(), 20, "{method:?}");
        }
    });
}

/// The hardware type in a cooked header is not there for a kernel's filter to load.
#[test]
fn filter_that_the_kernel_cannot_run_runs_here() {
    use pcap::bpf::{Insn, Program};
    in_namespace("userland", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("any").tap(|c| c.snaplen = 2000), method);
            live.set_direction(Direction::In).unwrap();
            // Ethernet, VLAN tag 5 as auxiliary data, UDP to port 53.
            let program = [
                Insn::stmt(0x28, 2),
                Insn::jump(0x15, 1, 0, 5),
                Insn::stmt(0x20, 0xffff_f02c),
                Insn::jump(0x15, 5, 0, 3),
                Insn::stmt(0x28, 38),
                Insn::jump(0x15, 53, 0, 1),
                Insn::stmt(0x06, 262_144),
                Insn::stmt(0x06, 0),
            ];
            live.set_filter(&Program::from_insns(program)).unwrap();
            assert_eq!(live.filter_placement().mode, FilterMode::Userland, "{method:?}");
            for sender in [Sender::on("vb"), Sender::on("lo")] {
                for n in 0..20 {
                    let frame = udp(n, 53 + (n % 2) as u16, 0);
                    sender.send(&tagged(&frame, 0x8100, 4 + (n % 4 / 2) as u16));
                }
            }
            let got = packets(&mut *live, 6, Duration::from_millis(300)).unwrap();
            let numbers: Vec<_> = got.iter().map(|p| number(&p.bytes[6..])).collect();
            assert_eq!(numbers, [2, 6, 10, 14, 18], "{method:?}");
            assert_eq!(got[0].bytes[14..20], [0x81, 0, 0, 5, 8, 0]);
        }
    });
}

#[test]
fn direction() {
    in_namespace("direction", || {
        veth("va", "vb");
        for method in METHODS {
            for direction in [Direction::InOut, Direction::In, Direction::Out] {
                let mut live = open(&config("va"), method);
                live.set_direction(direction).unwrap();
                Sender::on("va").send(&udp(1, 53, 0));
                Sender::on("vb").send(&udp(2, 53, 0));
                std::thread::sleep(Duration::from_millis(20));
                let expected: &[u32] = match direction {
                    Direction::InOut => &[1, 2],
                    Direction::In => &[2],
                    Direction::Out => &[1],
                };
                let got = packets(&mut *live, 2, Duration::from_millis(300)).unwrap();
                assert_eq!(numbers(&got), expected, "{method:?} {direction:?}");
            }
        }
    });
}

#[test]
fn loopback_shows_a_packet_once() {
    in_namespace("loopback", || {
        for method in METHODS {
            let mut live = open(&config("lo"), method);
            assert_eq!((live.linktype(), live.linktypes()), (Dlt::EN10MB, &[Dlt::EN10MB][..]));
            Sender::on("lo").send(&udp(1, 53, 0));
            let got = packets(&mut *live, 2, Duration::from_millis(200)).unwrap();
            assert_eq!(numbers(&got), [1], "{method:?}");
        }
    });
}

#[test]
fn vlan_tags_are_put_back() {
    in_namespace("vlan", || {
        veth("va", "vb");
        for method in METHODS {
            for (tpid, tci) in [(0x8100, 5), (0x88a8, 0x6005), (0x8100, 0)] {
                let mut live = open(&config("va"), method);
                assert!(live.live_target().vlan_aux);
                let frame = tagged(&udp(9, 53, 20), tpid, tci);
                Sender::on("vb").send(&frame);
                let got = packets(&mut *live, 1, PATIENCE).unwrap();
                assert_eq!(got[0].bytes, frame, "{method:?} {tpid:x} {tci:x}");
                assert_eq!(got[0].len as usize, frame.len());
            }
        }
    });
}

#[test]
fn vlan_filter_sees_tags_that_were_taken_off() {
    use pcap::bpf::{Insn, Program};
    in_namespace("vlanfilter", || {
        veth("va", "vb");
        // `vlan 5` as compiled for a kernel that strips tags: ld [vlan_tag]; and 0xfff; == 5.
        let in_aux = [
            Insn::stmt(0x20, 0xffff_f02c),
            Insn::stmt(0x54, 0xfff),
            Insn::jump(0x15, 5, 0, 1),
            Insn::stmt(0x06, 262_144),
            Insn::stmt(0x06, 0),
        ];
        for method in METHODS {
            {
                let mut live = open(&config("va"), method);
                live.set_filter(&Program::from_insns(in_aux)).unwrap();
                let sender = Sender::on("vb");
                sender.send(&udp(1, 53, 0));
                sender.send(&tagged(&udp(2, 53, 0), 0x8100, 4));
                sender.send(&tagged(&udp(3, 53, 0), 0x8100, 5));
                sender.send(&udp(4, 53, 0));
                let got = packets(&mut *live, 2, Duration::from_millis(300)).unwrap();
                assert_eq!(got.len(), 1, "{method:?}");
                assert_eq!(got[0].bytes, tagged(&udp(3, 53, 0), 0x8100, 5), "{method:?}");
            }
        }
    });
}

#[test]
fn any_with_cooked_headers() {
    in_namespace("any", || {
        veth("va", "vb");
        for method in METHODS {
            for linktype in [Dlt::LINUX_SLL, Dlt::LINUX_SLL2] {
                let mut live = open(&config("any"), method);
                assert_eq!(live.linktype(), Dlt::LINUX_SLL);
                assert_eq!(live.linktypes(), [Dlt::LINUX_SLL, Dlt::LINUX_SLL2]);
                live.set_linktype(linktype).unwrap();
                let header = if linktype == Dlt::LINUX_SLL { 16 } else { 20 };
                // The port, behind the cooked header instead of Ethernet's.
                live.set_filter(&half_word_is(header + 22, 53)).unwrap();
                assert_eq!(live.filter_placement().mode, FilterMode::KernelClassic);
                let frame = udp(1, 53, 5);
                Sender::on("vb").send(&udp(0, 54, 5));
                Sender::on("vb").send(&frame);
                let got = packets(&mut *live, 2, PATIENCE).unwrap();
                assert_eq!(got.len(), 2, "{method:?}");
                let index = |name: &str| {
                    let path = format!("/sys/class/net/{name}/ifindex");
                    std::fs::read_to_string(path).unwrap().trim().parse::<u32>().unwrap()
                };
                // Sent by b, then received by a, for another host.
                for (packet, (pkttype, name)) in got.iter().zip([(4u8, "vb"), (3, "va")]) {
                    let (head, rest) = packet.bytes.split_at(header as usize);
                    assert_eq!(rest, &frame[14..], "{method:?} {linktype:?}");
                    assert_eq!(packet.len as usize, packet.bytes.len());
                    let mut expected = vec![];
                    if linktype == Dlt::LINUX_SLL {
                        expected.extend([0, pkttype, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]);
                    } else {
                        expected.extend([8, 0, 0, 0]);
                        expected.extend(index(name).to_be_bytes());
                        expected.extend([0, 1, pkttype, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
                    }
                    assert_eq!(head[..head.len() - 2], expected[..expected.len() - 2]);
                }
            }
        }
    });
}

#[test]
fn cooked_vlan_tag_goes_in_front_of_the_protocol() {
    in_namespace("sllvlan", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("any"), method);
            live.set_direction(Direction::In).unwrap();
            Sender::on("vb").send(&tagged(&udp(1, 53, 5), 0x8100, 7));
            let got = packets(&mut *live, 1, PATIENCE).unwrap();
            assert_eq!(got[0].bytes[14..20], [0x81, 0, 0, 7, 8, 0], "{method:?}");
            assert_eq!(got[0].bytes[20..], udp(1, 53, 5)[14..], "{method:?}");
        }
    });
}

#[test]
fn tunnels_have_no_link_layer_header() {
    in_namespace("tun", || {
        run("ip tuntap add dev t0 mode tun");
        run("ip link set t0 up");
        let live = open(&config("t0"), Method::Auto);
        assert_eq!((live.linktype(), live.linktypes()), (Dlt::RAW, &[Dlt::RAW][..]));
    });
}

fn epoll_wait(fd: RawFd, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}

/// With a selectable descriptor in epoll, every packet is announced, and an empty source is not.
#[test]
fn nonblocking_with_epoll() {
    in_namespace("epoll", || {
        veth("va", "vb");
        for (method, immediate) in
            [(Method::V3, false), (Method::V2, true), (Method::Receive, true)]
        {
            let mut live = open(
                &config("va").tap(|c| {
                    c.nonblock = true;
                    c.immediate = immediate;
                }),
                method,
            );
            assert!(live.nonblock().unwrap());
            let fd = live.selectable_fd();
            // SAFETY: plain system calls on descriptors of this test.
            let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
            // SAFETY: as above.
            let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
            assert_eq!(added, 0);
            let mut wait = |ms: i32| {
                // SAFETY: as above; room for one event.
                unsafe { libc::epoll_wait(epoll, &raw mut event, 1, ms) }
            };
            assert_eq!((live.fill().unwrap(), wait(0)), (Fill::Empty, 0), "{method:?}");
            let sender = Sender::on("vb");
            for n in 0..20 {
                sender.send(&udp(n, 53, 0));
                assert_eq!(wait(2000), 1, "{method:?}: packet {n} was not announced");
                assert_eq!(live.fill().unwrap(), Fill::Ready);
                let mut packet = live.next_packet().unwrap();
                live.detach(&mut packet);
                // Taken out of the ring: nothing is announced, and the packet is still there.
                assert_eq!(wait(0), 0, "{method:?}");
                // SAFETY: valid until the next read.
                let bytes = unsafe { std::slice::from_raw_parts(packet.data, 46) };
                assert_eq!(number(bytes), n);
                assert!(live.next_packet().is_none());
                assert_eq!(live.fill().unwrap(), Fill::Empty);
            }
            // SAFETY: this test's descriptor.
            unsafe { libc::close(epoll) };
        }
    });
}

#[test]
fn released_packets_are_not_announced_again() {
    in_namespace("release", || {
        veth("va", "vb");
        for method in [Method::V3, Method::V2] {
            let mut live = open(&config("va"), method);
            Sender::on("vb").send(&udp(1, 53, 0));
            assert_eq!(live.fill().unwrap(), Fill::Ready);
            assert!(live.next_packet().is_some());
            assert!(epoll_wait(live.selectable_fd(), 0), "{method:?}: still in the ring");
            live.release();
            assert!(!epoll_wait(live.selectable_fd(), 0), "{method:?}");
        }
    });
}

#[test]
fn breakloop_from_a_thread() {
    in_namespace("break", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.timeout_ms = 0), method);
            let waker = live.waker();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                waker.wake();
            });
            assert_eq!(live.fill().unwrap(), Fill::Interrupted, "{method:?}");
            thread.join().unwrap();
            // Before the wait as well.
            live.waker().wake();
            assert_eq!(live.fill().unwrap(), Fill::Interrupted, "{method:?}");
        }
    });
}

static WAKER: std::sync::OnceLock<std::sync::Arc<dyn pcap::capture::Waker>> =
    std::sync::OnceLock::new();

extern "C" fn on_signal(_: libc::c_int) {
    if let Some(waker) = WAKER.get() {
        waker.wake();
    }
}

/// With SA_RESTART, so that it is the waker and not EINTR that ends the wait.
#[test]
fn breakloop_from_a_signal_handler() {
    in_namespace("signal", || {
        veth("va", "vb");
        let mut live = open(&config("va").tap(|c| c.timeout_ms = 0), Method::Auto);
        assert!(WAKER.set(live.waker()).is_ok());
        // SAFETY: a handler that only calls async-signal-safe code, for a signal nobody uses.
        let me = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()), 0);
            libc::pthread_self()
        };
        let thread = std::thread::spawn(move || {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(50));
                // SAFETY: the thread is alive: it joins this one.
                unsafe { libc::pthread_kill(me, libc::SIGUSR2) };
            }
        });
        for _ in 0..3 {
            assert_eq!(live.fill().unwrap(), Fill::Interrupted);
        }
        thread.join().unwrap();
    });
}

/// A packet that is alone is delivered when the timeout is over, not when a block is full.
#[test]
fn lone_packet_comes_within_the_timeout() {
    in_namespace("timeout", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.timeout_ms = 100), method);
            let sender = Sender::on("vb");
            for n in 0..3 {
                let sent = Instant::now();
                sender.send(&udp(n, 53, 0));
                while live.fill().unwrap() != Fill::Ready {
                    assert!(sent.elapsed() < Duration::from_secs(5), "{method:?}");
                }
                assert!(live.next_packet().is_some());
                // Generous: a busy machine is no failure, a lost timer is.
                assert!(sent.elapsed() < Duration::from_secs(2), "{method:?}");
            }
        }
    });
}

/// Programs that take 0 for the end would end where libpcap waits on.
#[test]
fn the_timeout_ends_no_wait_without_packets() {
    in_namespace("idle", || {
        veth("va", "vb");
        for method in METHODS {
            for immediate in [false, true] {
                let wanted = config("va").tap(|c| {
                    c.timeout_ms = 10;
                    c.immediate = immediate;
                });
                let mut live = open(&wanted, method);
                let waker = live.waker();
                let thread = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(100));
                    waker.wake();
                });
                assert_eq!(live.fill().unwrap(), Fill::Interrupted, "{method:?}");
                thread.join().unwrap();
            }
        }
        // A negative timeout is nonblocking mode.
        let mut live = open(&config("va").tap(|c| c.timeout_ms = -1), Method::V3);
        assert!(live.nonblock().unwrap());
        assert_eq!(live.fill().unwrap(), Fill::Empty);
    });
}

#[test]
fn immediate_mode_delivers_at_once() {
    in_namespace("immediate", || {
        veth("va", "vb");
        let wanted = config("va").tap(|c| {
            c.immediate = true;
            c.timeout_ms = 0;
        });
        let mut live = open(&wanted, Method::Auto);
        let sender = Sender::on("vb");
        for n in 0..10 {
            sender.send(&udp(n, 53, 0));
            assert_eq!(live.fill().unwrap(), Fill::Ready);
            assert!(live.next_packet().is_some());
        }
    });
}

fn cpu_time() -> Duration {
    // SAFETY: all zero bytes are a valid rusage, and it is writable.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        time(usage.ru_utime) + time(usage.ru_stime)
    }
}

#[test]
fn removed_interface_is_an_error() {
    in_namespace("removed", || {
        for method in METHODS {
            for (timeout_ms, nonblock, down_first) in
                [(0, false, false), (20, false, true), (0, true, false)]
            {
                veth("va", "vb");
                let wanted = config("va").tap(|c| {
                    c.timeout_ms = timeout_ms;
                    c.nonblock = nonblock;
                });
                let mut live = open(&wanted, method);
                let before = cpu_time();
                let (error, fills) = std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_millis(100));
                        if down_first {
                            run("ip link set va down");
                            std::thread::sleep(Duration::from_millis(150));
                        }
                        run("ip link del va");
                    });
                    until_error(&mut *live, nonblock)
                });
                assert_eq!(
                    (error.status, error.message.as_str()),
                    (-1, "The interface disappeared")
                );
                // No spin: well below the time of a processor.
                assert!(cpu_time() - before < Duration::from_millis(100), "{method:?} {fills}");
            }
        }
    });
}

fn until_error(live: &mut dyn Backend, nonblock: bool) -> (pcap::capture::CaptureError, usize) {
    let end = Instant::now() + PATIENCE;
    for fills in 0.. {
        match live.fill() {
            Err(error) => return (error, fills),
            Ok(Fill::Ready) => while live.next_packet().is_some() {},
            Ok(_) if nonblock => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => {}
        }
        assert!(Instant::now() < end, "no error came");
    }
    unreachable!()
}

/// An interface that goes down and comes up again is no error: capture goes on.
#[test]
fn interface_may_go_down_and_up() {
    in_namespace("updown", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.timeout_ms = 50), method);
            run("ip link set va down");
            let before = cpu_time();
            let _ = packets(&mut *live, 1, Duration::from_millis(200)).unwrap();
            assert!(cpu_time() - before < Duration::from_millis(150));
            run("ip link set va up");
            std::thread::sleep(Duration::from_millis(50));
            Sender::on("vb").send(&udp(77, 53, 0));
            let got = packets(&mut *live, 1, PATIENCE).unwrap();
            assert_eq!(numbers(&got), [77], "{method:?}");
        }
    });
}

#[test]
fn activation_errors() {
    in_namespace("errors", || {
        veth("va", "vb");
        let error = |config: &pcap::capture::Config| {
            pcap::capture::open(config).err().map(|e| (e.status, e.message))
        };
        assert_eq!(error(&config("nosuch")), Some((-5, String::new())));
        assert_eq!(error(&config("")), Some((-5, String::new())));
        assert_eq!(error(&config("va").tap(|c| c.rfmon = true)), Some((-6, String::new())));
        run("ip link set va down");
        assert_eq!(error(&config("va")), Some((-9, String::new())));
        let any = pcap::capture::open(&config("any").tap(|c| c.promisc = true)).unwrap();
        let text = "Promiscuous mode not supported on the \"any\" device";
        assert_eq!((any.warning, any.message.as_str()), (2, text));
    });
}

#[test]
fn promiscuous_mode_ends_with_the_capture() {
    in_namespace("promisc", || {
        veth("va", "vb");
        let promiscuity = || {
            let out = std::process::Command::new("ip").args(["-d", "link", "show", "va"]).output();
            String::from_utf8(out.unwrap().stdout).unwrap().contains("promiscuity 1")
        };
        let live = open(&config("va").tap(|c| c.promisc = true), Method::Auto);
        assert!(promiscuity());
        drop(live);
        assert!(!promiscuity());
    });
}

#[test]
fn injected_frames_arrive() {
    in_namespace("inject", || {
        veth("va", "vb");
        let mut out = open(&config("vb"), Method::Auto);
        let mut live = open(&config("va"), Method::Auto);
        assert_eq!(out.inject(&udp(5, 53, 100)).unwrap(), 146);
        assert_eq!(numbers(&packets(&mut *live, 1, PATIENCE).unwrap()), [5]);
        let error = out.inject(&vec![0; 70_000]).unwrap_err();
        assert_eq!(error.message, "send: Message too long");
        let error = open(&config("any"), Method::Auto).inject(&[0; 60]).unwrap_err();
        assert_eq!(error.message, "Sending packets isn't supported on the \"any\" device");
    });
}

#[test]
fn protocol_restricts() {
    in_namespace("protocol", || {
        veth("va", "vb");
        let mut live = open(&config("va").tap(|c| c.protocol = 0x0806), Method::Auto);
        let mut arp = udp(1, 53, 20);
        arp[12..14].copy_from_slice(&[8, 6]);
        Sender::on("vb").send(&udp(0, 53, 0));
        Sender::on("vb").send(&arp);
        let got = packets(&mut *live, 2, Duration::from_millis(300)).unwrap();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].bytes, arp);
    });
}

/// 100,000 packets that come faster than they are read fit in a buffer of 64 MiB.
#[test]
fn nothing_is_lost_with_a_large_buffer() {
    const COUNT: u32 = 100_000;
    in_namespace("large", || {
        veth("va", "vb");
        for method in [Method::V3, Method::V2] {
            let wanted = config("va").tap(|c| {
                c.buffer_size = 64 << 20;
                c.snaplen = 256;
            });
            let mut live = open(&wanted, method);
            let sender = Sender::on("vb");
            let mut frame = udp(0, 53, 60);
            for n in 0..COUNT {
                frame[netns::NUMBER].copy_from_slice(&n.to_be_bytes());
                sender.send(&frame);
            }
            let got = packets(&mut *live, COUNT as usize, PATIENCE).unwrap();
            assert!(numbers(&got) == (0..COUNT).collect::<Vec<_>>(), "{method:?} {}", got.len());
            let stats = live.stats().unwrap();
            assert_eq!((stats.received, stats.dropped), (COUNT, 0), "{method:?}");
        }
    });
}

/// What does not fit is counted, and what came is in order.
#[test]
fn losses_are_counted() {
    in_namespace("losses", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.buffer_size = 65_536), method);
            let sender = Sender::on("vb");
            (0..20_000).for_each(|n| sender.send(&udp(n, 53, 60)));
            let got = packets(&mut *live, 20_000, Duration::from_millis(300)).unwrap();
            let stats = live.stats().unwrap();
            assert_eq!(stats.received, 20_000, "{method:?}");
            assert_eq!(stats.received - stats.dropped, got.len() as u32, "{method:?}");
            assert!(stats.dropped > 0 && numbers(&got).is_sorted(), "{method:?}");
        }
    });
}

/// Rules that log or queue UDP on the loopback device; `false` where iptables is missing.
fn rule(target: &str) -> bool {
    let rule = format!("-A OUTPUT -o lo -p udp --dport 9 -j {target}");
    let added = std::process::Command::new("iptables").args(rule.split(' ')).status();
    let added = added.is_ok_and(|status| status.success());
    if !added {
        eprintln!("SKIPPED: iptables cannot {target}");
    }
    added
}

#[test]
fn netfilter_log() {
    in_namespace("nflog", || {
        if !rule("NFLOG --nflog-group 5") {
            return;
        }
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for linktype in [Dlt(239), Dlt(228)] {
            let mut live = pcap::capture::open(&config("nflog:4,5")).unwrap().backend;
            assert_eq!((live.linktype(), live.linktypes()), (Dlt(239), &[Dlt(239), Dlt(228)][..]));
            live.set_linktype(linktype).unwrap();
            for text in ["one", "three"] {
                udp.send_to(text.as_bytes(), "127.0.0.1:9").unwrap();
            }
            let got = packets(&mut *live, 2, PATIENCE).unwrap();
            let ends: Vec<_> =
                got.iter().map(|p| p.bytes.windows(5).any(|w| w == b"three")).collect();
            assert_eq!(ends, [false, true], "{linktype:?}");
            if linktype == Dlt(228) {
                assert_eq!((got[1].bytes[0], got[1].bytes.len()), (0x45, 33));
            } else {
                assert_eq!(got[1].bytes[..4], [2, 0, 0, 5]);
            }
            assert_eq!(live.stats().unwrap().received, 2);
        }
    });
}

/// Queued packets are seen, and go on.
#[test]
fn netfilter_queue() {
    in_namespace("nfqueue", || {
        if !rule("NFQUEUE --queue-num 3") {
            return;
        }
        let receiver = std::net::UdpSocket::bind("127.0.0.1:9").unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut live = pcap::capture::open(&config("nfqueue:3")).unwrap().backend;
        assert_eq!(live.linktypes(), [Dlt(228)]);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..100u8 {
            udp.send_to(&[n; 9], "127.0.0.1:9").unwrap();
        }
        let got = packets(&mut *live, 100, PATIENCE).unwrap();
        assert_eq!(got.len(), 100);
        for n in 0..100u8 {
            let mut bytes = [0; 20];
            assert_eq!(receiver.recv(&mut bytes).unwrap(), 9);
            assert_eq!((bytes[0], got[usize::from(n)].bytes[28]), (n, n));
        }
    });
}

#[test]
fn netfilter_errors() {
    let error = |name: &str| pcap::capture::open(&config(name)).err().unwrap().message;
    assert_eq!(error("nflog:x"), "Can't get netfilter group(s) index from nflog:x");
    assert_eq!(error("nfqueue:70000"), "Netfilter group range from 0 to 65535 (got 70000)");
}
