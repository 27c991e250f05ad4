//! Ports: names, receiving, sending, counters, many times over.

use super::setup::{TempFile, config, drain, opened, plugin_dir, refused, write_pcap};
use pcap::capture::{Direction, Fill, open};

/// Frames of many lengths, among them ones longer than a DPDK buffer.
fn frames() -> Vec<(u32, u32, Vec<u8>)> {
    (0..500u32)
        .map(|n| {
            let len = match n % 50 {
                49 => 9_000 + n,
                48 => 60_000,
                m => 60 + m * 29,
            };
            let bytes = (0..len).map(|i| (i * 7 + n) as u8).collect();
            (1_700_000_000 + n, (n * 1999) % 1_000_000, bytes)
        })
        .collect()
}

#[test]
fn net_pcap_gives_the_file() {
    if plugin_dir().is_none() {
        return;
    }
    let file = TempFile::new("file.pcap");
    let frames = frames();
    write_pcap(&file.0, &frames);
    let mut port = opened(&format!("dpdk:net_pcap0,rx_pcap={}", file.0.display()));
    let seen = drain(&mut *port);
    assert_eq!(seen.len(), frames.len());
    for ((sec, usec, bytes), (ns, len, got)) in frames.iter().zip(&seen) {
        assert_eq!(*ns, i64::from(*sec) * 1_000_000_000 + i64::from(*usec) * 1000);
        assert_eq!((*len as usize, got), (bytes.len(), bytes));
    }
    let stats = port.stats().unwrap();
    assert_eq!((stats.received, stats.dropped), (500, 0));
}

#[test]
fn snapshot_length_cuts() {
    if plugin_dir().is_none() {
        return;
    }
    let file = TempFile::new("snap.pcap");
    write_pcap(&file.0, &frames());
    let mut settings = config(&format!("dpdk:net_pcap9,rx_pcap={}", file.0.display()));
    settings.snaplen = 96;
    let mut port = open(&settings).unwrap().backend;
    let seen = drain(&mut *port);
    assert_eq!(seen.len(), 500);
    assert!(seen.iter().all(|(_, len, bytes)| bytes.len() == 96.min(*len as usize)));
}

/// Every frame carries its number; the ring gives back what was sent, in order.
#[test]
fn net_ring_loses_and_changes_nothing() {
    if plugin_dir().is_none() {
        return;
    }
    let all = !cfg!(debug_assertions) || std::env::var_os("CI").is_some();
    let count: u64 = if all { 10_000_000 } else { 1_000_000 };
    let mut settings = config("dpdk:net_ring0");
    settings.nonblock = true;
    let mut port = open(&settings).unwrap().backend;
    let (mut sent, mut received) = (0u64, 0u64);
    let mut frame = [0u8; 64];
    while received < count {
        while sent < count && sent - received < 256 {
            frame[14..22].copy_from_slice(&sent.to_be_bytes());
            frame[22..30].copy_from_slice(&(!sent).to_be_bytes());
            assert_eq!(port.inject(&frame).unwrap(), frame.len());
            sent += 1;
        }
        assert_eq!(port.fill().unwrap(), Fill::Ready, "{received} of {sent} came back");
        while let Some(packet) = port.next_packet() {
            assert_eq!(packet.header.len, 64);
            // SAFETY: valid until the next read.
            let bytes = unsafe { std::slice::from_raw_parts(packet.data, 64) };
            assert_eq!(bytes[14..22], received.to_be_bytes());
            assert_eq!(bytes[22..30], (!received).to_be_bytes());
            received += 1;
        }
    }
    assert_eq!(port.fill().unwrap(), Fill::Empty);
    assert_eq!(u64::from(port.stats().unwrap().received), count);
}

#[test]
fn long_frames_are_sent_whole() {
    if plugin_dir().is_none() {
        return;
    }
    let mut port = opened("dpdk:net_ring7");
    let frame: Vec<u8> = (0..20_000u32).map(|i| (i * 31) as u8).collect();
    assert_eq!(port.inject(&frame).unwrap(), frame.len());
    let seen = drain(&mut *port);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].2 == frame);
    assert!(port.inject(&[]).is_err());
    assert!(port.inject(&vec![0; 70_000]).is_err());
}

#[test]
fn several_ports_and_open_ones_are_refused() {
    if plugin_dir().is_none() {
        return;
    }
    let mut first = opened("dpdk:net_null1,size=60");
    let mut second = opened("dpdk:net_null2,size=1400");
    for (port, len) in [(&mut first, 60), (&mut second, 1400)] {
        assert_eq!(port.fill().unwrap(), Fill::Ready);
        assert_eq!(port.next_packet().unwrap().header.len, len);
    }
    let error = refused("dpdk:net_null1");
    assert!(error.message.contains("already open"), "{error}");
    drop(first);
    opened("dpdk:net_null1,size=61");
}

#[test]
fn opened_and_closed_two_hundred_times() {
    if plugin_dir().is_none() {
        return;
    }
    let file = TempFile::new("reopened.pcap");
    write_pcap(&file.0, &frames()[..100]);
    for _ in 0..200 {
        let mut port = opened(&format!("dpdk:net_pcap5,rx_pcap={}", file.0.display()));
        assert_eq!(port.fill().unwrap(), Fill::Ready);
        // Closed with packets still lent and more to come.
        assert!(port.next_packet().is_some());
    }
}

/// DPDK's lists of devices are not locked by DPDK.
#[test]
fn opened_and_closed_by_many_threads() {
    if plugin_dir().is_none() {
        return;
    }
    std::thread::scope(|scope| {
        for n in 20..26 {
            scope.spawn(move || {
                for round in 0..50 {
                    let kind = if (n + round) % 2 == 0 { "null" } else { "ring" };
                    let mut port = opened(&format!("dpdk:net_{kind}{n}"));
                    port.inject(&[3; 60]).unwrap();
                    assert_eq!(port.fill().unwrap(), Fill::Ready);
                    assert!(port.next_packet().is_some());
                }
            });
        }
    });
}

#[test]
fn timeouts_and_nonblocking() {
    if plugin_dir().is_none() {
        return;
    }
    let mut port = opened("dpdk:net_ring3");
    let before = std::time::Instant::now();
    assert_eq!(port.fill().unwrap(), Fill::Empty);
    assert!(before.elapsed() >= std::time::Duration::from_millis(100));
    port.set_nonblock(true).unwrap();
    assert_eq!(port.fill().unwrap(), Fill::Empty);
    assert!(port.nonblock().unwrap());
    assert_eq!(port.selectable_fd(), -1);
    assert!(port.required_select_timeout().unwrap() > 0);
}

#[test]
fn a_wake_ends_an_endless_wait() {
    if plugin_dir().is_none() {
        return;
    }
    let mut settings = config("dpdk:net_ring4");
    settings.timeout_ms = 0;
    let mut port = open(&settings).unwrap().backend;
    let waker = port.waker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        waker.wake();
    });
    assert_eq!(port.fill().unwrap(), Fill::Interrupted);
    thread.join().unwrap();
}

#[test]
fn direction_out_shows_nothing() {
    if plugin_dir().is_none() {
        return;
    }
    let mut port = opened("dpdk:net_ring5");
    port.set_direction(Direction::Out).unwrap();
    port.inject(&[1; 60]).unwrap();
    assert!(drain(&mut *port).is_empty());
    port.set_direction(Direction::In).unwrap();
    port.inject(&[2; 60]).unwrap();
    assert_eq!(drain(&mut *port).len(), 1);
}

#[test]
fn read_from_many_threads() {
    if plugin_dir().is_none() {
        return;
    }
    // More threads, one after the other, than the EAL has ids for.
    let mut port = opened("dpdk:net_null8,size=64");
    for _ in 0..300 {
        port = std::thread::spawn(move || {
            assert_eq!(port.fill().unwrap(), Fill::Ready);
            port
        })
        .join()
        .unwrap();
    }
}
