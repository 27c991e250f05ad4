//! Interfaces that are missing, go down, or go away, and what a capture leaves on them.

use crate::capture::{METHODS, config, open, packets};
use crate::netns::{Sender, in_namespace, run, udp, veth};
use crate::{PATIENCE, Tap, numbers};
use pcap::capture::linux::Method;
use pcap::capture::{Backend, CaptureError, Config, Fill};
use std::time::{Duration, Instant};

#[test]
fn activation_errors() {
    in_namespace("errors", || {
        veth("va", "vb");
        let error =
            |config: &Config| pcap::capture::open(config).err().map(|e| (e.status, e.message));
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

fn until_error(live: &mut dyn Backend, nonblock: bool) -> (CaptureError, usize) {
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
