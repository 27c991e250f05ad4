//! Around the work: the burst's packets are looked through once, then group by group is fetched.

use super::{FRAME, Lanes, POINTERS, SHORTEST, SURVIVORS, Source, keep_together};
use crate::bpf::jit::lanes::Node;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};

/// Places in the code.
#[derive(Clone, Copy)]
pub(super) struct Labels {
    /// The function itself.
    pub entry: DynamicLabel,
    /// All packets of the burst, from the first.
    pub begin: DynamicLabel,
    /// A group.
    pub group: DynamicLabel,
    /// Its verdicts are in r11.
    pub collect: DynamicLabel,
    /// It accepts nothing.
    pub next: DynamicLabel,
    /// It is for the code for single packets.
    pub slow: DynamicLabel,
    /// Some packet is too short, or NULL.
    pub careful: DynamicLabel,
    /// The result is in rax.
    pub out: DynamicLabel,
    /// The code for single packets.
    pub scalar: DynamicLabel,
}

impl Labels {
    pub(super) fn new(ops: &mut VecAssembler<X64Relocation>, scalar: DynamicLabel) -> Self {
        let [entry, begin, group, collect, next, slow, careful, out] =
            [(); 8].map(|()| ops.new_dynamic_label());
        Self { entry, begin, group, collect, next, slow, careful, out, scalar }
    }
}

/// Of the check: the shortest lengths, by lane, and the smallest halves of the first and of the last
/// four addresses of groups.
const SHORTEST_LENS: u8 = 0;
const LOW: u8 = 1;
const HIGH: u8 = 2;

impl Lanes<'_> {
    pub(super) fn prologue(&mut self, has_sieve: bool) {
        let Labels { entry, scalar, .. } = self.labels;
        dynasm!(self.ops
            ; .arch x64
            ; =>entry
            ; cmp edx, 8
            ; jb =>scalar
            ; push rbx ; push rbp ; push r12 ; push r13 ; push r14 ; push r15
            ; mov r15, rsp
            ; sub rsp, FRAME
            ; and rsp, -32
            ; mov rbx, rdi
            ; mov rbp, rsi
            ; mov r12d, edx
        );
        if has_sieve {
            dynasm!(self.ops ; .arch x64 ; mov QWORD [rsp + SURVIVORS], -1);
        }
    }

    /// Asks whether every packet is somewhere and has the bytes that windows take, or else leaves
    /// for `careful`.
    pub(super) fn check(&mut self, has_sieve: bool) {
        const BAD: u8 = 3;
        // The last eight, then all before these.
        dynasm!(self.ops
            ; .arch x64
            ; vmovdqu Ry(SHORTEST_LENS), [rbp + r12 * 4 - 32]
            ; vmovdqu Ry(LOW), [rbx + r12 * 8 - 64]
            ; vmovdqu Ry(HIGH), [rbx + r12 * 8 - 32]
        );
        self.check_groups();
        let (least, careful) = (self.constant(Node::Const(self.plan.min_len)), self.labels.careful);
        vector!(self, vpmaxsd, BAD, SHORTEST_LENS, least);
        dynasm!(self.ops
            ; .arch x64
            ; vpcmpgtd Ry(BAD), Ry(BAD), Ry(SHORTEST_LENS)
            // The lower halves of eight addresses; that none of them is 0 says enough.
            ; vshufps Ry(LOW), Ry(LOW), Ry(HIGH), 0x88u8 as i8
            ; vpxor Rx(HIGH), Rx(HIGH), Rx(HIGH)
            ; vpcmpeqd Ry(LOW), Ry(LOW), Ry(HIGH)
            ; vpor Ry(BAD), Ry(BAD), Ry(LOW)
        );
        if has_sieve {
            dynasm!(self.ops ; .arch x64 ; vmovdqa [rsp + SHORTEST], Ry(SHORTEST_LENS));
        }
        keep_together(self.ops, 11);
        dynasm!(self.ops ; .arch x64 ; vptest Ry(BAD), Ry(BAD) ; jnz =>careful);
    }

    /// Groups of eight packets from the seventh down, entered where the last eight are those after.
    fn check_groups(&mut self) {
        /// Bytes of code for a group.
        const LEN: i32 = 27;
        let end = self.ops.new_dynamic_label();
        dynasm!(self.ops
            ; .arch x64
            ; lea eax, [r12 - 1]
            ; shr eax, 3
            ; imul eax, eax, LEN
            ; lea rcx, [=>end]
            ; sub rcx, rax
        );
        keep_together(self.ops, 2);
        dynasm!(self.ops ; .arch x64 ; jmp rcx);
        let start = self.ops.offset().0;
        for group in (0..7).rev() {
            let (lens, low, high) = (32 * group, 64 * group, 64 * group + 32);
            dynasm!(self.ops
                ; .arch x64
                ; vpminsd Ry(SHORTEST_LENS), Ry(SHORTEST_LENS), [DWORD rsi + lens]
                ; vpminud Ry(LOW), Ry(LOW), [DWORD rdi + low]
                ; vpminud Ry(HIGH), Ry(HIGH), [DWORD rdi + high]
            );
        }
        debug_assert_eq!(self.ops.offset().0 - start, 7 * LEN as usize);
        dynasm!(self.ops ; .arch x64 ; =>end);
    }

    /// Fetches the addresses of a group's packets.
    pub(super) fn begin_group(&mut self, group: DynamicLabel) {
        dynasm!(self.ops ; .arch x64 ; =>group);
        for (lane, pointer) in POINTERS.into_iter().enumerate() {
            let at = 8 * lane as i8;
            dynasm!(self.ops ; .arch x64 ; mov Rq(pointer), [BYTE rbx + r13 * 8 + at]);
        }
    }

    /// Keeps a group's verdicts, which are in r11, and goes on to the next group, if there is one.
    /// The last one may overlap that before.
    pub(super) fn end_group(&mut self, group: DynamicLabel, next: DynamicLabel) {
        let done = self.ops.new_dynamic_label();
        dynasm!(self.ops
            ; .arch x64
            ; shlx r11, r11, r13
            ; or r14, r11
            ; =>next
            ; add r13d, 8
            ; lea r11d, [r13 + 8]
        );
        keep_together(self.ops, 9);
        dynasm!(self.ops ; .arch x64 ; cmp r11d, r12d ; jbe =>group);
        keep_together(self.ops, 9);
        dynasm!(self.ops
            ; .arch x64
            ; cmp r13d, r12d
            ; jae =>done
            ; lea r13d, [r12 - 8]
            ; jmp =>group
            ; =>done
        );
    }

    /// The way out, and what lies apart from the usual way.
    pub(super) fn leave(&mut self, has_sieve: bool) {
        let Labels { collect, next, slow, out, scalar, .. } = self.labels;
        match has_sieve {
            true => dynasm!(self.ops ; .arch x64 ; pdep rax, r14, [rsp + SURVIVORS]),
            false => dynasm!(self.ops ; .arch x64 ; mov rax, r14),
        }
        dynasm!(self.ops
            ; .arch x64
            ; =>out
            ; mov rsp, r15
            ; pop r15 ; pop r14 ; pop r13 ; pop r12 ; pop rbp ; pop rbx
            ; popcnt rdx, rax
            ; vzeroupper
            ; ret
            ; =>slow
            ; lea rdi, [rbx + r13 * 8]
            ; lea rsi, [rbp + r13 * 4]
            ; mov edx, 8
            ; call =>scalar
            ; mov r11, rax
            ; jmp =>collect
        );
        self.careful();
        for (apart, gather) in std::mem::take(&mut self.gathers) {
            dynasm!(self.ops ; .arch x64 ; =>apart);
            self.load_lanes(gather, None);
            let done = gather.done;
            dynasm!(self.ops ; .arch x64 ; jmp =>done);
        }
        for (exit, verdicts) in std::mem::take(&mut self.exits) {
            dynasm!(self.ops ; .arch x64 ; =>exit);
            match verdicts {
                Some(register) => {
                    self.signs(register);
                    dynasm!(self.ops ; .arch x64 ; jmp =>collect);
                }
                None => dynasm!(self.ops ; .arch x64 ; jmp =>next),
            }
        }
    }

    /// A burst in which not all is as it should be, group by group: this function for groups in
    /// which it is, the code for single packets for others.
    fn careful(&mut self) {
        let Labels { entry, slow, out, careful, .. } = self.labels;
        let [group, done] = [(); 2].map(|()| self.ops.new_dynamic_label());
        dynasm!(self.ops
            ; .arch x64
            ; =>careful
            ; xor r13d, r13d
            ; xor r14d, r14d
            ; cmp r12d, 8
            ; je =>slow
            ; =>group
            ; lea rdi, [rbx + r13 * 8]
            ; lea rsi, [rbp + r13 * 4]
            ; mov edx, 8
            ; call =>entry
            ; shlx r11, rax, r13
            ; or r14, r11
            ; add r13d, 8
            ; lea r11d, [r13 + 8]
            ; cmp r11d, r12d
            ; jbe =>group
            ; cmp r13d, r12d
            ; jae =>done
            ; lea r13d, [r12 - 8]
            ; jmp =>group
            ; =>done
            ; mov rax, r14
            ; jmp =>out
        );
    }
}
