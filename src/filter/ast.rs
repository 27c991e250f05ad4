//! The syntax tree: what the text says, with qualifiers inherited but nothing looked up.
//!
//! Arenas and indices, no boxes: nesting is as deep as the user likes, and building, walking and
//! dropping the tree must not recurse.

use std::ops::Range;

/// Byte range in the filter text.
pub type Span = Range<usize>;

/// Index of an [`Expr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExprId(pub u32);

/// Index of an [`Arith`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArithId(pub u32);

/// A parsed filter. An empty text has no root and accepts everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ast {
    /// Boolean expressions.
    pub exprs: Vec<Expr>,
    /// Arithmetic expressions.
    pub ariths: Vec<Arith>,
    /// The whole filter.
    pub root: Option<ExprId>,
}

/// A boolean expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `a and b` (same precedence as `or`, left-associative, as in pcap-filter(7)).
    And(ExprId, ExprId),
    /// `a or b`.
    Or(ExprId, ExprId),
    /// `not a`.
    Not(ExprId),
    /// A primitive and where it stands.
    Prim(Primitive, Span),
}

/// Protocol qualifier of a primitive (libpcap's `Q_*` protocols).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Proto {
    Link,
    Ip,
    Arp,
    Rarp,
    Sctp,
    Tcp,
    Udp,
    Icmp,
    Igmp,
    Igrp,
    Atalk,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Ipv6,
    Icmpv6,
    Ah,
    Esp,
    Pim,
    Vrrp,
    Aarp,
    Iso,
    Esis,
    Isis,
    Clnp,
    Stp,
    Ipx,
    Netbeui,
    IsisL1,
    IsisL2,
    IsisIih,
    IsisSnp,
    IsisCsnp,
    IsisPsnp,
    IsisLsp,
    Radio,
    Carp,
}

/// Direction qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Dir {
    Src,
    Dst,
    SrcOrDst,
    SrcAndDst,
    Addr1,
    Addr2,
    Addr3,
    Addr4,
    Ra,
    Ta,
}

/// Kind of identifier a primitive names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AddrKind {
    Host,
    Net,
    Port,
    PortRange,
    Gateway,
    Proto,
    ProtoChain,
}

/// Qualifiers in force for an identifier; `None` where the text has none (libpcap's `Q_DEFAULT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quals {
    /// Protocol.
    pub proto: Option<Proto>,
    /// Direction.
    pub dir: Option<Dir>,
    /// Kind of identifier.
    pub addr: Option<AddrKind>,
}

/// An identifier as the lexer classified it, with its text kept for errors and look-ups.
#[derive(Clone, Debug, PartialEq)]
pub enum Id {
    /// A bare name (host, net, port, protocol … as the qualifiers say).
    Name(String),
    /// A decimal, octal or hexadecimal number.
    Num(u32),
    /// Dotted IPv4, 1 to 4 parts, with its text.
    V4(String),
    /// `a.b.c.d/len`.
    V4Prefix(String, u32),
    /// `a.b.c.d mask e.f.g.h`.
    V4Mask(String, String),
    /// An IPv6 address.
    V6(String),
    /// `addr/len`.
    V6Prefix(String, u32),
    /// An Ethernet address, with its text as written.
    Ether([u8; 6], String),
    /// An ARCnet address (`$XX`), with its text as written.
    Arcnet(u8, String),
}

/// Comparison in a relation, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RelOp {
    Gt,
    Ge,
    Eq,
    Le,
    Lt,
    Ne,
}

/// Operator of the old `byte N op V` primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ByteOp {
    And,
    Or,
    Lt,
    Gt,
    Eq,
}

/// Binary arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ArithOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Lsh,
    Rsh,
}

/// An arithmetic expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Arith {
    /// A number.
    Num(u32),
    /// `len`.
    Len,
    /// `proto[index:size]`; size 1, 2 or 4 is checked when lowered.
    Load {
        /// Protocol whose header the index counts from.
        proto: Proto,
        /// Offset.
        index: ArithId,
        /// Bytes.
        size: u32,
        /// Where it stands.
        span: Span,
    },
    /// `-a`.
    Neg(ArithId),
    /// `a op b`.
    Binary(ArithOp, ArithId, ArithId),
}

/// An ATM field (`vpi`, `vci`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AtmField {
    Vpi,
    Vci,
}

/// ATM type keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AtmType {
    Lane,
    Metac,
    Bcc,
    Sc,
    Ilmic,
    OamF4Ec,
    OamF4Sc,
    Oam,
    OamF4,
    ConnectMsg,
    MetaConnect,
}

/// MTP2 unit types, with the `h` (high speed) forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Mtp2Type {
    Fisu,
    Lssu,
    Msu,
    HFisu,
    HLssu,
    HMsu,
}

/// MTP3 fields, with the `h` forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Mtp3Field {
    Sio,
    Opc,
    Dpc,
    Sls,
    HSio,
    HOpc,
    HDpc,
    HSls,
}

/// One comparison in a list such as `vpi (1 or > 7)`; the list is an or.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueTest {
    /// How to compare.
    pub op: RelOp,
    /// With what.
    pub value: u32,
}

/// A name or a number, where a keyword takes either.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum NameOrNum {
    Name(String),
    Num(u32),
}

/// A primitive of pcap-filter(7).
#[derive(Clone, Debug, PartialEq)]
pub enum Primitive {
    /// `[proto] [dir] [kind] id`.
    Id(Quals, Id),
    /// A protocol by itself: `ip`, `tcp`, `isis` …
    Proto(Proto),
    /// `[proto] broadcast`.
    Broadcast(Option<Proto>),
    /// `[proto] multicast`.
    Multicast(Option<Proto>),
    /// `less N`.
    Less(u32),
    /// `greater N`.
    Greater(u32),
    /// `byte N op V`.
    Byte {
        /// Offset.
        index: u32,
        /// Operator.
        op: ByteOp,
        /// Operand.
        value: u32,
    },
    /// `arith relop arith`.
    Relation(RelOp, ArithId, ArithId),
    /// `inbound`.
    Inbound,
    /// `outbound`.
    Outbound,
    /// `ifindex N`.
    IfIndex(u32),
    /// `vlan [N]`.
    Vlan(Option<u32>),
    /// `mpls [N]`.
    Mpls(Option<u32>),
    /// `pppoed`.
    Pppoed,
    /// `pppoes [N]`.
    Pppoes(Option<u32>),
    /// `geneve [N]`.
    Geneve(Option<u32>),
    /// `vxlan [N]`.
    Vxlan(Option<u32>),
    /// `ifname NAME` / `on NAME`.
    PfIfname(String),
    /// `ruleset NAME` / `rset NAME`.
    PfRuleset(String),
    /// `rulenum N` / `rnr N`.
    PfRnr(u32),
    /// `subrulenum N` / `srnr N`.
    PfSrnr(u32),
    /// `reason WHY`.
    PfReason(NameOrNum),
    /// `action WHAT`.
    PfAction(NameOrNum),
    /// `type T [subtype S]`, or `subtype S`, which tells the type: bits of the frame control field.
    WlanType {
        /// Type, in place.
        ty: u32,
        /// Subtype, in place.
        subtype: Option<u32>,
    },
    /// `dir D`.
    WlanDir(u32),
    /// `llc [name]`.
    Llc(Option<String>),
    /// An ATM keyword.
    AtmType(AtmType),
    /// `vpi`/`vci` with one or more values.
    AtmField(AtmField, Vec<ValueTest>),
    /// `fisu` …
    Mtp2Type(Mtp2Type),
    /// `sio`, `opc` … with one or more values.
    Mtp3Field(Mtp3Field, Vec<ValueTest>),
}

impl Ast {
    /// The boolean expression behind an id.
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    /// The arithmetic expression behind an id.
    pub fn arith(&self, id: ArithId) -> &Arith {
        &self.ariths[id.0 as usize]
    }
}
