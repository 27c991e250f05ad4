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

mod bounds;
mod compact;
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
mod rows;
mod split;
mod thread;
mod values;

use super::cfg::{Block, BlockId, Cfg, Term, TestOp};
use super::key_set::KeySet;
use crate::bpf::{Insn, op};
pub use dot::dot;
use facts::Question;
use flow::Flow;
pub(super) use flow::{A, defines, uses};
use intern::Known;
use peephole::Shortened;
use regroup::RegroupWork;
use thread::ThreadWork;
use values::{ACC, Values};

/// What may happen to loads beyond a packet's end, which reject the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loads {
    /// A load whose value is not needed goes, so a truncated packet may be accepted that the
    /// program as written rejects. Libpcap's optimizer does the same.
    DropUnused,
    /// Verdicts on truncated packets stay. Libpcap leaves some programs unoptimized (those for
    /// link headers of variable length); this is how to shorten them all the same.
    KeepAll,
}

/// Makes the program shorter; it accepts the same packets (see [`Loads`] for truncated ones).
pub fn run(cfg: &mut Cfg, loads: Loads) {
    run_traced(cfg, loads, &mut |_, _| {});
}

/// [`run`], showing the graph to `trace` after each pass that changed it.
pub fn run_traced(cfg: &mut Cfg, loads: Loads, trace: &mut dyn FnMut(&str, &Cfg)) {
    if !split::split_blocks(cfg) {
        return;
    }
    if !cfg.in_order {
        compact::in_program_order(cfg);
    }
    debug_assert!(cfg.postorder().into_iter().rev().eq((0..cfg.blocks.len() as u32).map(BlockId)));
    let flow = Flow::new(loads == Loads::KeepAll, cfg.blocks.len());
    let values = Values::new(loads == Loads::KeepAll, cfg);
    let mut state = State { trace, flow, values, plain: is_plain(cfg) };
    let tested = state.branches(cfg);
    state.instructions(cfg, tested);
    state.tails(cfg, loads);
}

/// Rounds of threading and regrouping end after so many visits to blocks, lest a program of 100,000
/// terms takes as many rounds; filters that people write take two or three.
const MANY_VISITS: usize = 1 << 16;
const VISITS_PER_BLOCK: usize = 24;
/// Filters with more shortened tests than this have their values taken anew at once.
const MANY_SHORTENED: usize = 64;

/// What passes share.
struct State<'a> {
    trace: &'a mut dyn FnMut(&str, &Cfg),
    flow: Flow,
    values: Values,
    /// There is nothing to fold and nothing to shorten.
    plain: bool,
}

/// Whether a program only tests what it loads from the packet, as most do.
fn is_plain(cfg: &Cfg) -> bool {
    let plain_load = |insn: &Insn| {
        matches!(op::class(insn.code), op::LD | op::LDX)
            && !matches!(op::mode(insn.code), op::IMM | op::MEM)
    };
    let simplest = |block: &Block| match block.term {
        Term::If { test: TestOp::Compare(compare), jt, jf } => {
            peephole::is_simplest(compare) || peephole::simplest_test(compare, jt, jf) == block.term
        }
        _ => true,
    };
    cfg.insns.iter().all(plain_load) && cfg.blocks.iter().all(simplest)
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

    /// Looks at the graph anew and numbers the values that it tests.
    fn analyse(&mut self, cfg: &mut Cfg) {
        self.flow.update(cfg);
        if self.flow.self_contained {
            self.values.number_tests(cfg, &self.flow);
        } else {
            self.values.number(cfg, &self.flow);
        }
    }

    /// Moves branches and blocks. Returns what each block asks in terms of the values as they are
    /// numbered, if that is known at the end.
    fn branches(&mut self, cfg: &mut Cfg) -> Option<Vec<Question>> {
        let (mut thread, mut regroup) = (ThreadWork::default(), RegroupWork::new(cfg.blocks.len()));
        let mut questions = Vec::with_capacity(cfg.blocks.len());
        self.analyse(cfg);
        if self.pass(cfg, "join", gotos_pass) {
            self.analyse(cfg);
        }
        let mut numbers;
        let mut as_written;
        (as_written, numbers) = self.first_tests(cfg, &mut questions, &mut regroup);
        let mut known = !as_written;
        let mut first = true;
        let mut budget = MANY_VISITS + VISITS_PER_BLOCK * self.flow.post.len();
        loop {
            let mut threaded = false;
            thread.noted = false;
            // Blocks that load all that they test test the same value wherever they stand.
            let stale = !self.flow.self_contained;
            known &= !stale;
            // As far as it goes: where blocks that were passed over led together, more is known.
            while budget > 0
                && self.pass(cfg, "thread", |cfg, flow, _| {
                    thread::thread_edges(cfg, flow, &questions, numbers, &mut thread)
                })
            {
                threaded = true;
                budget = budget.saturating_sub(self.flow.post.len());
                if stale {
                    self.analyse(cfg);
                    numbers = self.ask(cfg, &mut questions, &mut regroup, &[]);
                    thread.noted = false;
                } else {
                    self.flow.update_shape(cfg);
                }
            }
            // Threading is what brings this to an end: without it regrouping happens once.
            if !threaded && !first {
                break;
            }
            let regrouped = self.pass(cfg, "regroup", |cfg, flow, _| {
                regroup::regroup_chains(cfg, flow, &mut questions, &mut regroup)
            });
            let renewed = std::mem::take(&mut as_written);
            if !renewed && !regrouped || budget == 0 {
                break;
            }
            first = renewed;
            if stale || renewed {
                self.analyse(cfg);
                self.tests(cfg);
                numbers = self.ask(cfg, &mut questions, &mut regroup, &[]);
            }
        }
        if self.pass(cfg, "join", gotos_pass) {
            self.flow.update(cfg);
            known = false;
        }
        if compact::drop_unreachable(cfg, &self.flow) {
            self.flow.update(cfg);
            known = false;
        }
        known.then_some(questions)
    }

    /// Simplifies tests; analyses anew if there was anything to do.
    fn tests(&mut self, cfg: &mut Cfg) {
        let mut changed =
            self.pass(cfg, "fold tests", |cfg, flow, values| fold::fold_tests(cfg, flow, values));
        changed |= self.pass(cfg, "shorten tests", |cfg, flow, _| {
            peephole::shorten_tests(cfg, flow, &mut Shortened::default())
        });
        if changed {
            self.analyse(cfg);
        }
    }

    /// Simplifies tests for the first time and finds out what each block asks; true when that is in
    /// terms of the values before. Libpcap, too, moves branches once by the values that blocks
    /// compute before arithmetic becomes part of the test: `fisu` and `msu` both test
    /// `ldb [2] & 0x3f` until one of them is a `jset`.
    fn first_tests(
        &mut self,
        cfg: &mut Cfg,
        questions: &mut Vec<Question>,
        regroup: &mut RegroupWork,
    ) -> (bool, usize) {
        if self.plain {
            return (false, self.ask(cfg, questions, regroup, &[]));
        }
        let mut shortened = Shortened::default();
        let folded =
            self.pass(cfg, "fold tests", |cfg, flow, values| fold::fold_tests(cfg, flow, values));
        let changed = self.pass(cfg, "shorten tests", |cfg, flow, _| {
            peephole::shorten_tests(cfg, flow, &mut shortened)
        });
        let Shortened { blocks: mut shortened, simplified } = shortened;
        let as_written = self.flow.self_contained
            && (1..=MANY_SHORTENED).contains(&shortened.len())
            && self.others_test_values_of(&shortened);
        if !as_written {
            if folded || simplified || changed && !self.flow.self_contained {
                self.analyse(cfg);
            } else {
                shortened.iter().for_each(|&id| self.values.number_test(cfg, id));
            }
            shortened.clear();
        }
        let numbers = self.ask(cfg, questions, regroup, &shortened);
        if as_written {
            self.flow.update(cfg);
        }
        (as_written, numbers)
    }

    /// Whether another block tests the value that one of `shortened` leaves.
    fn others_test_values_of(&self, shortened: &[BlockId]) -> bool {
        // Room for more, so that hardly any other value looks like one of these.
        const ROOM: usize = 8;
        let value = |id: BlockId| self.values.at_exit(id, ACC);
        let keys = shortened.iter().map(|&id| value(id));
        let likely = KeySet::new(ROOM * shortened.len(), keys);
        self.flow.post.iter().any(|&id| {
            likely.may_hold(value(id))
                && !shortened.contains(&id)
                && shortened.iter().any(|&other| value(other) == value(id))
        })
    }

    /// Finds out what each block asks; of `shortened` ones in terms of the values before that. Returns
    /// how many numbers values and questions have.
    fn ask(
        &mut self,
        cfg: &Cfg,
        questions: &mut Vec<Question>,
        regroup: &mut RegroupWork,
        shortened: &[BlockId],
    ) -> usize {
        questions.clear();
        questions.resize(cfg.blocks.len(), Question::default());
        for &id in &self.flow.post {
            questions[id.index()] = Question::of(&self.values, id, &cfg.block(id).term);
        }
        for &id in shortened {
            questions[id.index()] = Question::before(&self.values, id, &cfg.block(id).term);
        }
        regroup.resize(self.values.len());
        facts::number_questions(questions, &self.flow.post, self.values.len())
    }

    /// Shortens the blocks.
    fn instructions(&mut self, cfg: &mut Cfg, mut tested: Option<Vec<Question>>) {
        if self.plain
            && !self.flow.exact
            && let Some(tested) = &tested
            && fold::all_load_and_test(cfg, &self.flow)
        {
            fold::drop_repeated_loads(cfg, &self.flow, &mut self.values, tested);
            (self.trace)("fold", cfg);
            return;
        }
        loop {
            // Loads that went because they change nothing do not count, but are worth showing.
            let tested = tested.take();
            let mut again = fold::fold_insns(cfg, &self.flow, &mut self.values, tested.as_deref());
            (self.trace)("fold", cfg);
            if !self.plain {
                again |= self.pass(cfg, "fold tests", |cfg, flow, values| {
                    fold::fold_tests(cfg, flow, values)
                });
            }
            if !self.plain || !self.only_loads(cfg) {
                again |= self
                    .pass(cfg, "dead", |cfg, flow, values| dead::remove_dead(cfg, flow, values));
            }
            if !self.plain {
                again |= self.pass(cfg, "shorten insns", |cfg, flow, values| {
                    peephole::shorten_insns(cfg, flow, values)
                });
                again |= self.pass(cfg, "shorten tests", |cfg, flow, _| {
                    peephole::shorten_tests(cfg, flow, &mut Shortened::default())
                });
            }
            if !again {
                break;
            }
            self.flow.update(cfg);
        }
    }

    /// Whether no block has more than a load into the accumulator, from a fixed place. Folding has then left
    /// nothing that is dead.
    fn only_loads(&self, cfg: &Cfg) -> bool {
        self.flow.post.iter().all(|id| match cfg.insns_of(*id) {
            [] => true,
            [load] => op::class(load.code) == op::LD && op::mode(load.code) != op::IND,
            _ => false,
        })
    }

    fn intern(&mut self, cfg: &mut Cfg, known: &mut Known) {
        self.pass(cfg, "intern", |cfg, flow, _| intern::intern_blocks(cfg, flow, known));
    }

    /// Merges what is equal. A test that this makes superfluous goes, its loads stay: libpcap
    /// keeps both.
    fn tails(&mut self, cfg: &mut Cfg, loads: Loads) {
        let mut equal = Known::new(cfg.blocks.len());
        self.intern(cfg, &mut equal);
        let shared = self
            .pass(cfg, "share", |cfg, flow, values| intern::share_tests(cfg, flow, values, &equal));
        if shared {
            // It has led edges back to blocks that stood before.
            compact::in_program_order(cfg);
            self.flow.update(cfg);
            self.intern(cfg, &mut equal);
        }
        loop {
            if !self.pass(cfg, "drop tests", |cfg, flow, _| gotos::drop_tests(cfg, flow)) {
                break;
            }
            self.flow.exact = true;
            self.flow.update(cfg);
            self.values.number(cfg, &self.flow);
            self.pass(cfg, "dead", |cfg, flow, values| dead::remove_dead(cfg, flow, values));
            self.flow.update(cfg);
            self.pass(cfg, "join", gotos_pass);
            self.flow.update(cfg);
            self.intern(cfg, &mut equal);
        }
        // A verdict that does not depend on the packet needs no loads.
        let mut end = cfg.root;
        while let Term::Goto(next) = cfg.block(end).term {
            end = next;
        }
        if let Term::Ret(_) = cfg.block(end).term
            && loads == Loads::DropUnused
        {
            cfg.root = end;
            cfg.blocks[end.index()].len = 0;
        }
    }
}
