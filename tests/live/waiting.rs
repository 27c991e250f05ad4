//! When a wait for packets ends: timeouts, descriptors, `breakloop`.

use crate::Tap;
use crate::capture::{METHODS, config, open};
use crate::netns::{Sender, in_namespace, number, udp, veth};
use pcap::capture::linux::Method;
use pcap::capture::{Backend, Fill, Waker};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

fn is_readable(fd: RawFd, timeout_ms: i32) -> bool {
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
            assert!(is_readable(live.selectable_fd(), 0), "{method:?}: still in the ring");
            live.release();
            assert!(!is_readable(live.selectable_fd(), 0), "{method:?}");
        }
    });
}

/// Interrupts, after a tenth of a second, a wait that nothing else ends.
fn interrupted_by_a_thread(live: &mut dyn Backend, method: Method) {
    let waker = live.waker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        waker.wake();
    });
    assert_eq!(live.fill().unwrap(), Fill::Interrupted, "{method:?}");
    thread.join().unwrap();
}

#[test]
fn breakloop_from_a_thread() {
    in_namespace("break", || {
        veth("va", "vb");
        for method in METHODS {
            let mut live = open(&config("va").tap(|c| c.timeout_ms = 0), method);
            interrupted_by_a_thread(&mut *live, method);
            // Before the wait as well.
            live.waker().wake();
            assert_eq!(live.fill().unwrap(), Fill::Interrupted, "{method:?}");
        }
    });
}

static WAKER: std::sync::OnceLock<std::sync::Arc<dyn Waker>> = std::sync::OnceLock::new();

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
                interrupted_by_a_thread(&mut *live, method);
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
