//! Which packets come, whole, in order and counted.

use crate::capture::{METHODS, Packet, config, open, packets, to_port};
use crate::netns::{NUMBER, Sender, in_namespace, udp, veth};
use crate::{PATIENCE, Tap, numbers};
use pcap::capture::Direction;
use pcap::capture::linux::Method;
use pcap::linktype::Dlt;
use pcap::timestamp::Precision;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
                let ns = |p: &Packet| p.ts.sec * 1_000_000_000 + p.ts.frac * unit;
                let before = i64::try_from(before.as_nanos()).unwrap() / unit * unit;
                let first = ns(&got[0]) - before;
                assert!((0..5_000_000_000).contains(&first), "{method:?} {precision:?}: {first}");
                let stats = live.stats().unwrap();
                assert_eq!((stats.received, stats.dropped, stats.if_dropped), (500, 0, 0));
            }
        }
    });
}

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
                frame[NUMBER].copy_from_slice(&n.to_be_bytes());
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
