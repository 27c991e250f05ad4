//! Which loads need not be swapped into host byte order.
//!
//! Where a loaded value is only compared with constants for equality, or tested for constant bits,
//! the constants can be swapped instead, and that costs nothing.

use super::super::analysis::targets;
use super::super::{Insn, aux, has_backward_jump, op};

/// What the accumulator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A number.
    Host,
    /// A half word as it lies in the packet.
    Half,
    /// A word as it lies in the packet.
    Word,
}

/// What the accumulator holds before each instruction, and behind the last.
pub(super) fn orders(insns: &[Insn]) -> Vec<Order> {
    let all_host = vec![Order::Host; insns.len() + 1];
    if has_backward_jump(insns) {
        return all_host;
    }
    let Uses { only_tests, any } = uses(insns);
    let mut orders = vec![None; insns.len() + 1];
    orders[0] = Some(Order::Host);
    for (index, insn) in insns.iter().enumerate() {
        let Some(before) = orders[index] else { continue };
        let after = match loaded(insn) {
            Some(order) if only_tests[index + 1] => order,
            Some(_) => Order::Host,
            None if sets_accumulator(insn) => Order::Host,
            None => before,
        };
        for target in targets(insn, index).into_iter().flatten() {
            let merged = orders[target].get_or_insert(after);
            if *merged != after && any[target] {
                return all_host;
            }
        }
    }
    orders.into_iter().map(|order| order.unwrap_or(Order::Host)).collect()
}

/// How the accumulator is used from each instruction on until it is set anew, on any path.
struct Uses {
    /// Only by tests that can do with swapped constants.
    only_tests: Vec<bool>,
    /// At all.
    any: Vec<bool>,
}

fn uses(insns: &[Insn]) -> Uses {
    let mut only_tests = vec![true; insns.len() + 1];
    let mut any = vec![false; insns.len() + 1];
    for (index, insn) in insns.iter().enumerate().rev() {
        let after = targets(insn, index).into_iter().flatten();
        let (tests_after, any_after) = after.fold((true, false), |(tests, used), target| {
            (tests && only_tests[target], used || any[target])
        });
        (only_tests[index], any[index]) = match op::class(insn.code) {
            op::JMP if op::operation(insn.code) == op::JA => (tests_after, any_after),
            op::JMP => (is_test(insn.code) && tests_after, true),
            op::ST | op::ALU => (false, true),
            op::RET | op::MISC if reads_accumulator(insn.code) => (false, true),
            _ if sets_accumulator(insn) => (true, false),
            _ => (tests_after, any_after),
        };
    }
    Uses { only_tests, any }
}

/// `jeq #k` and `jset #k`.
fn is_test(code: u16) -> bool {
    [op::JMP | op::JEQ | op::K, op::JMP | op::JSET | op::K].contains(&code)
}

/// `ret a` and `tax`.
fn reads_accumulator(code: u16) -> bool {
    [op::RET | op::A, op::MISC | op::TAX].contains(&code)
}

fn sets_accumulator(insn: &Insn) -> bool {
    matches!(op::class(insn.code), op::LD | op::ALU) || insn.code == op::MISC | op::TXA
}

/// What a load from the packet leaves if it is not swapped; `None` for single bytes and all else.
fn loaded(insn: &Insn) -> Option<Order> {
    let mode = op::mode(insn.code);
    let from_packet = mode == op::IND || (mode == op::ABS && aux::slot(insn.k).is_none());
    match op::size(insn.code) {
        op::H if op::class(insn.code) == op::LD && from_packet => Some(Order::Half),
        op::W if op::class(insn.code) == op::LD && from_packet => Some(Order::Word),
        _ => None,
    }
}
