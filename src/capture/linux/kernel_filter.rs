//! Filters inside the kernel: which form a program takes there, and what it must look like.
//!
//! For the owner of the socket:
//!
//! 1. [`reject_all`], so that nothing more is queued that only the old filter accepted;
//! 2. drop what the socket holds, or run the new filter on it in userland before it is shown;
//! 3. [`install`] the new program and keep what it returns for as long as it is attached.
//!
//! When the answer is [`FilterMode::Userland`], the kernel accepts everything and the caller runs
//! the *original* program by [`bpf::Filter`](crate::bpf::Filter), on the packet as libpcap's
//! users see it (with its cooked header, if any) but *before* VLAN tags are put back, with the
//! tag in [`bpf::Aux`](crate::bpf::Aux): that is what the kernel's filter would have seen.
//!
//! [`FilterMode::Userland`]: crate::capture::FilterMode::Userland

mod rewrite;

pub use rewrite::Cooked;

use crate::bpf::{self, ConvertError, EbpfInsn, Program, Target};
use crate::capture::{FilterMode, Placement};
use crate::sys::bpf as sys;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A filter that [`install`] put somewhere.
#[derive(Debug, Default)]
pub struct Installed {
    /// Where it runs, and why there.
    pub placement: Placement,
    /// Keeps a program array alive: when its last descriptor goes, the kernel empties it.
    _program_array: Option<OwnedFd>,
}

impl Installed {
    fn userland(reason: String) -> Self {
        Self { placement: Placement::userland(reason), _program_array: None }
    }

    /// Whether the caller has to run the program.
    pub fn in_userland(&self) -> bool {
        self.placement.mode == FilterMode::Userland
    }
}

/// Attaches a program that accepts nothing.
///
/// # Errors
/// Those of `setsockopt(SO_ATTACH_FILTER)`: `EPERM` when the socket's filter is locked.
pub fn reject_all(fd: BorrowedFd<'_>) -> io::Result<()> {
    sys::attach_classic(fd, &[libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }])
}

/// Detaches whatever filter there is: the kernel accepts everything.
///
/// # Errors
/// `EPERM` when the socket's filter is locked.
pub fn detach(fd: BorrowedFd<'_>) -> io::Result<()> {
    sys::detach(fd)
}

/// Attaches an eBPF socket filter that the user loaded.
///
/// # Errors
/// `EBADF` or `EINVAL` when `program` is no loaded socket filter.
pub fn install_loaded(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<Installed> {
    sys::attach_ebpf(fd, program)?;
    let placement = Placement {
        mode: FilterMode::KernelEbpf,
        reason: "the program supplied its own".to_owned(),
    };
    Ok(Installed { placement, _program_array: None })
}

/// Puts a program where it runs fastest and still gives the verdicts it has in userland:
/// in the kernel as a classic program, in the kernel as eBPF, or in userland with the kernel's
/// filter detached.
///
/// `program` was written for packets as users see them; `cooked` tells what header they have that
/// the kernel does not know. Accepted lengths other than 0 become `snaplen`: the kernel need not
/// store more of a packet.
///
/// # Errors
/// Only when the old filter can neither be replaced nor detached; it is then still attached.
pub fn install(
    fd: BorrowedFd<'_>,
    program: &Program,
    cooked: Cooked,
    snaplen: u32,
) -> io::Result<Installed> {
    match try_kernel(fd, program, cooked, snaplen) {
        Ok(installed) => Ok(installed),
        Err(reason) => detach(fd).map(|()| Installed::userland(reason)),
    }
}

/// The error is the reason to stay in userland.
fn try_kernel(
    fd: BorrowedFd<'_>,
    program: &Program,
    cooked: Cooked,
    snaplen: u32,
) -> Result<Installed, String> {
    program.check().map_err(|e| e.to_string())?;
    let insns = rewrite::for_kernel(program.insns(), cooked, snaplen)?;
    let why_not_classic = match try_classic(fd, &insns) {
        Ok(()) => {
            let placement = Placement { mode: FilterMode::KernelClassic, reason: String::new() };
            return Ok(Installed { placement, _program_array: None });
        }
        Err(reason) => reason,
    };
    match try_ebpf(fd, &insns) {
        Ok(program_array) => {
            let placement = Placement { mode: FilterMode::KernelEbpf, reason: why_not_classic };
            Ok(Installed { placement, _program_array: program_array })
        }
        Err(reason) => Err(format!("{why_not_classic}; as eBPF: {reason}")),
    }
}

fn try_classic(fd: BorrowedFd<'_>, insns: &[bpf::Insn]) -> Result<(), String> {
    if insns.len() > sys::MAX_CLASSIC {
        return Err(format!(
            "the classic program has {} instructions, the kernel takes {}",
            insns.len(),
            sys::MAX_CLASSIC
        ));
    }
    bpf::check_kernel(insns).map_err(|e| e.to_string())?;
    let program: Vec<_> = insns
        .iter()
        .map(|&bpf::Insn { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k })
        .collect();
    sys::attach_classic(fd, &program).map_err(|e| match e.raw_os_error() {
        Some(libc::ENOMEM) => "the classic program exceeds net.core.optmem_max".to_owned(),
        _ => format!("the kernel refused the classic program: {e}"),
    })
}

/// Gives what must be kept while the program is attached.
fn try_ebpf(fd: BorrowedFd<'_>, insns: &[bpf::Insn]) -> Result<Option<OwnedFd>, String> {
    let ebpf = bpf::to_ebpf(insns, Target::Kernel).map_err(|e: ConvertError| e.to_string())?;
    let loaded = load(&ebpf).map_err(|e| match e.raw_os_error() {
        Some(libc::EPERM) => "this process may not load programs".to_owned(),
        Some(libc::E2BIG) => "the program is too complex for the kernel's verifier".to_owned(),
        _ => format!("the kernel refused the program: {e}"),
    })?;
    let fd_borrowed = std::os::fd::AsFd::as_fd(&loaded);
    match sys::attach_ebpf(fd, fd_borrowed) {
        Ok(()) => Ok(None),
        // The kernel charges the attached program to the socket, up to net.core.optmem_max; one
        // that it tail-calls is not charged.
        Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => attach_by_tail_call(fd, fd_borrowed)
            .map(Some)
            .map_err(|e| format!("it exceeds net.core.optmem_max, and by tail call: {e}")),
        Err(e) => Err(format!("the kernel refused to attach the program: {e}")),
    }
}

fn load(insns: &[EbpfInsn]) -> io::Result<OwnedFd> {
    let bytes: Vec<_> = insns.iter().map(|insn| insn.to_bytes()).collect();
    sys::load_socket_filter(&bytes)
}

fn attach_by_tail_call(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let array = sys::create_program_array(program)?;
    let small = load(&bpf::tail_call(array.as_raw_fd()))?;
    sys::attach_ebpf(fd, std::os::fd::AsFd::as_fd(&small))?;
    Ok(array)
}
