//! AF_PACKET sockets (packet(7)): making, binding, options, receiving in batches.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `SO_BPF_EXTENSIONS` of asm/socket.h.
const SO_BPF_EXTENSIONS: libc::c_int = 48;
/// `SKF_AD_VLAN_TAG_PRESENT` of linux/filter.h.
const SKF_AD_VLAN_TAG_PRESENT: i32 = 48;
/// Ethernet protocol "every packet".
pub const ETH_P_ALL: u16 = libc::ETH_P_ALL as u16;

/// Ring versions, `enum tpacket_versions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingVersion {
    /// `TPACKET_V2`.
    V2 = 1,
    /// `TPACKET_V3`.
    V3 = 2,
}

/// Shape of a ring. All sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingShape {
    /// Size of a block, a multiple of the page size.
    pub block_size: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Size of a frame; for [`RingVersion::V3`] of a block's largest packet.
    pub frame_size: u32,
    /// Number of frames in all blocks.
    pub frames: u32,
    /// [`RingVersion::V3`]: milliseconds until a block that is not full is handed over; 0 lets
    /// the kernel choose.
    pub retire_ms: u32,
}

impl RingShape {
    /// Size of the whole ring.
    pub fn size(&self) -> usize {
        self.block_size as usize * self.blocks as usize
    }
}

/// A packet socket.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PacketSocket {
    /// A socket that receives nothing before it is bound; `cooked` ones (`SOCK_DGRAM`) get
    /// packets without their link-layer header.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn new(cooked: bool) -> io::Result<Self> {
        let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
        // Not close-on-exec: programs hand captures to programs that they start.
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Binds to an interface (0: all) and an Ethernet protocol (0: none).
    ///
    /// # Errors
    /// `ENODEV` where there is no such interface.
    pub fn bind(&self, ifindex: i32, protocol: u16) -> io::Result<()> {
        // SAFETY: all zero bytes are a valid sockaddr_ll.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        addr.sll_family = libc::AF_PACKET as u16;
        addr.sll_ifindex = ifindex;
        addr.sll_protocol = protocol.to_be();
        let len = size_of_val(&addr) as libc::socklen_t;
        // SAFETY: `addr` outlives the call and its size is given.
        check(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const addr).cast(), len) })
    }

    /// Takes the pending error (`SO_ERROR`): 0, or an errno value.
    ///
    /// # Errors
    /// What getsockopt(2) failed with.
    pub fn take_error(&self) -> io::Result<i32> {
        self.get(libc::SOL_SOCKET, libc::SO_ERROR, 0i32)
    }

    /// Puts the interface in promiscuous mode for as long as the socket is open.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn add_promiscuous(&self, ifindex: i32) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: ifindex,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Auxiliary data with every packet that is received other than through a ring.
    ///
    /// # Errors
    /// `ENOPROTOOPT` on kernels without.
    pub fn set_auxdata(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32)
    }

    /// Time stamps in nanoseconds with every packet that is received other than through a ring.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn set_timestamp_ns(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32)
    }

    /// Which time stamps the ring carries: `SOF_TIMESTAMPING_*`.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn set_timestamp_source(&self, source: i32) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_TIMESTAMP, &source)
    }

    /// Whether filters can load VLAN tags that the kernel took off packets.
    pub fn filters_see_vlan_tags(&self) -> bool {
        let extensions = self.get(libc::SOL_SOCKET, SO_BPF_EXTENSIONS, 0i32);
        extensions.is_ok_and(|most| most >= SKF_AD_VLAN_TAG_PRESENT)
    }

    /// Size of the header in front of every packet of a ring.
    ///
    /// # Errors
    /// `EINVAL` where the kernel does not know the version.
    pub fn ring_header_len(&self, version: RingVersion) -> io::Result<u32> {
        self.get(libc::SOL_PACKET, libc::PACKET_HDRLEN, version as i32).map(|len| len as u32)
    }

    /// Chooses the version of the ring; before [`PacketSocket::make_ring`].
    ///
    /// # Errors
    /// `EINVAL` where the kernel does not know the version.
    pub fn set_ring_version(&self, version: RingVersion) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &(version as i32))
    }

    /// Bytes kept free in front of every packet of a ring.
    ///
    /// # Errors
    /// What setsockopt(2) failed with.
    pub fn set_ring_reserve(&self, bytes: u32) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &bytes)
    }

    /// Makes the ring for received packets.
    ///
    /// # Errors
    /// `ENOMEM` where there is not so much memory, `EINVAL` for a shape the kernel does not take.
    pub fn make_ring(&self, shape: &RingShape) -> io::Result<()> {
        let req = libc::tpacket_req3 {
            tp_block_size: shape.block_size,
            tp_block_nr: shape.blocks,
            tp_frame_size: shape.frame_size,
            tp_frame_nr: shape.frames,
            tp_retire_blk_tov: shape.retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &req)
    }

    /// Packets that passed the filter, and those of them that were dropped for want of space,
    /// since the last call.
    ///
    /// # Errors
    /// What getsockopt(2) failed with.
    pub fn take_statistics(&self) -> io::Result<(u32, u32)> {
        let none = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let stats = self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, none)?;
        Ok((stats.tp_packets, stats.tp_drops))
    }

    /// Index of the interface the socket is bound to; negative when the interface is gone.
    ///
    /// # Errors
    /// What getsockname(2) failed with.
    pub fn bound_index(&self) -> io::Result<i32> {
        // SAFETY: all zero bytes are a valid sockaddr_ll.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut len = size_of_val(&addr) as libc::socklen_t;
        let fd = self.0.as_raw_fd();
        // SAFETY: `addr` is writable for `len` bytes.
        check(unsafe { libc::getsockname(fd, (&raw mut addr).cast(), &raw mut len) })?;
        Ok(addr.sll_ifindex)
    }

    /// Asks for a receive buffer of so many bytes; the kernel gives what it allows.
    pub fn set_receive_buffer(&self, bytes: u32) {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        if self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes).is_err() {
            // Without CAP_NET_ADMIN the system's limit holds, and less is no failure.
            let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes);
        }
    }

    /// Sends one frame on the interface the socket is bound to.
    ///
    /// # Errors
    /// What send(2) failed with, for example `EMSGSIZE`.
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        // SAFETY: `frame` is readable for its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Throws away one queued packet; `false` when there is none.
    ///
    /// # Errors
    /// What recv(2) failed with.
    pub fn discard_one(&self) -> io::Result<bool> {
        let mut byte = 0u8;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: one writable byte.
        let got = unsafe { libc::recv(self.0.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
        if got >= 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
            e => Err(e),
        }
    }

    fn set<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        // SAFETY: `value` outlives the call, its size is given, and the kernel copies it.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, value, len) })
    }

    fn get<T: Copy>(&self, level: i32, name: i32, mut value: T) -> io::Result<T> {
        let mut len = size_of::<T>() as libc::socklen_t;
        let to = (&raw mut value).cast();
        // SAFETY: `value` is writable for `len` bytes; all `T` used are plain integers, valid
        // with any bytes.
        check(unsafe { libc::getsockopt(self.0.as_raw_fd(), level, name, to, &raw mut len) })?;
        Ok(value)
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const _: () = assert!(size_of::<libc::sockaddr_ll>() == 20);
const _: () = assert!(size_of::<libc::tpacket_req3>() == 28);
const _: () = assert!(size_of::<libc::tpacket_auxdata>() == 20);
