//! Packets that begin with a header in the byte order of the host that captured them: it is put
//! into ours. And one old mistake in the length of USB packets is put right.

use super::byte_order::ByteOrder;
use crate::linktype::Dlt;
use crate::packet::PacketHeader;

/// Whether [`fix`] has anything to do in a file.
pub(super) fn has_work(dlt: Dlt, order: ByteOrder) -> bool {
    match dlt {
        Dlt::PFLOG | Dlt::LINUX_SLL | Dlt::LINUX_SLL2 | Dlt::USB_LINUX | Dlt::NFLOG => {
            order.swapped
        }
        Dlt::USB_LINUX_MMAPPED => true,
        _ => false,
    }
}

/// Does what the link-layer type needs.
#[cold]
pub(super) fn fix(dlt: Dlt, order: ByteOrder, header: &mut PacketHeader, data: &mut [u8]) {
    if order.swapped {
        swap(dlt, header.len, data);
    }
    if dlt == Dlt::USB_LINUX_MMAPPED {
        fix_usb_length(header, data);
    }
}

/// Swaps the bytes of the fields at these offsets. `data` is the captured part; a field that
/// is not wholly in it ends the matter.
fn swap_fields(data: &mut [u8], fields: &[(usize, usize)]) -> Option<()> {
    for &(offset, len) in fields {
        data.get_mut(offset..offset + len)?.reverse();
    }
    Some(())
}

fn swap(dlt: Dlt, len: u32, data: &mut [u8]) {
    // What was not on the wire cannot be a field either.
    let present = data.len().min(len as usize);
    // libpcap ends at a missing field; so do we.
    let _ = match dlt {
        Dlt::PFLOG => swap_pflog(&mut data[..present]),
        Dlt::LINUX_SLL => swap_cooked(&mut data[..present], SLL_LEN, SLL_PROTOCOL),
        Dlt::LINUX_SLL2 => swap_cooked(&mut data[..present], SLL2_LEN, SLL2_PROTOCOL),
        Dlt::USB_LINUX => swap_usb(data, false),
        Dlt::USB_LINUX_MMAPPED => swap_usb(data, true),
        Dlt::NFLOG => swap_nflog(data, len as usize),
        _ => None,
    };
}

/// OpenBSD's and FreeBSD's `struct pfloghdr`; its first byte is its length.
fn swap_pflog(data: &mut [u8]) -> Option<()> {
    const UID_PID_RULE_UID_RULE_PID: [(usize, usize); 4] = [(44, 4), (48, 4), (52, 4), (56, 4)];
    let header_len = usize::from(*data.first()?).min(data.len());
    swap_fields(&mut data[..header_len], &UID_PID_RULE_UID_RULE_PID)
}

const SLL_LEN: usize = 16;
const SLL_PROTOCOL: usize = 14;
const SLL2_LEN: usize = 20;
const SLL2_PROTOCOL: usize = 0;
/// `LINUX_SLL_P_CAN`, `_CANFD`, `_CANXL`.
const SLL_P_CAN: u16 = 0x000c;
const SLL_P_CANFD: u16 = 0x000d;
const SLL_P_CANXL: u16 = 0x000e;

/// SocketCAN headers behind the header of a cooked capture.
fn swap_cooked(data: &mut [u8], header_len: usize, protocol_at: usize) -> Option<()> {
    const CAN_ID: [(usize, usize); 1] = [(0, 4)];
    const PRIORITY_LENGTH_ACCEPTANCE: [(usize, usize); 3] = [(0, 4), (6, 2), (8, 4)];
    let (header, can) = data.split_at_mut_checked(header_len)?;
    match u16::from_be_bytes([header[protocol_at], header[protocol_at + 1]]) {
        SLL_P_CAN | SLL_P_CANFD => swap_fields(can, &CAN_ID),
        SLL_P_CANXL => swap_fields(can, &PRIORITY_LENGTH_ACCEPTANCE),
        _ => None,
    }
}

/// Linux usbmon's `struct usbmon_packet` (Documentation/usb/usbmon.rst): offsets.
mod usb {
    pub const EVENT_TYPE: usize = 8;
    pub const TRANSFER_TYPE: usize = 9;
    pub const ENDPOINT: usize = 10;
    pub const DATA_FLAG: usize = 15;
    pub const URB_LEN: usize = 32;
    pub const NDESC: usize = 60;
    /// Bytes of the header with the fields that memory-mapped captures have.
    pub const MMAPPED_LEN: usize = 64;
    /// Bytes of an isochronous descriptor: status, offset, length, padding.
    pub const DESC_LEN: usize = 16;
    /// The kernel gives no more descriptors.
    pub const MAX_DESCS: u32 = 128;
    pub const ISOCHRONOUS: u8 = 0;
    pub const COMPLETE: u8 = b'C';
    pub const DIRECTION_IN: u8 = 0x80;
    /// Offset and length of: id, bus number, seconds, microseconds, status, URB length, data
    /// length.
    pub const COMMON: [(usize, usize); 7] =
        [(0, 8), (12, 2), (16, 8), (24, 4), (28, 4), (32, 4), (36, 4)];
    /// Error count, number of descriptors.
    pub const ISO: [(usize, usize); 2] = [(40, 4), (44, 4)];
    /// Interval, start frame, flags, number of descriptors.
    pub const MMAPPED: [(usize, usize); 4] = [(48, 4), (52, 4), (56, 4), (60, 4)];
    /// In a descriptor: status, offset, length.
    pub const DESC: [(usize, usize); 3] = [(0, 4), (4, 4), (8, 4)];
}

fn native_u32(data: &[u8], at: usize) -> u32 {
    ByteOrder { swapped: false }.u32(data, at)
}

fn swap_usb(data: &mut [u8], mmapped: bool) -> Option<()> {
    swap_fields(data, &usb::COMMON)?;
    let isochronous = data[usb::TRANSFER_TYPE] == usb::ISOCHRONOUS;
    if isochronous {
        swap_fields(data, &usb::ISO)?;
    }
    if !mmapped {
        return Some(());
    }
    swap_fields(data, &usb::MMAPPED)?;
    if isochronous {
        let count = native_u32(data, usb::NDESC) as usize;
        for desc in data[usb::MMAPPED_LEN..].chunks_mut(usb::DESC_LEN).take(count) {
            swap_fields(desc, &usb::DESC)?;
        }
    }
    Some(())
}

/// Netfilter log: length and type of each TLV. What lies in them is in network order.
fn swap_nflog(data: &mut [u8], len: usize) -> Option<()> {
    const HEADER_LEN: usize = 4;
    const TLV_HEADER_LEN: usize = 4;
    const LENGTH_AND_TYPE: [(usize, usize); 2] = [(0, 2), (2, 2)];
    let version = *data.get(1)?;
    let mut wire = len.checked_sub(HEADER_LEN)?;
    let mut rest = data.get_mut(HEADER_LEN..)?;
    if version != 0 {
        return None;
    }
    while rest.len() >= TLV_HEADER_LEN {
        swap_fields(rest, &LENGTH_AND_TYPE)?;
        let tlv_len = usize::from(u16::from_ne_bytes([rest[0], rest[1]])).next_multiple_of(4);
        if tlv_len < TLV_HEADER_LEN || tlv_len > wire {
            return None;
        }
        wire -= tlv_len;
        rest = rest.get_mut(tlv_len..)?;
    }
    Some(())
}

/// Before 1.10.2, libpcap took an isochronous transfer's URB length for its length on the wire. The
/// descriptors say how far the data reached; the length is made that where it is the wrong one.
fn fix_usb_length(header: &mut PacketHeader, data: &[u8]) {
    if data.len() < usb::MMAPPED_LEN {
        return;
    }
    let count = native_u32(data, usb::NDESC);
    let finished_input = data[usb::DATA_FLAG] == 0
        && data[usb::TRANSFER_TYPE] == usb::ISOCHRONOUS
        && data[usb::EVENT_TYPE] == usb::COMPLETE
        && data[usb::ENDPOINT] & usb::DIRECTION_IN != 0;
    if count > usb::MAX_DESCS || !finished_input {
        return;
    }
    let headers_len = usb::MMAPPED_LEN as u32 + count * usb::DESC_LEN as u32;
    if header.len != headers_len.wrapping_add(native_u32(data, usb::URB_LEN)) {
        return;
    }
    let Some(descs) = data.get(usb::MMAPPED_LEN..headers_len as usize) else { return };
    let reached = descs
        .chunks_exact(usb::DESC_LEN)
        .filter(|desc| native_u32(desc, 8) != 0)
        .map(|desc| native_u32(desc, 4).saturating_add(native_u32(desc, 8)))
        .max()
        .unwrap_or(0);
    let len = headers_len.saturating_add(reached);
    if len >= header.caplen {
        header.len = len;
    }
    header.len = header.len.max(header.caplen);
}
