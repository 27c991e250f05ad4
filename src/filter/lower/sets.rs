//! Lists of like terms as membership tests.
//!
//! In `host A or host B or …` (and in `not host A and not host B and …`) the first term is lowered
//! as it stands. When it does not decide, every field that its like look at was found within the
//! packet, so the remaining terms can be looked up in a set, in any order, without a change to
//! the verdict on any packet, however truncated. Terms of other kinds keep their places: before
//! the first term of a kind is evaluated, what is pending of the kinds before it is.

use super::Lowerer;
use super::code::{Steps, ld_mem};
use super::element::{Ends, KeyField, Range};
use super::error::LowerError;
use super::group::Values;
use crate::filter::cond::{CondId, sort};

type Lowered = Result<CondId, LowerError>;

/// Ranges in the order of sets.
fn sorted(ranges: &[Range]) -> Vec<Range> {
    let mut ranges = ranges.to_vec();
    sort(&mut ranges);
    ranges
}

/// Sorted ranges and one more.
pub(super) fn with(first: Option<Range>, rest: &[Range]) -> Vec<Range> {
    let at = first.map_or(0, |first| rest.partition_point(|&range| range < first));
    let (below, above) = rest.split_at(at);
    let mut all = Vec::with_capacity(rest.len() + 1);
    all.extend_from_slice(below);
    all.extend(first);
    all.extend_from_slice(above);
    all
}

impl Lowerer<'_> {
    /// Some values of a kind as one term; `first` is the place of the first element unless it was
    /// lowered before.
    pub(super) fn list(
        &mut self,
        field: KeyField,
        first: Option<usize>,
        values: &Values,
        rest: std::ops::Range<usize>,
    ) -> Lowered {
        self.list_count += 1;
        self.joined |= matches!(field, KeyField::Mac { .. } | KeyField::V6 { .. });
        self.has_ports |= matches!(field, KeyField::Port { .. });
        self.list_values += (1 + rest.len()) * if field.ends() == Ends::Either { 2 } else { 1 };
        let (ranges, keys) = (values.ranges(), values.keys());
        match field {
            KeyField::Mac { ends } => {
                self.mac_list(ends, first.map(|at| keys[at]), keys[rest].to_vec())
            }
            KeyField::V6 { ends } | KeyField::V6Net { ends } => {
                let mut all = Vec::with_capacity(rest.len() + 1);
                all.extend_from_slice(&keys[rest]);
                all.extend(first.map(|at| keys[at]));
                self.v6_list(ends, all)
            }
            KeyField::V4 { protocols, ends } => {
                let first = first.map(|at| ranges[at]);
                self.v4_list(protocols, ends, first, sorted(&ranges[rest]))
            }
            KeyField::Port { transport, ends } => {
                let first = first.map(|at| ranges[at]);
                self.port_list(transport, ends, first, sorted(&ranges[rest]))
            }
        }
    }

    /// Whether either end of a packet is in a list, in the order that keeps verdicts on truncated
    /// packets: the first element may match the source without a destination being there; nothing
    /// else may. `loads` are the steps for source and destination.
    pub(super) fn either_end(
        &mut self,
        loads: [&Steps; 2],
        ends: Ends,
        first: Option<Range>,
        rest: Vec<Range>,
    ) -> Lowered {
        let [src, dst] = loads;
        let all = with(first, &rest);
        Ok(match (ends, first) {
            (Ends::Src, _) => self.in_ranges(src, all),
            (Ends::Dst, _) => self.in_ranges(dst, all),
            (Ends::Either, None) => {
                let terms = [self.in_ranges(src, rest), self.in_ranges(dst, all)];
                self.any(&terms)
            }
            (Ends::Either, Some(first)) => {
                let fetched = match all.iter().any(|(low, high)| low != high) {
                    true => Some(self.fetch_before(dst)?),
                    false => None,
                };
                let first = self.in_ranges(src, vec![first]);
                let list = match fetched {
                    // The optimizer trades tests of the same value for shorter programs, as
                    // libpcap's does; libpcap's cannot where the terms mask what they load.
                    Some((fetch, dst)) => {
                        let tests = [self.in_ranges(src, rest), self.in_ranges(&dst, all)];
                        let tests = self.any(&tests);
                        self.and(fetch, tests)
                    }
                    None => {
                        let tests = [self.in_ranges(dst, all), self.in_ranges(src, rest)];
                        self.any(&tests)
                    }
                };
                self.or(first, list)
            }
        })
    }

    /// A value loaded now for later: into a scratch register, and the steps that load it from
    /// there.
    fn fetch_before(&mut self, load: &Steps) -> Result<(CondId, Steps), LowerError> {
        let reg = self.regs.alloc()?;
        self.regs.free(reg);
        let mut steps = load.clone();
        steps.push(super::code::st(reg));
        Ok((self.tree.run(&steps), vec![ld_mem(reg)]))
    }

    /// Whether what the steps load is in some ranges.
    pub(super) fn in_ranges(&mut self, load: &Steps, ranges: Vec<Range>) -> CondId {
        let set = self.tree.add_set(ranges);
        self.tree.set(load, set)
    }

    /// Leaves the source in the accumulator and the destination in a scratch register, whichever of
    /// the protocols a packet has; also the steps that load them from there.
    pub(super) fn fetched(
        &mut self,
        arms: &[(CondId, Steps, Steps)],
    ) -> Result<(CondId, [Steps; 2]), LowerError> {
        let dst = self.regs.alloc()?;
        self.regs.free(dst);
        let mut terms = Vec::with_capacity(arms.len());
        for (guard, src_load, dst_load) in arms {
            let mut steps = dst_load.clone();
            steps.push(super::code::st(dst));
            steps.extend_from_slice(src_load);
            let fetch = self.tree.run(&steps);
            terms.push(self.and(*guard, fetch));
        }
        let fetched = self.any(&terms);
        Ok((fetched, [Steps::new(), vec![ld_mem(dst)]]))
    }
}
