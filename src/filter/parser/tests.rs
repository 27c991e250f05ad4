use super::*;
use crate::filter::ast::{AddrKind, Arith, Dir, Expr, Term};

/// The tree in a notation of its own: prefix, one word each.
fn show(text: &str) -> String {
    let ast = match parse(text.as_bytes()) {
        Ok(ast) => ast,
        Err(e) => return format!("{}", e.error),
    };
    ast.root.map_or_else(|| "empty".to_owned(), |root| show_expr(&ast, root))
}

fn show_expr(ast: &Ast, id: ExprId) -> String {
    match ast.expr(id) {
        Expr::And(a, b) => format!("(and {} {})", show_expr(ast, a), show_expr(ast, b)),
        Expr::Or(a, b) => format!("(or {} {})", show_expr(ast, a), show_expr(ast, b)),
        Expr::Not(a) => format!("(not {})", show_expr(ast, a)),
        Expr::Term(term) => show_term(ast, term),
    }
}

fn show_term(ast: &Ast, Term { primitive, span }: Term) -> String {
    match primitive {
        Primitive::Id(q, id) => {
            let mut words = Vec::new();
            words.extend(q.proto.map(|p| format!("{p:?} ")));
            words.extend(q.dir.map(|d| format!("{d:?} ")));
            words.extend(q.addr.map(|a| format!("{a:?} ")));
            let address = || String::from_utf8_lossy(ast.address(span));
            let id = match id {
                Id::Name => ast.name(span).into_owned(),
                Id::V4 | Id::V6 => address().into_owned(),
                Id::Ether(_) | Id::Arcnet(_) => {
                    String::from_utf8_lossy(ast.bytes(span)).into_owned()
                }
                Id::Num(n) => n.to_string(),
                Id::V4Prefix(n) | Id::V6Prefix(n) => format!("{}/{n}", address()),
                Id::V4Mask { mask } => {
                    let mask = ast.bytes(Span { start: mask, ..span });
                    format!("{}&{}", address(), String::from_utf8_lossy(mask))
                }
            };
            format!("[{}{id}]", words.concat())
        }
        Primitive::Relation(op, a, b) => {
            format!("({op:?} {} {})", show_arith(ast, a), show_arith(ast, b))
        }
        Primitive::LlcType(name) => format!("LlcType({})", ast.name(name)),
        Primitive::AtmField(field, list) => {
            format!("AtmField({field:?}, {:?})", ast.tests(list))
        }
        Primitive::Mtp3Field(field, list) => {
            format!("Mtp3Field({field:?}, {:?})", ast.tests(list))
        }
        p => format!("{p:?}"),
    }
}

fn show_arith(ast: &Ast, id: ArithId) -> String {
    match ast.arith(id) {
        Arith::Num(n) => n.to_string(),
        Arith::Len => "len".to_owned(),
        Arith::Load { proto, index, size, .. } => {
            format!("{proto:?}[{}:{size}]", show_arith(ast, index))
        }
        Arith::Neg(a) => format!("(Neg {})", show_arith(ast, a)),
        Arith::Binary(op, a, b) => {
            format!("({op:?} {} {})", show_arith(ast, a), show_arith(ast, b))
        }
    }
}

const SYNTAX: &str = "can't parse filter expression: syntax error";
const NO_QUALS: &str = "syntax error in filter expression";

#[test]
fn trees() {
    for (text, tree) in [
        ("", "empty"),
        (" \t\r\n", "empty"),
        ("host a", "[Host a]"),
        ("port 80 or 443", "(or [Port 80] [Port 443])"),
        ("not host a and b", "(and (not [Host a]) [Host b])"),
        ("!!!tcp", "(not Proto(Tcp))"),
        ("!(!(tcp))", "Proto(Tcp)"),
        ("tcp src port 1 or 2", "(or [Tcp Src Port 1] [Tcp Src Port 2])"),
        ("src or dst 1.2.3.4", "[SrcOrDst 1.2.3.4]"),
        ("dst and src net 10", "[SrcAndDst Net 10]"),
        ("ip and tcp or udp", "(or (and Proto(Ip) Proto(Tcp)) Proto(Udp))"),
        ("ip || tcp && udp", "(and (or Proto(Ip) Proto(Tcp)) Proto(Udp))"),
        ("port 80 and (tcp) and 443", "(and (and [Port 80] Proto(Tcp)) [Port 443])"),
        ("port (80 or 443) and 22", "(and (or [Port 80] [Port 443]) [Port 22])"),
        ("port (not (80 or 443))", "(not (or [Port 80] [Port 443]))"),
        ("port (not 80)", "(not [Port 80])"),
        ("port ((80)) or ((443))", "(or [Port 80] [Port 443])"),
        ("port ((80) or ((443) or 22))", "(or [Port 80] (or [Port 443] [Port 22]))"),
        ("port (((80)) or 443)", "(or [Port 80] [Port 443])"),
        ("port not (80 or http and 8080)", "(not (and (or [Port 80] [Port http]) [Port 8080]))"),
        ("not port not 80", "[Port 80]"),
        ("port 80 and not (22 or 23)", "(and [Port 80] (not (or [Port 22] [Port 23])))"),
        ("port 80 and not (22 > 21)", "(and [Port 80] (not (Gt 22 21)))"),
        ("port 80 and (not 22 > 21)", "(and [Port 80] (not (Gt 22 21)))"),
        ("port 80 and (not tcp or 21)", NO_QUALS),
        ("port 80 and (not 22 or tcp)", SYNTAX),
        ("port 80 and ((22 or 21) and udp)", SYNTAX),
        ("port 80 and (22 > 21 or udp)", "(and [Port 80] (or (Gt 22 21) Proto(Udp)))"),
        ("net 1.2/16 or 3.4.5.6 mask 255.255.0.0", "(or [Net 1.2/16] [Net 3.4.5.6&255.255.0.0])"),
        ("host ::1 or fe80::/10", "(or [Host ::1] [Host fe80::/10])"),
        (
            "ether host 0:1:2:3:4:5 or 0001.0203.0405",
            "(or [Link Host 0:1:2:3:4:5] [Link Host 0001.0203.0405])",
        ),
        ("link host $fe", "[Link Host $fe]"),
        ("portrange 25-53", "[PortRange 25-53]"),
        ("ip proto \\tcp", "[Ip Proto tcp]"),
        ("host \\host", "[Host host]"),
        ("wlan addr1 0:1:2:3:4:5", "[Link Addr1 0:1:2:3:4:5]"),
        ("len > 1 and less 5", "(and (Gt len 1) Less(5))"),
        ("vlan 5 and vlan", "(and Vlan(Some(5)) Vlan(None))"),
        ("vlan ((5))", "Vlan(Some(5))"),
        ("llc rnr", "LlcRnr"),
        ("llc rulenum", "LlcRnr"),
        ("llc \\rnr", "LlcType(rnr)"),
        ("llc ui", "LlcType(ui)"),
        ("llc", "Llc"),
        ("tcp\0udp", "Proto(Tcp)"),
        (
            "vpi (1 or 2)",
            "AtmField(Vpi, [ValueTest { op: Eq, value: 1 }, ValueTest { op: Eq, value: 2 }])",
        ),
        ("sio != 3", "Mtp3Field(Sio, [ValueTest { op: Ne, value: 3 }])"),
    ] {
        assert_eq!(show(text), tree, "{text}");
    }
}

#[test]
fn arithmetic() {
    for (text, tree) in [
        ("1+2*3 = 7", "(Eq (Add 1 (Mul 2 3)) 7)"),
        ("1*2+3 = 7", "(Eq (Add (Mul 1 2) 3) 7)"),
        ("1 - 2 - 3 = 7", "(Eq (Sub (Sub 1 2) 3) 7)"),
        ("1 & 2 | 3 << 4 + 5 = 7", "(Eq (Or (And 1 2) (Lsh 3 (Add 4 5))) 7)"),
        ("len % 2 + 3 = 5", "(Eq (Mod len (Add 2 3)) 5)"),
        ("len * 2 ^ 3 * 4 + 1 = 5", "(Eq (Mul len (Xor 2 (Add (Mul 3 4) 1))) 5)"),
        ("-len + 1 = 5", "(Eq (Add (Neg len) 1) 5)"),
        ("-len % 3 = 5", "(Eq (Neg (Mod len 3)) 5)"),
        ("- -len = 5", "(Eq (Neg (Neg len)) 5)"),
        ("((len)) = ((5))", "(Eq len 5)"),
        ("(len + 1) * 2 <= (3)", "(Le (Mul (Add len 1) 2) 3)"),
        ("((1) + (2)) > 2", "(Gt (Add 1 2) 2)"),
        ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "(Ne (And Tcp[13:1] (Or 2 1)) 0)"),
        ("ip[ip[0]&0xf:2] = 1", "(Eq Ip[(And Ip[0:1] 15):2] 1)"),
        ("(tcp[0] = 1)", "(Eq Tcp[0:1] 1)"),
        ("not (1+2) > 3", "(not (Gt (Add 1 2) 3))"),
        ("(not 1+2 > 3 and tcp)", "(and (not (Gt (Add 1 2) 3)) Proto(Tcp))"),
        ("port 80 or (1 + 2 > 3)", "(or [Port 80] (Gt (Add 1 2) 3))"),
        ("2147483647 < 2147483648 + 4294967295", "(Lt 2147483647 (Add 2147483648 4294967295))"),
        ("0x10 = 020 and 0X1F = 31", "(and (Eq 16 16) (Eq 31 31))"),
    ] {
        assert_eq!(show(text), tree, "{text}");
    }
}

/// Texts that no rule of the grammar takes.
#[rustfmt::skip]
const NO_EXPRESSIONS: &[&str] = &[
    "()", ")", "(", "((tcp)", "tcp)", "tcp udp", "and", "tcp and", "tcp and or udp", "not", "12",
    "(12)", "len", "len + 1", "(len)", "1 = 2 = 3", "1 + tcp", "port", "port 80 + 1", "port tcp",
    "proto tcp", "ip 1.2.3.4", "1.2.3.4", "host", "src and src 1.2.3.4", "dst gateway x",
    "src proto \\tcp", "net 10 mask 255.0.0.0", "net 10.0.0.0 mask 255", "geneve invalid", "\\lldp",
    "vlan 5 mpls", "vlan (5", "tcp[0:(1)] = 1", "tcp[0:1", "tcp[", "tcp[] = 1", "subtype 5", "type",
    "action 5", "byte 1 >= 2", "@", "port 80 @", "host $", "host \\", "port (80 and)",
    "port (80 + 1)", "port (tcp)", "not not", "(not)", "vpi (1 and 2)", "less x", "(1 2)",
    "len[0] = 1", "1 + (tcp) = 2", "port 80 or (1)+", "mask", "(tcp) > 1",
];

#[test]
fn refused() {
    for text in NO_EXPRESSIONS {
        assert_eq!(show(text), SYNTAX, "{text}");
    }
    for text in ["tcp and 443", "(port 80) and 443", "tcp and foo", "tcp and (not 80)"] {
        assert_eq!(show(text), NO_QUALS, "{text}");
    }
    for (text, error) in [
        ("port 099", "number 099 contains non-octal digit"),
        ("port 4294967296", "number 4294967296 overflows 32 bits"),
        ("len = 0x123456789", "number 0x123456789 overflows 32 bits"),
        ("ether ab:cd:ef:0g:00:00", "invalid Ethernet address 'ab:cd:ef:'"),
        ("ether host ab:cd:ef:0g:00:00", "invalid Ethernet address 'ab:cd:ef:'"),
        ("host ::1.2.3.400", "invalid IPv6 address '::1.2.3.400'"),
        ("tcp and 1:2:3:4:5:6", "Ethernet address used in non-ether expression"),
    ] {
        assert_eq!(show(text), error, "{text}");
    }
}

#[test]
fn inherited_qualifiers() {
    let ast = parse(b"udp dst port 53 or 54").unwrap();
    let Expr::Or(_, right) = ast.expr(ast.root.unwrap()) else { panic!("no or") };
    let Expr::Term(Term { primitive: Primitive::Id(quals, Id::Num(54)), span }) = ast.expr(right)
    else {
        panic!("no id")
    };
    let wanted = Quals { proto: Some(Proto::Udp), dir: Some(Dir::Dst), addr: Some(AddrKind::Port) };
    assert_eq!((quals, span), (wanted, Span { start: 19, end: 21 }));
}

#[test]
fn part_before_an_error() {
    for (text, tree) in [
        ("host nosuch and @", "[Host nosuch]"),
        ("host a and (host b or tcp", "(and [Host a] (or [Host b] Proto(Tcp)))"),
        ("ip[0:3] @", "(Eq Ip[0:3] Ip[0:3])"),
        ("port 80 + 1", "[Port 80]"),
    ] {
        let before = parse(text.as_bytes()).unwrap_err().before;
        assert_eq!(show_expr(&before, before.root.unwrap()), tree, "{text}");
    }
    assert!(parse(b"@").unwrap_err().before.root.is_none());
}

#[test]
fn deep_and_long() {
    let on_small_stack = std::thread::Builder::new().stack_size(256 << 10).spawn(|| {
        let n = 1_000_000;
        let deep = format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(parse(deep.as_bytes()).unwrap().terms.len(), 1);
        let arith = format!("{}len{} = 1", "(".repeat(n), ")".repeat(n));
        assert_eq!(parse(arith.as_bytes()).unwrap().ariths, [Arith::Len]);
        let not = format!("{}tcp", "!".repeat(16 << 20));
        assert_eq!(parse(not.as_bytes()).unwrap().terms.len(), 1);
        let open = "(".repeat(16 << 20);
        let kind = parse(open.as_bytes()).unwrap_err().error.kind;
        assert_eq!(kind, ErrorKind::NestedTooDeeply(MAX_NESTING));
        let long = vec!["ip"; 5 << 20].join("||");
        let kind = parse(long.as_bytes()).unwrap_err().error.kind;
        assert_eq!(kind, ErrorKind::TooManyTerms(MAX_TERMS));
        let minus = format!("{}1 = 1", "-".repeat(16 << 20));
        let kind = parse(minus.as_bytes()).unwrap_err().error.kind;
        assert_eq!(kind, ErrorKind::TooManyTerms(MAX_TERMS));
    });
    on_small_stack.unwrap().join().unwrap();
}
