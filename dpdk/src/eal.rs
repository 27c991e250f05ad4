//! One EAL a process: started by us when first needed, or the program's own. Never cleaned up,
//! for it cannot be started again.

use crate::arguments::{self, Situation};
use crate::error::Failure;
use crate::ffi;
use std::cell::Cell;
use std::ffi::{CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

/// Whose EAL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eal {
    /// Started here, as a primary process.
    Ours,
    /// Started here, as a secondary process of the primary with [`secondary_prefix`].
    OurSecondary,
    /// The program's own.
    Adopted,
}

enum State {
    Unknown,
    Starting,
    /// With the number of forks before it was found running.
    Running(Eal, u32),
    /// It cannot be tried again.
    Dead(Failure),
}

static STATE: Mutex<State> = Mutex::new(State::Unknown);
static CHANGED: Condvar = Condvar::new();
/// File prefix of the primary this process is a secondary of.
static PREFIX: Mutex<String> = Mutex::new(String::new());

thread_local! {
    static STARTING_HERE: Cell<bool> = const { Cell::new(false) };
}

/// What to start if nothing runs.
pub enum Wanted<'a> {
    /// A primary process; `pci`: the device may be on the PCI bus.
    Primary { pci: bool },
    /// A secondary process of the primary with this file prefix.
    Secondary { prefix: &'a str },
}

/// Held while devices are plugged, configured, stopped and unplugged: DPDK keeps lists over all of
/// them without locks of its own.
pub struct Turn {
    _turn: std::sync::MutexGuard<'static, ()>,
}

thread_local! {
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

impl Turn {
    /// Waits for it; refused where this thread has it (drivers call `pcap_*` functions).
    pub fn take() -> Result<Self, Failure> {
        static TURN: Mutex<()> = Mutex::new(());
        if HAS_TURN.get() {
            return Err(Failure::new("a DPDK device cannot be opened while DPDK opens another"));
        }
        let turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
        HAS_TURN.set(true);
        Ok(Self { _turn: turn })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        HAS_TURN.set(false);
    }
}

/// The EAL, started now if need be. The caller says whether what runs suits it.
pub fn ensure(wanted: &Wanted) -> Result<Eal, Failure> {
    if STARTING_HERE.get() {
        return Err(Failure::new("a DPDK device cannot be opened while DPDK itself starts"));
    }
    let mut state = lock();
    loop {
        match &*state {
            // SAFETY: no conditions.
            State::Running(_, forks) if *forks != unsafe { ffi::ox_fork_generation() } => {
                return Err(Failure::new(
                    "this process was forked from one that runs DPDK, which cannot be shared; \
                     fork first, or exec",
                ));
            }
            State::Running(eal, _) => return Ok(*eal),
            State::Dead(failure) => return Err(failure.clone()),
            State::Unknown => break,
            State::Starting => state = CHANGED.wait(state).unwrap_or_else(|e| e.into_inner()),
        }
    }
    *state = State::Starting;
    // No lock over DPDK's own code: it may call pcap_* functions.
    drop(state);
    let (next, result) = match start(wanted) {
        // SAFETY: no conditions.
        Ok(eal) => (State::Running(eal, unsafe { ffi::ox_fork_generation() }), Ok(eal)),
        Err(Refusal::Retry(failure)) => (State::Unknown, Err(failure)),
        Err(Refusal::Final(failure)) => (State::Dead(failure.clone()), Err(failure)),
    };
    *lock() = next;
    CHANGED.notify_all();
    result
}

fn lock() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(|e| e.into_inner())
}

/// The file prefix of the primary, where this process is our secondary.
pub fn secondary_prefix() -> String {
    PREFIX.lock().unwrap_or_else(|e| e.into_inner()).clone()
}

enum Refusal {
    Retry(Failure),
    Final(Failure),
}

fn start(wanted: &Wanted) -> Result<Eal, Refusal> {
    // A start of ours that was refused looks like the program's own from outside.
    static TRIED: AtomicBool = AtomicBool::new(false);
    // SAFETY: no conditions.
    if !TRIED.load(Ordering::Relaxed) && unsafe { ffi::ox_eal_running() } != 0 {
        return Ok(adopt());
    }
    let words = command_line(wanted).map_err(Refusal::Retry)?;
    let mark = ffi::log_mark();
    TRIED.store(true, Ordering::Relaxed);
    let rc = init_on_helper_thread(&words).map_err(Refusal::Retry)?;
    if -rc == libc::EALREADY {
        return Ok(adopt());
    }
    if rc != 0 {
        let log = ffi::log_since(mark);
        let failure = explain(&words, rc, &log);
        // Bad arguments leave the EAL untouched; after anything else it refuses for ever.
        return Err(match -rc {
            libc::EINVAL => Refusal::Retry(failure),
            _ => Refusal::Final(failure),
        });
    }
    Ok(match wanted {
        Wanted::Secondary { prefix } => {
            *PREFIX.lock().unwrap_or_else(|e| e.into_inner()) = (*prefix).to_owned();
            Eal::OurSecondary
        }
        Wanted::Primary { .. } => Eal::Ours,
    })
}

fn adopt() -> Eal {
    // SAFETY: no conditions.
    unsafe { ffi::ox_watch_forks() };
    Eal::Adopted
}

fn command_line(wanted: &Wanted) -> Result<Vec<String>, Failure> {
    let (pci, secondary) = match wanted {
        Wanted::Primary { pci } => (*pci, None),
        Wanted::Secondary { prefix } => (false, Some(*prefix)),
    };
    let mut user = user_words()?;
    if let Some(prefix) = secondary {
        user = vec!["--proc-type=secondary".into(), format!("--file-prefix={prefix}")];
    }
    arguments::check(&user)?;
    let situation = Situation {
        cpus: own_cpus(),
        huge_pages: free_huge_pages(),
        pci: pci && std::path::Path::new("/sys/bus/pci/devices").is_dir(),
    };
    Ok(arguments::complete(user, &situation))
}

/// Whether this process has privileges that its user has not (set-user-ID, file capabilities):
/// what the user says must not load libraries, nor write files.
pub fn privileged() -> bool {
    // SAFETY: reads the auxiliary vector only.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// `PCAPX_DPDK_EAL`, or `DPDK_CFG`, which libpcap's DPDK module read.
fn user_words() -> Result<Vec<String>, Failure> {
    if privileged() {
        return Ok(Vec::new());
    }
    for variable in ["PCAPX_DPDK_EAL", "DPDK_CFG"] {
        if let Some(value) = std::env::var_os(variable) {
            let text =
                value.to_str().ok_or_else(|| Failure::new(format!("{variable} is not UTF-8")))?;
            return arguments::split(text);
        }
    }
    Ok(Vec::new())
}

/// CPUs the calling thread may run on.
fn own_cpus() -> Vec<usize> {
    // SAFETY: a cpu_set_t of zeros is an empty set; the kernel fills it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &mut set) != 0 {
            return vec![0];
        }
        set
    };
    // SAFETY: the index is within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// What a port or two take, with room to spare; with less, memory without huge pages is better.
const ENOUGH_HUGE_KILOBYTES: u64 = 64 * 1024;

/// Whether huge pages are free, of all sizes together.
fn free_huge_pages() -> bool {
    let Ok(sizes) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return false };
    let free = sizes.flatten().filter_map(|size| {
        let name = size.file_name();
        let kilobytes = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let pages = std::fs::read_to_string(size.path().join("free_hugepages")).ok()?;
        kilobytes.parse::<u64>().ok()?.checked_mul(pages.trim().parse().ok()?)
    });
    free.fold(0, u64::saturating_add) >= ENOUGH_HUGE_KILOBYTES
}

/// Command lines; the EAL permutes their pointers and may keep some.
static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

struct Line {
    _words: Vec<CString>,
    argv: Vec<*mut c_char>,
}

// SAFETY: the pointers are into `_words`, and only the EAL follows them.
unsafe impl Send for Line {}

/// Keeps a command line as long as the process lives.
fn keep(words: &[String]) -> Result<(), Failure> {
    let words: Vec<CString> = words
        .iter()
        .map(|word| CString::new(word.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::new("an EAL argument holds a NUL"))?;
    let mut argv: Vec<*mut c_char> = words.iter().map(|w| w.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    lines().push(Line { _words: words, argv });
    Ok(())
}

fn lines() -> std::sync::MutexGuard<'static, Vec<Line>> {
    LINES.lock().unwrap_or_else(|e| e.into_inner())
}

/// `rte_eal_init` binds the thread that calls it to one CPU; so it is not the caller's.
fn init_on_helper_thread(words: &[String]) -> Result<c_int, Failure> {
    keep(words)?;
    let run = || {
        STARTING_HERE.set(true);
        // One thread at a time starts the EAL: the last line is ours.
        let argv = lines().last_mut().map(|line| (line.argv.len() - 1, line.argv.as_mut_ptr()));
        let (argc, argv) = argv.unwrap_or((0, std::ptr::null_mut()));
        // SAFETY: a null-terminated vector of strings, all alive for ever.
        unsafe { ffi::ox_eal_init(argc as c_int, argv) }
    };
    let thread = std::thread::Builder::new()
        .name("pcap-eal-init".into())
        .spawn(run)
        .map_err(|error| Failure::new(format!("no thread to start DPDK on: {error}")))?;
    thread.join().map_err(|_| Failure::new("starting DPDK panicked"))
}

fn explain(words: &[String], rc: c_int, log: &str) -> Failure {
    let mut failure = Failure::errno("DPDK's EAL did not start", rc, "");
    if log.contains("Cannot get hugepage information") {
        // EACCES, be it for want of the right or of the pages.
        failure = Failure::new(
            "DPDK's EAL did not start: it has no huge pages (reserve some with \
             dpdk-hugepages.py --setup 256M, or give PCAPX_DPDK_EAL='--no-huge -m 512')",
        );
    }
    // Not the usage, which lacks the prefix.
    let told = |line: &&str| line.starts_with("EAL: ");
    let words_of_failure =
        ["fatal", "cannot", "invalid", "error", "fail", "unrecognized", "permission", "no "];
    let bad = |line: &&str| {
        let line = line.to_ascii_lowercase();
        words_of_failure.iter().any(|word| line.contains(word))
    };
    let telling: Vec<&str> = log.lines().map(str::trim).filter(told).filter(bad).take(3).collect();
    if !telling.is_empty() {
        failure.text.push_str(&format!(": {}", telling.join("; ")));
    }
    failure.text.push_str(&format!(" [arguments: {}]", words[1..].join(" ")));
    failure
}
