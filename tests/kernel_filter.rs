//! Filters too large for classic programs, on a live capture. Without root they are skipped, or fail in CI.

#[path = "live/capture.rs"]
#[allow(dead_code)]
mod capture;
#[path = "live/netns.rs"]
mod netns;

use capture::{config, open};
use netns::{Sender, in_namespace, veth};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use pcap::bpf::{Insn, Program};
use pcap::capture::linux::Method;
use pcap::capture::linux::kernel_filter::{self, Cooked};
use pcap::capture::{Backend, Fill, FilterMode};
use pcap::filter::{self, NoNames, Options};
use pcap::linktype::Dlt;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const HOSTS: usize = 10_000;
const PACKETS: u32 = 100_000;
/// Packets sent before the capture reads them.
const BATCH: u32 = 1000;

/// Numbers that look random (xorshift32).
struct Numbers(u32);

impl Iterator for Numbers {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Some(self.0)
    }
}

/// Hosts with gaps between them, so that they do not merge to nets.
fn hosts() -> HashSet<u32> {
    Numbers(1)
        .map(|n| 0x0a00_0000 | (n & 0x000f_ffff) << 1)
        .take(HOSTS * 3 / 2)
        .collect::<HashSet<_>>()
        .into_iter()
        .take(HOSTS)
        .collect()
}

fn program(hosts: &HashSet<u32>) -> Program {
    let terms: Vec<_> = hosts.iter().map(|&h| format!("host {}", Ipv4Addr::from(h))).collect();
    let options = Options::new(Dlt::EN10MB);
    let program = filter::compile(terms.join(" or ").as_bytes(), &options, &NoNames);
    let program = program.expect("a filter");
    assert!(program.len() > 4096, "{} instructions", program.len());
    program
}

fn frame(source: u32, destination: u32) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(source.to_be_bytes());
    frame.extend(destination.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// Sends packets of which some are wanted, and checks that the capture shows just these.
fn check_verdicts(live: &mut dyn Backend, hosts: &HashSet<u32>, count: u32) -> u32 {
    let sender = Sender::on("vb");
    let list: Vec<_> = hosts.iter().copied().collect();
    let mut numbers = Numbers(7);
    let mut address = || match numbers.next().unwrap_or(0) {
        n if n % 5 == 0 => list[n as usize / 5 % list.len()],
        n => 0x0a00_0000 | (n >> 8 & 0x001f_ffff),
    };
    live.set_nonblock(true).expect("nonblock");
    let mut wanted = 0;
    for _ in 0..count / BATCH {
        let frames: Vec<_> = (0..BATCH).map(|_| (address(), address())).collect();
        frames.iter().for_each(|&(source, destination)| sender.send(&frame(source, destination)));
        let expected: Vec<_> =
            frames.iter().filter(|(s, d)| hosts.contains(s) || hosts.contains(d)).collect();
        for &&(source, destination) in &expected {
            assert_eq!(next(live).expect("a packet"), frame(source, destination));
        }
        wanted += expected.len() as u32;
    }
    // One more that is wanted, so that whatever came wrongly before it would be seen.
    sender.send(&frame(list[0], list[1]));
    assert_eq!(next(live), Some(frame(list[0], list[1])));
    wanted + 1
}

fn next(live: &mut dyn Backend) -> Option<Vec<u8>> {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if let Some(packet) = live.next_packet() {
            // SAFETY: valid until the next call on the capture.
            let bytes =
                unsafe { std::slice::from_raw_parts(packet.data, packet.header.caplen as usize) };
            return Some(bytes.to_vec());
        }
        if !matches!(live.fill().expect("fill"), Fill::Ready) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    None
}

/// Takes the capabilities that loading eBPF needs from this thread.
fn drop_bpf_capabilities() {
    const SYS_ADMIN: u32 = 21;
    const BPF: u32 = 39;
    // linux/capability.h: version 3, this thread, two words of each set.
    let header = [0x2008_0522u32, 0];
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: header and sets are of the sizes that version 3 says.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    assert_eq!(got, 0);
    sets[0][0] &= !(1 << SYS_ADMIN);
    sets[1][0] &= !(1 << (BPF - 32));
    // SAFETY: as above; this changes the calling thread only.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0);
}

#[test]
fn ten_thousand_hosts_run_in_the_kernel() {
    in_namespace("hosts", || {
        veth("va", "vb");
        let hosts = hosts();
        let program = program(&hosts);
        let mut live = open(&config("va"), Method::V3);
        live.set_filter(&program).expect("set the filter");
        let placement = live.filter_placement();
        assert_eq!(placement.mode, FilterMode::KernelEbpf, "{placement}");
        let wanted = check_verdicts(&mut *live, &hosts, PACKETS);
        // The kernel counts what passed its filter: nothing else reached this process.
        let stats = live.stats().expect("stats");
        assert_eq!((stats.received, stats.dropped), (wanted, 0));
        assert!(wanted > PACKETS / 5 && wanted < PACKETS * 4 / 5, "{wanted}");
    });
}

#[test]
fn ten_thousand_hosts_without_the_right_to_load_ebpf() {
    in_namespace("hosts-userland", || {
        veth("va", "vb");
        let hosts = hosts();
        let program = program(&hosts);
        let mut live = open(&config("va"), Method::V3);
        drop_bpf_capabilities();
        live.set_filter(&program).expect("set the filter");
        let placement = live.filter_placement();
        assert_eq!(placement.mode, FilterMode::Userland, "{placement}");
        assert!(placement.reason.contains("may not load"), "{placement}");
        check_verdicts(&mut *live, &hosts, PACKETS / 5);
    });
}

/// A datagram socket pair; what the second end receives has passed its filter.
fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).expect("a socket pair")
}

fn passes(ends: &(OwnedFd, OwnedFd), packet: &[u8]) -> bool {
    send(ends.0.as_raw_fd(), packet, MsgFlags::empty()).expect("room for one packet");
    recv(ends.1.as_raw_fd(), &mut [0; 64], MsgFlags::empty()).is_ok()
}

/// Skips the test where `installed` shows that this process may not load eBPF.
fn may_load(installed: &kernel_filter::Installed) -> bool {
    let allowed = !installed.placement.reason.contains("may not load");
    if !allowed {
        netns::skip("this process may not load eBPF programs");
    }
    allowed
}

/// A program that is too large even as eBPF to be charged to a socket.
#[test]
fn programs_beyond_optmem_max() {
    let ends = pair();
    // byte 0 + 40,000 is 40,007?
    let mut insns = vec![Insn::stmt(0x30, 0)];
    insns.extend([Insn::stmt(0x04, 1); 40_000]);
    insns.extend([Insn::jump(0x15, 40_007, 0, 1), Insn::stmt(0x06, 64), Insn::stmt(0x06, 0)]);
    let program = Program::from_insns(insns);
    let install =
        || kernel_filter::install(ends.1.as_fd(), &program, Cooked::No, 64).expect("installed");
    let mut installed = install();
    if !may_load(&installed) {
        return;
    }
    for _ in 0..3 {
        assert_eq!(installed.placement.mode, FilterMode::KernelEbpf, "{}", installed.placement);
        assert_eq!([7, 8, 7].map(|byte| passes(&ends, &[byte; 20])), [true, false, true]);
        kernel_filter::reject_all(ends.1.as_fd()).expect("reject all");
        assert!(!passes(&ends, &[7; 20]));
        // The new one does not depend on the old one's program array, which goes here.
        installed = install();
    }
}

/// What no kernel form can do runs in userland, and the kernel accepts everything then.
#[test]
fn programs_that_stay_in_userland() {
    let ends = pair();
    let reject = Program::from_insns([Insn::stmt(0x06, 0)]);
    let looping = [
        Insn::stmt(0x04, 1),
        Insn::jump(0x35, 3, 1, 0),
        Insn::stmt(0x05, -3i32 as u32),
        Insn::stmt(0x06, 0),
    ];
    let hardware_type_beyond_classic = {
        let mut insns = vec![Insn::stmt(0x20, 0xffff_f01c)];
        insns.extend([Insn::stmt(0x04, 0); 5000]);
        insns.push(Insn::stmt(0x16, 0));
        insns
    };
    let unknown = [Insn::stmt(0x0a, 0), Insn::stmt(0x06, 0)];
    for insns in [&looping[..], &hardware_type_beyond_classic, &unknown] {
        let installed = kernel_filter::install(ends.1.as_fd(), &reject, Cooked::No, 64);
        let placement = installed.expect("installed").placement;
        assert_eq!(placement.mode, FilterMode::KernelClassic, "{placement}");
        assert!(!passes(&ends, &[1; 20]));
        let program = Program::from_insns(insns);
        let installed = kernel_filter::install(ends.1.as_fd(), &program, Cooked::No, 64);
        let installed = installed.expect("installed");
        assert!(installed.in_userland(), "{}", installed.placement);
        assert!(!installed.placement.reason.is_empty());
        assert!(passes(&ends, &[1; 20]));
    }
}

/// A program that the kernel's classic machine would run differently runs as eBPF, rightly.
#[test]
fn programs_that_mean_something_else_to_the_kernel() {
    let ends = pair();
    // x = packet[0..4]; accept if packet[x - 1] can be loaded: libpcap and we do not wrap.
    let insns = [
        Insn::stmt(0x20, 0),
        Insn::stmt(0x07, 0),
        Insn::stmt(0x50, u32::MAX),
        Insn::stmt(0x06, 64),
    ];
    let program = Program::from_insns(insns);
    let installed = kernel_filter::install(ends.1.as_fd(), &program, Cooked::No, 64);
    let installed = installed.expect("installed");
    assert_ne!(installed.placement.mode, FilterMode::KernelClassic);
    if may_load(&installed) {
        assert_eq!(installed.placement.mode, FilterMode::KernelEbpf, "{}", installed.placement);
        assert!(!passes(&ends, &[0, 0, 0, 2, 5, 5]));
    }
}
