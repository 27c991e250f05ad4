//! Socket filters: attaching, detaching, loading eBPF.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Most instructions Linux takes in a classic filter (`BPF_MAXINSNS`).
pub const MAX_CLASSIC: usize = 4096;

/// Attaches a classic program (`SO_ATTACH_FILTER`); it replaces an attached filter of any kind.
///
/// # Errors
/// `EINVAL` when it is invalid, empty or too long, `ENOMEM` when it is larger than
/// `net.core.optmem_max` allows, `EPERM` when the filter is locked.
pub fn attach_classic(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // The kernel only reads through the pointer.
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    set_option(fd, libc::SO_ATTACH_FILTER, &program)
}

/// Attaches a loaded eBPF socket filter (`SO_ATTACH_BPF`); it replaces an attached filter of any
/// kind.
///
/// # Errors
/// `EBADF` or `EINVAL` when `program` is not a loaded socket filter, `EPERM` when the filter is
/// locked.
pub fn attach_ebpf(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SO_ATTACH_BPF, &program.as_raw_fd())
}

/// Detaches the filter, if there is one (`SO_DETACH_FILTER`).
///
/// # Errors
/// `EPERM` when the filter is locked.
pub fn detach(fd: BorrowedFd<'_>) -> io::Result<()> {
    match set_option(fd, libc::SO_DETACH_FILTER, &0i32) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn set_option<T>(fd: BorrowedFd<'_>, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: `value` outlives the call, its size is given, and the kernel copies it.
    let status = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            std::ptr::from_ref(value).cast(),
            size_of_val(value) as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`, linux/bpf.h.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

const _: () = assert!(size_of::<ProgLoad>() == 48);

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;

/// Loads eBPF instructions, each in the machine's layout, as a socket filter
/// (`bpf(BPF_PROG_LOAD)`).
///
/// # Errors
/// `EPERM` without the privilege, `EACCES` or `EINVAL` when the verifier refuses, `E2BIG` when
/// the program is too long or too complex, `ENOSYS` on kernels without eBPF.
pub fn load_socket_filter(insns: &[[u8; 8]]) -> io::Result<OwnedFd> {
    load(insns, None)
}

/// Like [`load_socket_filter`], with the verifier's words on a refusal in `log`.
///
/// # Errors
/// As [`load_socket_filter`]; `ENOSPC` when `log` is too small.
pub fn load_socket_filter_with_log(insns: &[[u8; 8]], log: &mut [u8]) -> io::Result<OwnedFd> {
    load(insns, Some(log))
}

fn load(insns: &[[u8; 8]], log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let too_long = |_| io::Error::from_raw_os_error(libc::E2BIG);
    let (log_level, log_size, log_buf) = match log {
        Some(log) => (1, u32::try_from(log.len()).map_err(too_long)?, log.as_mut_ptr() as u64),
        None => (0, 0, 0),
    };
    let attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
        insn_cnt: u32::try_from(insns.len()).map_err(too_long)?,
        insns: insns.as_ptr() as u64,
        license: c"Dual BSD/GPL".as_ptr() as u64,
        log_level,
        log_size,
        log_buf,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: all pointers in `attr` are to memory of the stated sizes that outlives the call.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &attr) }?;
    // SAFETY: a new descriptor that nobody else owns; the kernel sets close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The head of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `union bpf_attr` for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const _: () = assert!(size_of::<MapUpdate>() == 32);

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_TYPE_PROG_ARRAY: u32 = 3;

/// Makes a program array (`BPF_MAP_TYPE_PROG_ARRAY`) with one program in it.
///
/// The kernel empties it when its last descriptor is closed.
///
/// # Errors
/// `EPERM` without the privilege.
pub fn create_program_array(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attr = MapCreate {
        map_type: BPF_MAP_TYPE_PROG_ARRAY,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        map_flags: 0,
    };
    // SAFETY: `attr` holds no pointers.
    let fd = unsafe { bpf(BPF_MAP_CREATE, &attr) }?;
    // SAFETY: a new descriptor that nobody else owns; the kernel sets close-on-exec.
    let array = unsafe { OwnedFd::from_raw_fd(fd) };
    let (key, value) = (0u32, program.as_raw_fd());
    let attr = MapUpdate {
        map_fd: array.as_raw_fd() as u32,
        key: &raw const key as u64,
        value: &raw const value as u64,
        flags: 0,
    };
    // SAFETY: key and value are of the sizes the map was made with, and outlive the call.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &attr) }?;
    Ok(array)
}

/// # Safety
/// Pointers in `attr` must be valid for what `command` does with them.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<libc::c_int> {
    // SAFETY: `attr` is read for its own size; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of_val(attr)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}
