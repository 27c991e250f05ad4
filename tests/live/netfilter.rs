//! Packets that netfilter logs or queues.

use crate::PATIENCE;
use crate::capture::{config, packets};
use crate::netns::{in_namespace, skip};
use pcap::linktype::Dlt;

/// Rules that log or queue UDP on the loopback device; `false` where iptables is missing.
fn rule(target: &str) -> bool {
    let rule = format!("-A OUTPUT -o lo -p udp --dport 9 -j {target}");
    let added = std::process::Command::new("iptables").args(rule.split(' ')).status();
    let added = added.is_ok_and(|status| status.success());
    if !added {
        skip(format_args!("iptables cannot {target}"));
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
