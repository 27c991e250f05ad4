//! The kernel's engines: a datagram socket pair whose receiving end has the filter.

use super::generate::{Generator, Rng};
use super::{listing, table};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use pcap::bpf::{self, Aux, Insn, Target, to_ebpf};
use pcap::sys::bpf as sys;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Two ends; what the second receives has passed its filter.
struct Wire(OwnedFd, OwnedFd);

impl Wire {
    fn new() -> Self {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_NONBLOCK)
                .expect("a socket pair");
        Self(a, b)
    }

    fn attach_classic(&self, insns: &[Insn]) -> std::io::Result<()> {
        let program: Vec<_> = insns
            .iter()
            .map(|&Insn { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k })
            .collect();
        sys::attach_classic(self.1.as_fd(), &program)
    }

    /// Bytes of the packet that the filter let through; `None` when it rejected.
    fn pass(&self, packet: &[u8]) -> Option<usize> {
        send(self.0.as_raw_fd(), packet, MsgFlags::empty()).expect("room for one packet");
        let mut buffer = [0; 256];
        match recv(self.1.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(len) => Some(len),
            Err(nix::Error::EAGAIN) => None,
            Err(e) => panic!("recv: {e}"),
        }
    }
}

/// What the receiving end must see, if the engines of this process are right.
fn expected(insns: &[Insn], packet: &[u8]) -> Option<usize> {
    match bpf::interpret(insns, packet, packet.len() as u32, &Aux::NONE) {
        0 => None,
        accepted => Some(packet.len().min(accepted as usize)),
    }
}

fn check(wire: &Wire, engine: &str, insns: &[Insn], packets: &[Vec<u8>]) {
    for packet in packets {
        let passed = wire.pass(packet);
        let expected = expected(insns, packet);
        assert_eq!(passed, expected, "{engine} on {packet:02x?}\n{}", listing(insns));
    }
}

fn load(insns: &[Insn]) -> std::io::Result<OwnedFd> {
    let bytes = |insns: Vec<bpf::EbpfInsn>| insns.iter().map(|i| i.to_bytes()).collect::<Vec<_>>();
    let ebpf = bytes(to_ebpf(insns, Target::Kernel).expect("random programs convert"));
    sys::load_socket_filter(&ebpf).inspect_err(|_| {
        let mut log = vec![0; 1 << 20];
        let _ = sys::load_socket_filter_with_log(&ebpf, &mut log);
        let text = String::from_utf8_lossy(&log);
        eprintln!("{}\n{}", listing(insns), text.trim_end_matches('\0'));
    })
}

/// Whether this process may load eBPF; says so when not.
fn may_load() -> bool {
    let accept = [Insn::stmt(0x06, 1)];
    let allowed = !matches!(load(&accept), Err(e) if e.raw_os_error() == Some(libc::EPERM));
    if !allowed {
        crate::skip::skip("this process may not load eBPF programs");
    }
    allowed
}

/// All rows, and random programs where the kernel's meaning is ours.
#[test]
fn classic() {
    let wire = Wire::new();
    let check_classic = |insns: &[Insn], packets: &[Vec<u8>]| {
        let known_to_agree = bpf::check_kernel(insns).is_ok();
        if known_to_agree {
            wire.attach_classic(insns).unwrap_or_else(|e| panic!("{e}\n{}", listing(insns)));
            check(&wire, "kernel classic", insns, packets);
        }
        known_to_agree
    };
    for row in table::rows() {
        check_classic(&row.program, &[table::PACKET.to_vec()]);
    }
    let mut compared = 0;
    for seed in 0..4000 {
        let mut rng = Rng::new(seed);
        let insns = Generator::new(&mut rng).program();
        let packets: Vec<_> = (0..8).map(|_| rng.packet().0).collect();
        compared += u32::from(check_classic(&insns, &packets));
    }
    assert!(compared > 500, "{compared}");
}

/// All rows and random programs, whatever they do.
#[test]
fn ebpf() {
    if !may_load() {
        return;
    }
    let wire = Wire::new();
    let check_ebpf = |insns: &[Insn], packets: &[Vec<u8>]| {
        let program = load(insns).expect("the verifier takes it");
        sys::attach_ebpf(wire.1.as_fd(), program.as_fd()).expect("attach");
        check(&wire, "kernel eBPF", insns, packets);
    };
    for row in table::rows() {
        check_ebpf(&row.program, &[table::PACKET.to_vec()]);
    }
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let insns = Generator::new(&mut rng).program();
        let packets: Vec<_> = (0..16).map(|_| rng.packet().0).collect();
        check_ebpf(&insns, &packets);
    }
}
