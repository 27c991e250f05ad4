//! The optimizer: passes over the graph, one file each.
//!
//! First the branches, while every block still loads what it tests, so that blocks can be bypassed
//! and can trade places freely: [`thread`] and [`regroup`] in turn, until neither has anything to
//! do. Then the instructions inside the blocks: [`fold`], [`dead`], [`peephole`]. At the end equal
//! blocks become one ([`intern`]).
//!
//! Every pass takes time (almost) linear in the program, and every repetition is paid for by a
//! measure that goes down: threading moves edges to blocks nearer to the end, while regrouping
//! leaves the graph's shape as it is; the other passes remove instructions, tests or blocks, or
//! replace an instruction by one earlier in the order "scratch load, index register, accumulator,
//! constant".

mod dead;
mod dominators;
mod dot;
mod facts;
mod flow;
mod fold;
mod gotos;
mod intern;
mod peephole;
mod regroup;
mod split;
mod thread;
mod values;

use super::cfg::Cfg;
pub use dot::dot;
use flow::Flow;
use regroup::RegroupWork;
use thread::ThreadWork;
use values::Values;

/// Makes the program shorter. Accepts the same packets, except that a packet too short for some
/// load may fare better when that load is not needed.
pub fn run(cfg: &mut Cfg) {
    run_traced(cfg, &mut |_, _| {});
}

/// [`run`], showing the graph to `trace` after each pass that changed it.
pub fn run_traced(cfg: &mut Cfg, trace: &mut dyn FnMut(&str, &Cfg)) {
    if !split::split_blocks(cfg) {
        return;
    }
    let mut state = State { trace, flow: Flow::default(), values: Values::default() };
    state.flow.update(cfg);
    state.pass(cfg, "join", gotos_pass);
    state.branches(cfg);
    state.instructions(cfg);
    state.tails(cfg);
}

/// What passes share.
struct State<'a> {
    trace: &'a mut dyn FnMut(&str, &Cfg),
    flow: Flow,
    values: Values,
}

fn gotos_pass(cfg: &mut Cfg, flow: &mut Flow, _: &mut Values) -> bool {
    gotos::join_blocks(cfg, flow)
}

impl State<'_> {
    /// Runs one pass; tells whether it changed anything.
    fn pass(
        &mut self,
        cfg: &mut Cfg,
        name: &str,
        pass: impl FnOnce(&mut Cfg, &mut Flow, &mut Values) -> bool,
    ) -> bool {
        let changed = pass(cfg, &mut self.flow, &mut self.values);
        if changed {
            (self.trace)(name, cfg);
        }
        changed
    }

    /// Looks at the graph anew and numbers its values.
    fn analyse(&mut self, cfg: &mut Cfg) {
        self.flow.update(cfg);
        self.values.number(cfg, &self.flow, |_, insn, _| Some(*insn));
    }

    /// Moves branches and blocks.
    fn branches(&mut self, cfg: &mut Cfg) {
        let (mut thread, mut regroup) = (ThreadWork::default(), RegroupWork::default());
        loop {
            self.analyse(cfg);
            let mut known = self
                .pass(cfg, "fold tests", |cfg, flow, values| fold::fold_tests(cfg, flow, values));
            known |=
                self.pass(cfg, "shorten tests", |cfg, flow, _| peephole::shorten_tests(cfg, flow));
            if known {
                self.analyse(cfg);
            }
            let threaded = self.pass(cfg, "thread", |cfg, flow, values| {
                thread::thread_edges(cfg, flow, values, &mut thread)
            });
            if threaded {
                self.analyse(cfg);
            }
            known |= threaded;
            let regrouped = self.pass(cfg, "regroup", |cfg, flow, values| {
                regroup::regroup_chains(cfg, flow, values, &mut regroup)
            });
            // A regrouping that lets nothing be threaded is the last one.
            if !known || !regrouped {
                break;
            }
        }
        self.flow.update(cfg);
        self.pass(cfg, "join", gotos_pass);
    }

    /// Shortens the blocks.
    fn instructions(&mut self, cfg: &mut Cfg) {
        loop {
            self.flow.update(cfg);
            let mut changed =
                self.pass(cfg, "fold", |cfg, flow, values| fold::fold_insns(cfg, flow, values));
            changed |= self
                .pass(cfg, "fold tests", |cfg, flow, values| fold::fold_tests(cfg, flow, values));
            changed |= self
                .pass(cfg, "dead", |cfg, flow, values| dead::remove_dead(cfg, flow, Some(values)));
            changed |=
                self.pass(cfg, "shorten insns", |cfg, flow, _| peephole::shorten_insns(cfg, flow));
            changed |=
                self.pass(cfg, "shorten tests", |cfg, flow, _| peephole::shorten_tests(cfg, flow));
            if !changed {
                break;
            }
        }
    }

    /// Merges what is equal.
    fn tails(&mut self, cfg: &mut Cfg) {
        loop {
            self.flow.update(cfg);
            let interned =
                self.pass(cfg, "intern", |cfg, flow, _| intern::intern_blocks(cfg, flow));
            if !interned {
                break;
            }
            self.flow.update(cfg);
            self.pass(cfg, "join", gotos_pass);
        }
    }
}
