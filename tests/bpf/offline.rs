//! `pcap_offline_filter` on programs that move, end at the end of memory, and are run by a signal
//! handler in between.

use super::generate::{Generator, Rng};
use pcap::bpf::{self, Aux, Insn};
use pcap::capi;
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Runs after which a program is compiled, and some.
const ENOUGH: usize = 28_000;

fn offline(insns: *const Insn, len: usize, packet: *const u8, caplen: usize) -> u32 {
    let program = capi::bpf_program { bf_len: len as u32, bf_insns: insns.cast_mut() };
    let (caplen, len) = (caplen as u32, caplen as u32);
    let header = capi::pcap_pkthdr { caplen, len, ..capi::pcap_pkthdr::ZERO };
    // SAFETY: the callers' program and packet live.
    unsafe { capi::pcap_offline_filter(&program, &header, packet) as u32 }
}

/// Memory whose end is the end of a page, with no memory behind it.
struct Edge {
    start: *mut u8,
    len: usize,
}

impl Edge {
    fn new(len: usize) -> Self {
        let (readable, none) = (libc::PROT_READ | libc::PROT_WRITE, libc::PROT_NONE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        assert_eq!(len % 4096, 0);
        // SAFETY: new pages, of which the last one is closed.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), len + 4096, readable, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.add(len), 4096, none), 0);
            Self { start: start.cast(), len }
        }
    }

    /// Puts something at the very end.
    fn put<T: Copy>(&self, what: &[T]) -> *const T {
        let size = size_of_val(what);
        assert!(size <= self.len);
        // SAFETY: within the pages; alignment is kept, since sizes are multiples of it.
        unsafe {
            let at = self.start.add(self.len - size).cast::<T>();
            at.copy_from_nonoverlapping(what.as_ptr(), what.len());
            at
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { libc::munmap(self.start.cast(), self.len + 4096) };
    }
}

/// Neither program nor packet is read beyond its end, compiled or not, whatever stood at the same
/// place before: longer programs, other ones of the same length, such that jump elsewhere.
#[test]
fn nothing_is_read_behind_program_and_packet() {
    let (program_edge, packet_edge) = (Edge::new(4096), Edge::new(4096));
    for seed in 0..12 {
        let mut rng = Rng::new(1000 + seed);
        let mut insns = Generator::new(&mut rng).program();
        for change in 0..4 {
            let at = program_edge.put(&insns);
            for run in 0..ENOUGH {
                let (packet, _) = rng.packet();
                let start = packet_edge.put(&packet);
                let verdict = offline(at, insns.len(), start, packet.len());
                if run % 16 == 0 || run + 100 > ENOUGH {
                    let wirelen = packet.len() as u32;
                    let expected = bpf::interpret(&insns, &packet, wirelen, &Aux::NONE);
                    assert_eq!(verdict, expected, "seed {seed}, {change}");
                }
            }
            match change {
                // Shorter: what stood in front of it is gone.
                0 => insns = insns.split_off(insns.len() / 2),
                1 => insns[0] = Insn::stmt(0x06, 5),
                _ => insns = vec![Insn::stmt(0x16, 0)],
            }
        }
    }
}

/// The same program at many places, each free again before the next one is made.
#[test]
fn programs_move_and_give_way_to_others() {
    let mut rng = Rng::new(5);
    for _ in 0..2000 {
        let insns = Generator::new(&mut rng).program();
        let (packet, _) = rng.packet();
        let expected = bpf::interpret(&insns, &packet, packet.len() as u32, &Aux::NONE);
        for _ in 0..40 {
            let copy = insns.clone();
            let verdict = offline(copy.as_ptr(), copy.len(), packet.as_ptr(), packet.len());
            assert_eq!(verdict, expected);
        }
    }
}

static HANDLED: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicBool = AtomicBool::new(false);

/// More programs than a thread's table has room for, so that it would have to give up others.
extern "C" fn run_others(_: c_int) {
    static PROGRAMS: [[Insn; 2]; 64] = [[Insn::stmt(0x04, 3), Insn::stmt(0x16, 0)]; 64];
    for program in &PROGRAMS {
        for _ in 0..4 {
            if offline(program.as_ptr(), program.len(), ptr::null(), 0) != 3 {
                WRONG.store(true, Ordering::Relaxed);
            }
        }
    }
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// A signal handler that runs filters, too, finds and leaves everything as it should be.
#[test]
fn signal_handlers_may_run_filters() {
    let insns = [Insn::stmt(0x30, 0), Insn::stmt(0x04, 1), Insn::stmt(0x16, 0)];
    // SAFETY: a handler that interrupts nothing but this thread, see below.
    unsafe {
        let handler: extern "C" fn(c_int) = run_others;
        libc::signal(libc::SIGUSR1, handler as libc::sighandler_t);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (known, thread) = std::sync::mpsc::channel();
        let stop = &stop;
        scope.spawn(move || {
            // SAFETY: this thread.
            known.send(unsafe { libc::pthread_self() }).expect("a receiver");
            let mut runs = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let byte = runs as u8;
                assert_eq!(offline(insns.as_ptr(), insns.len(), &byte, 1), u32::from(byte) + 1);
                runs = runs.wrapping_add(1);
            }
        });
        let thread = thread.recv().expect("a thread");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(600) {
            std::thread::sleep(Duration::from_micros(50));
            // SAFETY: a thread that has not ended.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(HANDLED.load(Ordering::Relaxed) > 100);
    assert!(!WRONG.load(Ordering::Relaxed));
}

/// Neither are programs that leave themselves: at their end, or by a jump.
#[test]
fn programs_without_an_end_are_not_left() {
    let edge = Edge::new(8192);
    let programs = [
        vec![Insn::stmt(0x00, 1)],
        vec![Insn::stmt(0x05, 100)],
        vec![Insn::stmt(0x05, -600i32 as u32)],
        vec![Insn::jump(0x15, 0, 0, 0)],
        vec![Insn::jump(0x15, 0, 255, 255), Insn::stmt(0x06, 1)],
        vec![Insn::stmt(0x30, 0), Insn::jump(0x15, 7, 0, 1), Insn::stmt(0x06, 3)],
        vec![Insn::stmt(0x04, 1); 1000],
    ];
    for insns in &programs {
        let at = edge.put(insns);
        for run in 0..ENOUGH {
            let packet = [run as u8; 4];
            let expected = bpf::interpret(insns, &packet, 4, &Aux::NONE);
            assert_eq!(offline(at, insns.len(), packet.as_ptr(), 4), expected, "{insns:?}");
        }
    }
}

/// Programs of which a thread can keep the code of two only, and none is run for another.
#[test]
fn programs_that_share_a_place() {
    // 256 bytes from one to the next.
    let mut insns = vec![Insn::stmt(0x06, 0); 3 * 32];
    for n in 0..3 {
        insns[n * 32] = Insn::stmt(0x30, 0);
        insns[n * 32 + 1] = Insn::stmt(0x04, n as u32);
        insns[n * 32 + 2] = Insn::stmt(0x16, 0);
    }
    let mut natives = 0;
    for round in 0..8 {
        for n in [0, 1, 2, 1] {
            let program = &insns[n * 32..][..3];
            for run in 0..ENOUGH {
                let byte = run as u8;
                let verdict = offline(program.as_ptr(), 3, &byte, 1);
                assert_eq!(verdict, u32::from(byte) + n as u32 + round);
            }
        }
        natives += insns.chunks(32).filter(|p| bpf::is_cached_native(&p[..3])).count();
        (0..3).for_each(|n| insns[n * 32 + 1].k += 1);
    }
    let jit = cfg!(target_arch = "x86_64")
        && std::env::var_os("PCAPX_JIT").is_none_or(|value| value != "off");
    assert_eq!(natives > 0, jit);
}

/// A program that changes with every run, before there is any code for it.
#[test]
fn programs_change_in_their_first_runs() {
    let mut insns = [Insn::stmt(0x00, 0), Insn::stmt(0x16, 0)];
    for k in 0..3 * ENOUGH as u32 {
        insns[0].k = k;
        assert_eq!(offline(insns.as_ptr(), 2, &0, 1), k);
        assert_eq!(offline(insns[1..].as_ptr(), 1, &0, 1), 0);
    }
}

/// Programs that run often are compiled, whatever has run before, as long as there is room for them:
/// one after the other, and in turns with each other or with one that cannot be compiled.
#[test]
fn programs_that_run_often_are_compiled() {
    let jit = cfg!(target_arch = "x86_64")
        && std::env::var_os("PCAPX_JIT").is_none_or(|value| value != "off");
    let program = |k| [Insn::stmt(0x30, 0), Insn::stmt(0x04, k), Insn::stmt(0x16, 0)];
    let run = |insns: &[Insn]| offline(insns.as_ptr(), insns.len(), &1, 1);
    let programs: Vec<_> = (0..32).map(program).collect();
    let (abandoned, others) = programs.split_at(8);
    for insns in abandoned {
        (0..ENOUGH * 3 / 4).for_each(|_| assert_eq!(run(insns), 1 + insns[1].k));
        assert!(!bpf::is_cached_native(insns));
    }
    for count in [3, 2, 1, 9] {
        // At places where nothing was before.
        let turns: Vec<_> = others.iter().skip(count).take(count).collect();
        for _ in 0..2 * ENOUGH {
            turns.iter().for_each(|insns| assert_eq!(run(&insns[..]), 1 + insns[1].k));
        }
        let natives = turns.iter().filter(|insns| bpf::is_cached_native(&insns[..])).count();
        assert!(!jit || natives == count, "{natives} of {count}");
    }
    // A jump out of the program, which only some packets would take.
    let invalid = [Insn::jump(0x15, 9, 7, 0), Insn::stmt(0x06, 5)];
    let insns = program(40);
    for _ in 0..2 * ENOUGH {
        assert_eq!((run(&invalid), run(&insns)), (5, 41));
    }
    assert_eq!((bpf::is_cached_native(&invalid), bpf::is_cached_native(&insns)), (false, jit));
}
