//! The graph as a picture, for debugging the optimizer.

use std::fmt::Write;

use crate::bpf::{Insn, image, op};
use crate::filter::cfg::{Cfg, Term, TestOp};

/// The reachable part of the graph in Graphviz's language.
pub fn dot(cfg: &Cfg, title: &str) -> String {
    let mut text = format!("digraph \"{title}\" {{\n  node [shape=box fontname=monospace];\n");
    let mut order = cfg.postorder();
    order.reverse();
    for id in order {
        let block = cfg.block(id);
        let mut label = format!("{}:\\l", id.0);
        let mut line = |insn: &Insn| {
            let picture = image(insn, 0).to_string();
            let picture = picture.trim_start_matches("(000) ");
            // The edges say where jumps go.
            label.push_str(picture.split(" jt ").next().unwrap_or(picture).trim_end());
            label.push_str("\\l");
        };
        cfg.insns_of(id).iter().for_each(&mut line);
        let mut edges = Vec::new();
        match block.term {
            Term::Ret(k) => line(&Insn::stmt(op::RET | op::K, k)),
            Term::Goto(to) => edges.push((to, "")),
            Term::If { test, jt, jf } => {
                match test {
                    TestOp::Compare(compare) => line(&Insn::jump(compare.code, compare.k, 0, 0)),
                    TestOp::In(set) => _ = write!(label, "in set {}\\l", set.0),
                }
                edges.extend([(jt, "true"), (jf, "false")]);
            }
        }
        // Writing to a String does not fail.
        _ = writeln!(text, "  b{} [label=\"{label}\"];", id.0);
        for (to, name) in edges {
            _ = writeln!(text, "  b{} -> b{} [label=\"{name}\"];", id.0, to.0);
        }
    }
    text.push_str("}\n");
    text
}
