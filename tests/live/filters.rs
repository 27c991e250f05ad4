//! Filters in the kernel and here, and what changing them does to packets on their way.

use crate::capture::{METHODS, config, open, packets, to_port};
use crate::netns::{Sender, in_namespace, number, tagged, udp, veth};
use crate::{PATIENCE, Tap, numbers};
use pcap::capture::linux::Method;
use pcap::capture::{Backend, Direction, Fill, FilterMode};
use std::time::{Duration, Instant};

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
