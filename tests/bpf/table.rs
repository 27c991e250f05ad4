//! One row for every instruction: what it must leave behind.

use super::{Engines, to_oracle, verdict};
use oracle::Oracle;
use pcap::bpf::{Aux, Insn, is_known, op};
use std::collections::BTreeSet;

/// A program and the verdict it must give on [`PACKET`].
pub struct Row {
    pub program: Vec<Insn>,
    pub expected: u32,
}

/// Bytes 00 to 0f, then f5.
pub const PACKET: [u8; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xf5];

const RET_A: Insn = Insn::stmt(op::RET | op::A, 0);
const TXA: Insn = Insn::stmt(op::MISC | op::TXA, 0);

fn row(insns: &[Insn], expected: u32) -> Row {
    Row { program: insns.to_vec(), expected }
}

/// The accumulator after `insns`.
fn a(insns: &[(u16, u32)], expected: u32) -> Row {
    let mut program: Vec<_> = insns.iter().map(|&(code, k)| Insn::stmt(code, k)).collect();
    program.push(RET_A);
    Row { program, expected }
}

/// A = `a`, X = `x`, then one instruction.
fn alu(operation: u16, left: u32, right: u32, expected: u32) -> [Row; 2] {
    let by_k = a(&[(0x00, left), (op::ALU | operation | op::K, right)], expected);
    let by_x = a(&[(0x00, left), (0x01, right), (op::ALU | operation | op::X, 0)], expected);
    [by_k, by_x]
}

/// Returns 1 when the jump is taken, 2 when not.
fn jump(operation: u16, left: u32, right: u32, taken: bool) -> [Row; 2] {
    let tail = [Insn::stmt(0x06, 1), Insn::stmt(0x06, 2)];
    let head = [Insn::stmt(0x00, left), Insn::stmt(0x01, right)];
    let expected = if taken { 1 } else { 2 };
    [op::K, op::X].map(|src| {
        let insn = Insn::jump(op::JMP | operation | src, right, 0, 1);
        row(&[&head[..], &[insn], &tail[..]].concat(), expected)
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        a(&[(0x00, 0xdead_beef)], 0xdead_beef),
        a(&[(0x80, 0)], 17),
        a(&[(0x20, 1)], 0x0102_0304),
        a(&[(0x20, 13)], 0x0d0e_0ff5),
        a(&[(0x20, 14)], 0),
        a(&[(0x20, 0xffff_fffc)], 0),
        a(&[(0x28, 15)], 0x0ff5),
        a(&[(0x28, 16)], 0),
        a(&[(0x30, 16)], 0xf5),
        a(&[(0x30, 17)], 0),
        a(&[(0x01, 3), (0x40, 2)], 0x0506_0708),
        a(&[(0x01, 3), (0x48, 12)], 0x0ff5),
        a(&[(0x01, 3), (0x48, 13)], 0),
        a(&[(0x01, 16), (0x50, 0)], 0xf5),
        a(&[(0x01, 0xffff_ffff), (0x50, 2)], 0),
        a(&[(0x01, 0x8000_0000), (0x50, 0x8000_0001)], 0),
        a(&[(0x00, 7), (0x02, 15), (0x00, 0), (0x60, 15)], 7),
        a(&[(0x01, 8), (0x03, 0), (0x01, 0), (0x61, 0), (0x87, 0)], 8),
        a(&[(0x01, 9), (0x87, 0)], 9),
        a(&[(0x81, 0), (0x87, 0)], 17),
        a(&[(0xb1, 16), (0x87, 0)], 20),
        a(&[(0xb1, 17), (0x00, 3)], 0),
        a(&[(0x00, 5), (0xb1, 16)], 5),
        a(&[(0x00, 5), (0x07, 0), (0x00, 1), (0x87, 0)], 5),
        a(&[(0x00, 5), (0x84, 0)], 5u32.wrapping_neg()),
        row(&[Insn::stmt(0x06, 0xffff_ffff)], 0xffff_ffff),
        row(&[Insn::stmt(0x05, 1), Insn::stmt(0x06, 1), Insn::stmt(0x06, 2)], 2),
        row(&[Insn::stmt(0x01, 4), TXA, RET_A], 4),
    ];
    let alus = [
        (op::ADD, 0xffff_ffff, 2, 1),
        (op::SUB, 1, 2, 0xffff_ffff),
        (op::MUL, 0x8000_0001, 2, 2),
        (op::DIV, 0xffff_ffff, 16, 0x0fff_ffff),
        (op::DIV, 0xffff_fffe, 0xffff_ffff, 0),
        (op::DIV, 100, 7, 14),
        (op::MOD, 100, 7, 2),
        (op::MOD, 0xffff_ffff, 8, 7),
        (op::OR, 0xf0, 0x8000_000f, 0x8000_00ff),
        (op::AND, 0xffff_00ff, 0x8000_0ff0, 0x8000_00f0),
        (op::XOR, 0xffff_ffff, 0x8000_0001, 0x7fff_fffe),
        (op::LSH, 3, 31, 0x8000_0000),
        (op::LSH, 3, 0, 3),
        (op::RSH, 0x8000_0000, 31, 1),
    ];
    rows.extend(alus.into_iter().flat_map(|(operation, l, r, e)| alu(operation, l, r, e)));
    let jumps = [
        (op::JEQ, 5, 5, true),
        (op::JEQ, 0x8000_0000, 0x8000_0000, true),
        (op::JEQ, 5, 6, false),
        (op::JGT, 0x8000_0000, 0x7fff_ffff, true),
        (op::JGT, 5, 5, false),
        (op::JGT, 0, 0xffff_ffff, false),
        (op::JGE, 5, 5, true),
        (op::JGE, 0xffff_ffff, 0, true),
        (op::JGE, 0x7fff_ffff, 0x8000_0000, false),
        (op::JSET, 0x8000_0001, 0x8000_0000, true),
        (op::JSET, 0x8000_0001, 0xffff_ffff, true),
        (op::JSET, 6, 9, false),
        (op::JSET, 6, 0, false),
    ];
    rows.extend(jumps.into_iter().flat_map(|(operation, l, r, t)| jump(operation, l, r, t)));
    rows
}

/// Verdicts that libpcap's interpreter and kernels differ from, by an undefined shift or by
/// taking counts modulo 32.
fn rows_of_our_own() -> Vec<Row> {
    vec![
        a(&[(0x00, 5), (0x64, 33)], 0),
        a(&[(0x00, 5), (0x74, 32)], 0),
        a(&[(0x00, 5), (0x01, 33), (0x6c, 0)], 0),
        a(&[(0x00, 5), (0x01, 0xffff_ffff), (0x7c, 0)], 0),
        a(&[(0x60, 3)], 0),
        a(&[(0x00, 5), (0x3c, 0), (0x00, 1)], 0),
        a(&[(0x00, 5), (0x9c, 0), (0x00, 1)], 0),
    ]
}

#[test]
fn every_instruction() {
    let mut oracle = Oracle::start();
    for Row { program, expected } in rows() {
        let engines = Engines::new(&program);
        let verdict = verdict(&engines, &PACKET, 17, &Aux::NONE);
        assert_eq!(verdict, expected, "{}", super::listing(&program));
        let theirs = oracle.filter(&to_oracle(&program), &[(&PACKET, 17)]);
        assert_eq!(theirs, [expected], "{}", super::listing(&program));
    }
    for Row { program, expected } in rows_of_our_own() {
        let engines = Engines::new(&program);
        let verdict = verdict(&engines, &PACKET, 17, &Aux::NONE);
        assert_eq!(verdict, expected, "{}", super::listing(&program));
    }
}

#[test]
fn no_instruction_is_missing_from_the_table() {
    let tested: BTreeSet<u16> =
        rows().iter().flat_map(|row| &row.program).map(|insn| insn.code).collect();
    let known: BTreeSet<u16> = (0..=u16::MAX).filter(|&code| is_known(code)).collect();
    assert_eq!(tested, known);
}
