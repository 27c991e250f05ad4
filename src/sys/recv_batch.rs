//! Receiving packets from a packet socket without a ring, many with one system call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Room for the control messages of one packet: aux data and a time stamp.
const CONTROL: usize = 128;
/// `SCM_TIMESTAMPNS` is the option's own number.
const SCM_TIMESTAMPNS: i32 = libc::SO_TIMESTAMPNS;

/// One received packet.
#[derive(Clone, Copy)]
pub struct Message {
    /// First byte; [`Batch::headroom`](Batch::new) writable bytes lie in front of it.
    pub data: *mut u8,
    /// Bytes stored.
    pub caplen: u32,
    /// Bytes the packet had.
    pub len: u32,
    /// Where it came from; valid until the next [`Batch::receive`].
    pub from: *const libc::sockaddr_ll,
    /// Its auxiliary data.
    pub aux: Option<libc::tpacket_auxdata>,
    /// When it came, seconds and nanoseconds.
    pub time: (i64, i64),
}

/// Buffers for a batch of packets, allotted once.
pub struct Batch {
    count: usize,
    capacity: usize,
    headroom: usize,
    data: Box<[u8]>,
    control: Box<[[u64; CONTROL / 8]]>,
    names: Box<[libc::sockaddr_ll]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the raw pointers inside point into the boxes of the same value, which move with it.
unsafe impl Send for Batch {}

impl Batch {
    /// Room for `count` packets of `capacity` bytes, with `headroom` bytes in front of each.
    pub fn new(count: usize, capacity: usize, headroom: usize) -> Self {
        let stride = capacity + headroom;
        let mut data = vec![0u8; count * stride].into_boxed_slice();
        // SAFETY: all zero bytes are valid values of these C structures.
        let (name, iovec, header): (libc::sockaddr_ll, libc::iovec, libc::mmsghdr) =
            unsafe { std::mem::zeroed() };
        let mut batch = Self {
            count,
            capacity,
            headroom,
            control: vec![[0; CONTROL / 8]; count].into(),
            names: vec![name; count].into(),
            iovecs: vec![iovec; count].into(),
            headers: vec![header; count].into(),
            data: Box::default(),
        };
        for (i, iovec) in batch.iovecs.iter_mut().enumerate() {
            iovec.iov_base = data[i * stride + headroom..].as_mut_ptr().cast();
            iovec.iov_len = capacity;
        }
        batch.data = data;
        batch
    }

    /// Packets it has room for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes what is queued, as much as there is room for, without waiting; how many packets.
    ///
    /// # Errors
    /// What recvmmsg(2) failed with, `EAGAIN` when nothing is queued.
    pub fn receive(&mut self, fd: BorrowedFd) -> io::Result<usize> {
        for i in 0..self.count {
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            header.msg_iov = &raw mut self.iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control = self.control[i].as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = self.headers.as_mut_ptr();
        let none = std::ptr::null_mut();
        // SAFETY: every header points to live buffers of this value with their true sizes.
        let got =
            unsafe { libc::recvmmsg(fd.as_raw_fd(), headers, self.count as u32, flags, none) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// Packet `i` of the last [`Batch::receive`].
    pub fn message(&mut self, i: usize) -> Message {
        let header = &self.headers[i];
        let mut message = Message {
            data: self.iovecs[i].iov_base.cast(),
            caplen: header.msg_len.min(self.capacity as u32),
            len: header.msg_len,
            from: &raw const self.names[i],
            aux: None,
            time: (0, 0),
        };
        debug_assert!(self.headroom < self.data.len());
        // SAFETY: a header that recvmmsg filled; the control buffer is the one given to it.
        let mut at = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg_hdr) };
        while !at.is_null() {
            // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give headers that lie in the buffer.
            let control = unsafe { *at };
            // SAFETY: as above; the data follows the header.
            let data = unsafe { libc::CMSG_DATA(at) };
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    // SAFETY: the kernel stored a tpacket_auxdata here.
                    let aux = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
                    // What the filter cut off is only told here.
                    message.len = message.len.max(aux.tp_len);
                    message.aux = Some(aux);
                }
                (libc::SOL_SOCKET, SCM_TIMESTAMPNS) => {
                    // SAFETY: the kernel stored a timespec here.
                    let ts = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                    message.time = (ts.tv_sec, ts.tv_nsec);
                }
                _ => {}
            }
            // SAFETY: `at` lies in the control buffer of this header.
            at = unsafe { libc::CMSG_NXTHDR(&raw const header.msg_hdr, at) };
        }
        message
    }
}
