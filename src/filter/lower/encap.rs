//! Primitives that move the headers: VLAN tags, MPLS labels, PPPoE sessions, Geneve, VXLAN.

use super::Lowerer;
use super::code::{
    Base, Cmp, Field, Size, Steps, TAX, TXA, alu, alu_x, insn, ld_imm, ld_mem, ldx_mem, st, stx,
};
use super::error::{LowerError, at_most};
use super::numbers::{ethertype, ipproto, ppp};
use super::port::Ports;
use crate::bpf::{Ancillary, op};
use crate::filter::ast::Dir;
use crate::filter::cond::{Compare, CondId, Stmt};
use crate::filter::link_layout::{Offset, Tunnel};
use crate::linktype::Dlt;

type Lowered = Result<CondId, LowerError>;

/// UDP ports of the tunnels.
const GENEVE_PORT: u16 = 6081;
const VXLAN_PORT: u16 = 4789;
/// Bytes of a UDP header and of a VXLAN header.
const UDP_HEADER: u32 = 8;
const VXLAN_HEADER: u32 = 8;
/// From the start of an Ethernet header to its type field, and from there to its payload.
const ETHER_TYPE: u32 = 12;
const ETHER_TYPE_LEN: u32 = 2;
/// Bytes of a VLAN tag and of an MPLS label.
const TAG: u32 = 4;
const LABEL: u32 = 4;

/// Where a tunnel lies and how it is known.
struct TunnelHeader {
    port: u16,
    /// A byte after the UDP header: offset, mask, value.
    version: (u32, u32, u32),
    /// The network identifier, if one is asked for.
    vni: Option<u32>,
    /// What the identifier is called.
    what: &'static str,
}

impl Lowerer<'_> {
    /// `vlan [N]`.
    pub(super) fn vlan(&mut self, tag: Option<u32>) -> Lowered {
        if self.layout.mpls_depth > 0 {
            return Err(LowerError::VlanAfterMpls);
        }
        if !self.layout.is_ethernet_like() && !self.layout.is_80211() {
            let (what, dlt) = ("vlan", self.layout.dlt);
            return Err(LowerError::NotSupportedOn { what, dlt });
        }
        if let Some(tag) = tag {
            at_most("VLAN tag", tag, 0x0fff)?;
        }
        let aux = self.options.live.is_some_and(|live| live.vlan_aux);
        let outermost = self.layout.vlan_depth == 0 && self.layout.prev_dlt.is_none();
        let vlan = if aux && outermost && self.layout.is_ethernet_like() {
            self.vlan_or_stripped(tag)?
        } else {
            let tpid = self.tag_protocol()?;
            let vlan = match tag {
                Some(tag) => {
                    let vid = self.eq_masked(Base::Net, 0, Size::H, 0x0fff, tag)?;
                    self.and(tpid, vid)
                }
                None => tpid,
            };
            self.layout.payload = self.layout.payload.plus(TAG);
            self.layout.link_type = self.layout.link_type.plus(TAG);
            vlan
        };
        self.layout.vlan_depth += 1;
        self.layout.epoch += 1;
        Ok(vlan)
    }

    fn tag_protocol(&mut self) -> Lowered {
        let vlan = self.link_type(ethertype::VLAN)?;
        let qinq = self.link_type(ethertype::QINQ)?;
        let old = self.link_type(ethertype::QINQ_OLD)?;
        Ok(self.any(&[vlan, qinq, old]))
    }

    /// A tag in the packet, or one that the kernel took out of it. What a tag in the packet adds
    /// to the offsets behind it is kept in registers, which start from 0 (see the prologue).
    fn vlan_or_stripped(&mut self, tag: Option<u32>) -> Lowered {
        let present = insn(op::LD | op::ABS | op::B, Ancillary::VlanTagPresent.offset());
        let stripped = self.compare(&[present], Cmp::Eq, 1);
        let mut type_load = self.load(Base::LinkType, 0, Size::H)?;
        let tci_load = self.load(Base::Net, 0, Size::H)?;
        let (payload, link_type) = (self.regs.alloc_lasting()?, self.regs.alloc_lasting()?);
        let plain = type_load.clone();
        let mut shifted = Steps::new();
        for reg in [payload, link_type] {
            shifted.extend([ld_mem(reg), alu(op::ADD, TAG), st(reg)]);
        }
        shifted.append(&mut type_load);
        let vlan = self.compare(&shifted, Cmp::Eq, ethertype::VLAN);
        let qinq = self.compare(&plain, Cmp::Eq, ethertype::QINQ);
        let old = self.compare(&plain, Cmp::Eq, ethertype::QINQ_OLD);
        let tagged = self.any(&[stripped, vlan, qinq, old]);
        self.layout.payload = Offset { variable: true, reg: Some(payload), ..self.layout.payload };
        self.layout.link_type =
            Offset { variable: true, reg: Some(link_type), ..self.layout.link_type };
        self.prologue.vlan_shifts = Some((payload, link_type));
        let Some(tag) = tag else { return Ok(tagged) };
        // ldb [vlanp]; jeq #1 jt 2 jf 4; ldb [vlan_tci]; ja 5; ldh [14]; and #0xfff
        let mut steps = vec![
            present,
            Stmt::Branch { code: op::JMP | op::JEQ | op::K, k: 1, jt: 2, jf: 4 },
            insn(op::LD | op::ABS | op::B, Ancillary::VlanTag.offset()),
            Stmt::Goto(4 + tci_load.len() as u32),
        ];
        steps.extend(tci_load);
        steps.push(alu(op::AND, 0x0fff));
        let vid = self.compare(&steps, Cmp::Eq, tag);
        Ok(self.and(tagged, vid))
    }

    /// `mpls [N]`.
    pub(super) fn mpls(&mut self, label: Option<u32>) -> Lowered {
        let mut mpls = if self.layout.mpls_depth > 0 {
            // Not the bottom of the stack.
            self.cmp(Base::PrevMpls, 2, Size::B, Cmp::Clear, 0x01)?
        } else {
            match self.layout.dlt {
                Dlt::C_HDLC | Dlt::HDLC => self.link_type(ethertype::MPLS)?,
                _ if self.layout.is_ethernet_like() => self.link_type(ethertype::MPLS)?,
                Dlt::PPP => self.link_type(ppp::MPLS)?,
                dlt => return Err(LowerError::NotSupportedOn { what: "mpls", dlt }),
            }
        };
        if let Some(label) = label {
            at_most("MPLS label", label, 0x000f_ffff)?;
            let is_label = self.eq_masked(Base::Net, 0, Size::W, 0xffff_f000, label << 12)?;
            mpls = self.and(mpls, is_label);
        }
        self.layout.network = self.layout.network.wrapping_add(LABEL);
        self.layout.network_no_snap = self.layout.network_no_snap.wrapping_add(LABEL);
        self.layout.mpls_depth += 1;
        self.layout.epoch += 1;
        Ok(mpls)
    }

    /// `pppoed`.
    pub(super) fn pppoed(&mut self) -> Lowered {
        self.link_type(ethertype::PPPOED)
    }

    /// `pppoes [N]`: a PPP header follows.
    pub(super) fn pppoes(&mut self, session: Option<u32>) -> Lowered {
        let mut pppoes = self.link_type(ethertype::PPPOES)?;
        if let Some(session) = session {
            at_most("PPPoE session number", session, 0xffff)?;
            let is_session = self.eq_masked(Base::Net, 0, Size::W, 0xffff, session)?;
            pppoes = self.and(pppoes, is_session);
        }
        let payload = self.layout.payload;
        let ppp = payload.plus(self.layout.network.wrapping_add(6));
        let mut layout = self.layout.enter(Dlt::PPP, ppp);
        layout.link_type = ppp;
        layout.payload = ppp.plus(2);
        (layout.network, layout.network_no_snap) = (0, 0);
        self.layout = layout;
        Ok(pppoes)
    }

    /// `geneve [N]`.
    pub(super) fn geneve(&mut self, vni: Option<u32>) -> Lowered {
        let (port, version) = (GENEVE_PORT, (0, 0xc0, 0));
        let header = TunnelHeader { port, version, vni, what: "Geneve VNI" };
        let found = self.tunnel(&header)?;
        self.optimizable = false;
        let (link_type, link, payload) =
            (self.regs.alloc()?, self.regs.alloc()?, self.regs.alloc()?);
        // A is where the transport header starts, without the constant part of its offset.
        let mut steps = vec![
            alu(op::ADD, self.transport_constant()),
            TAX,
            alu(op::ADD, 2),
            st(link_type),
            insn(op::LD | op::IND | op::B, 0),
            alu(op::AND, 0x3f),
            alu(op::MUL, 4),
            alu(op::ADD, 8),
            alu_x(op::ADD),
            st(link),
            insn(op::LD | op::IND | op::H, 2),
            ldx_mem(link),
        ];
        // With an Ethernet header the type field and the payload are that header's.
        let branch = steps.len() as u32;
        steps.push(Stmt::Branch {
            code: op::JMP | op::JEQ | op::K,
            k: ethertype::TEB,
            jt: branch + 1,
            jf: branch + 6,
        });
        steps.extend([
            TXA,
            alu(op::ADD, ETHER_TYPE),
            st(link_type),
            alu(op::ADD, ETHER_TYPE_LEN),
            TAX,
            stx(payload),
        ]);
        Ok(self.enter_tunnel(found, steps, link_type, link, payload))
    }

    /// `vxlan [N]`.
    pub(super) fn vxlan(&mut self, vni: Option<u32>) -> Lowered {
        let (port, version) = (VXLAN_PORT, (0, 0xff, 0x08));
        let header = TunnelHeader { port, version, vni, what: "VXLAN VNI" };
        let found = self.tunnel(&header)?;
        let (link, link_type, payload) =
            (self.regs.alloc()?, self.regs.alloc()?, self.regs.alloc()?);
        let steps = vec![
            alu(op::ADD, self.transport_constant()),
            alu(op::ADD, VXLAN_HEADER),
            st(link),
            alu(op::ADD, ETHER_TYPE),
            st(link_type),
            alu(op::ADD, ETHER_TYPE_LEN),
            TAX,
            stx(payload),
        ];
        Ok(self.enter_tunnel(found, steps, link_type, link, payload))
    }

    /// What to add to the length of the IP header to get at what follows UDP.
    fn transport_constant(&self) -> u32 {
        let layout = &self.layout;
        layout.payload.constant.wrapping_add(layout.network).wrapping_add(UDP_HEADER)
    }

    /// The tunnel's header over IPv4 or IPv6. Where it is found A is the length of the IP header,
    /// plus the variable part of its offset.
    fn tunnel(&mut self, header: &TunnelHeader) -> Lowered {
        let guard = self.v4_port_guard(Some(ipproto::UDP))?;
        let mut steps;
        let found = self.tunnel_header(Base::Transport4, header)?;
        steps = self.ipv4_header_length()?;
        steps.push(TXA);
        let length = self.keep(&steps);
        let v4 = self.all(&[guard, found, length]);
        let guard = self.v6_port_guard(Some(ipproto::UDP))?;
        let found = self.tunnel_header(Base::Transport6, header)?;
        steps = match self.offset_reg(Field::Payload)? {
            Some(reg) => vec![ldx_mem(reg), ld_imm(40), alu_x(op::ADD), TAX],
            None => vec![ld_imm(40), TAX],
        };
        let length = self.keep(&steps);
        let v6 = self.all(&[guard, found, length]);
        Ok(self.or(v4, v6))
    }

    /// Steps that leave the same value in A and X, as a test that always holds.
    fn keep(&mut self, steps: &[Stmt]) -> CondId {
        self.tree.test(steps, Compare { code: op::JMP | op::JEQ | op::X, k: 0 })
    }

    fn tunnel_header(&mut self, base: Base, header: &TunnelHeader) -> Lowered {
        let ports = Ports { low: header.port, high: header.port };
        let port = self.port_fields(base, ports, Some(Dir::Dst))?;
        let (offset, mask, value) = header.version;
        let at = UDP_HEADER + offset;
        let mask = if mask == 0xff { u32::MAX } else { mask };
        let version = self.eq_masked(base, at, Size::B, mask, value)?;
        let mut terms = vec![port, version];
        if let Some(vni) = header.vni {
            at_most(header.what, vni, 0x00ff_ffff)?;
            let at = UDP_HEADER + 4;
            terms.push(self.eq_masked(base, at, Size::W, 0xffff_ff00, vni << 8)?);
        }
        Ok(self.all(&terms))
    }

    /// Runs the steps that fill the registers, and moves the headers to them.
    fn enter_tunnel(
        &mut self,
        found: CondId,
        mut steps: Steps,
        link_type: u8,
        link: u8,
        payload: u8,
    ) -> CondId {
        // Both paths to these steps have a value of their own in A: no constant may be folded
        // into the test.
        steps.push(ld_imm(0));
        let moved = self.compare(&steps, Cmp::Eq, 0);
        let mut layout = self.layout.enter(Dlt::EN10MB, Offset::in_register(link));
        layout.link_type = Offset::in_register(link_type);
        layout.payload = Offset::in_register(payload);
        layout.network = 0;
        layout.tunnel = Tunnel::Encap;
        self.layout = layout;
        self.and(found, moved)
    }
}
