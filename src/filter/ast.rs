//! The syntax tree: what the text says, with qualifiers inherited but nothing looked up.
//!
//! Arenas and indices, no boxes: nesting is as deep as the user likes, and building, walking and
//! dropping the tree must not recurse. Identifiers are spans of the text, so that a term is few bytes
//! in one piece: reading a tree of 100,000 terms is a matter of caches and pages.

mod arenas;

use std::ops::Range;

pub use arenas::{ArithId, ExprId};

/// Byte range in the filter text, which is at most 4 GiB long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start as usize..span.end as usize
    }
}

/// A primitive and where it stands, 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The primitive.
    pub primitive: Primitive,
    /// Its text, which for an identifier is that of the identifier alone.
    pub span: Span,
}

/// A parsed filter. An empty text has no root and accepts everything.
#[derive(Clone, Default, PartialEq)]
pub struct Ast<'t> {
    /// The text that the spans are of.
    pub text: &'t [u8],
    /// Primitives.
    pub terms: Vec<Term>,
    /// Operands of `and`s and `or`s.
    pub joins: Vec<[ExprId; 2]>,
    /// Arithmetic expressions.
    pub ariths: Vec<Arith>,
    /// Comparisons of all [`TestList`]s.
    pub tests: Vec<ValueTest>,
    /// The whole filter.
    pub root: Option<ExprId>,
}

/// A boolean expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expr {
    /// `a and b` (same precedence as `or`, left-associative, as in pcap-filter(7)).
    And(ExprId, ExprId),
    /// `a or b`.
    Or(ExprId, ExprId),
    /// `not a`.
    Not(ExprId),
    /// A primitive.
    Term(Term),
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

/// An identifier as the lexer classified it; its text is what the primitive's span has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Id {
    /// A bare name (host, net, port, protocol … as the qualifiers say).
    Name,
    /// A decimal, octal or hexadecimal number.
    Num(u32),
    /// Dotted IPv4, 1 to 4 parts.
    V4,
    /// `a.b.c.d/len`.
    V4Prefix(u32),
    /// `a.b.c.d mask e.f.g.h`.
    V4Mask {
        /// Where the mask begins in the text.
        mask: u32,
    },
    /// An IPv6 address.
    V6,
    /// `addr/len`.
    V6Prefix(u32),
    /// An Ethernet address.
    Ether([u8; 6]),
    /// An ARCnet address (`$XX`).
    Arcnet(u8),
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

/// An arithmetic expression, 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// A part of [`Ast::tests`]: the comparisons of one primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestList {
    /// Index of the first.
    pub start: u32,
    /// Index after the last.
    pub end: u32,
}

/// A primitive of pcap-filter(7), 12 bytes. Names are spans that [`Ast::name`] reads.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    PfIfname(Span),
    /// `ruleset NAME` / `rset NAME`.
    PfRuleset(Span),
    /// `rulenum N` / `rnr N`.
    PfRnr(u32),
    /// `subrulenum N` / `srnr N`.
    PfSrnr(u32),
    /// `reason NAME`.
    PfReason(Span),
    /// `reason N`.
    PfReasonCode(u32),
    /// `action NAME`.
    PfAction(Span),
    /// `type T [subtype S]`, or `subtype S`, which tells the type: bits of the frame control field.
    WlanType {
        /// Type, in place.
        ty: u8,
        /// Subtype, in place.
        subtype: Option<u8>,
    },
    /// `dir D`.
    WlanDir(u32),
    /// `llc`.
    Llc,
    /// `llc NAME`.
    LlcType(Span),
    /// `llc rnr`, whose type is a keyword of PFLOG filters.
    LlcRnr,
    /// An ATM keyword.
    AtmType(AtmType),
    /// `vpi`/`vci` with one or more values.
    AtmField(AtmField, TestList),
    /// `fisu` …
    Mtp2Type(Mtp2Type),
    /// `sio`, `opc` … with one or more values.
    Mtp3Field(Mtp3Field, TestList),
}

// What a filter of many terms takes: see the head of this file.
const _: () = assert!(size_of::<Term>() == 20 && size_of::<Arith>() == 12);
