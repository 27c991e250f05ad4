/*
 * The classic BPF machine: instructions, programs, and the functions that run and print them.
 *
 * A program that includes another system's <net/bpf.h> first keeps that one's definitions.
 */
#if !defined(_NET_BPF_H_) && !defined(_NET_BPF_H_INCLUDED) && !defined(_BPF_H_) &&                 \
    !defined(_H_BPF) && !defined(lib_pcap_bpf_h)
#define lib_pcap_bpf_h

#include <pcap/funcattrs.h>
#include <pcap/dlt.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BPF_RELEASE 199606

typedef int bpf_int32;
typedef u_int bpf_u_int32;

#define BPF_ALIGNMENT sizeof(bpf_int32)
#define BPF_WORDALIGN(x) (((x) + (BPF_ALIGNMENT - 1)) & ~(BPF_ALIGNMENT - 1))

/* A filter program, as pcap_compile() makes it; pcap_freecode() frees the instructions. */
struct bpf_program {
	u_int bf_len;
	struct bpf_insn *bf_insns;
};

/* An instruction's code: its class ... */
#define BPF_CLASS(code) ((code) & 0x07)
#define BPF_LD 0x00
#define BPF_LDX 0x01
#define BPF_ST 0x02
#define BPF_STX 0x03
#define BPF_ALU 0x04
#define BPF_JMP 0x05
#define BPF_RET 0x06
#define BPF_MISC 0x07

/* ... for loads a size and an addressing mode ... */
#define BPF_SIZE(code) ((code) & 0x18)
#define BPF_W 0x00
#define BPF_H 0x08
#define BPF_B 0x10
#define BPF_MODE(code) ((code) & 0xe0)
#define BPF_IMM 0x00
#define BPF_ABS 0x20
#define BPF_IND 0x40
#define BPF_MEM 0x60
#define BPF_LEN 0x80
#define BPF_MSH 0xa0

/* ... for arithmetic and jumps an operation ... */
#define BPF_OP(code) ((code) & 0xf0)
#define BPF_ADD 0x00
#define BPF_SUB 0x10
#define BPF_MUL 0x20
#define BPF_DIV 0x30
#define BPF_OR 0x40
#define BPF_AND 0x50
#define BPF_LSH 0x60
#define BPF_RSH 0x70
#define BPF_NEG 0x80
#define BPF_MOD 0x90
#define BPF_XOR 0xa0
#define BPF_JA 0x00
#define BPF_JEQ 0x10
#define BPF_JGT 0x20
#define BPF_JGE 0x30
#define BPF_JSET 0x40

/* ... and where the operand comes from. */
#define BPF_SRC(code) ((code) & 0x08)
#define BPF_K 0x00
#define BPF_X 0x08

/* Returns: the accumulator, besides BPF_K and BPF_X. */
#define BPF_RVAL(code) ((code) & 0x18)
#define BPF_A 0x10

/* Copies between the accumulator and the index register. */
#define BPF_MISCOP(code) ((code) & 0xf8)
#define BPF_TAX 0x00
#define BPF_TXA 0x80

struct bpf_insn {
	u_short code;
	u_char jt; /* instructions to skip when true */
	u_char jf; /* instructions to skip when false */
	bpf_u_int32 k;
};

/* Initializers; <linux/filter.h> has its own. */
#ifdef BPF_STMT
#undef BPF_STMT
#endif
#define BPF_STMT(code, k) { (u_short)(code), 0, 0, k }
#ifdef BPF_JUMP
#undef BPF_JUMP
#endif
#define BPF_JUMP(code, k, jt, jf) { (u_short)(code), jt, jf, k }

/* Runs a program on a packet of a length on the wire and a length in memory: 0 rejects it. */
PCAP_AVAILABLE_0_4
PCAP_API u_int bpf_filter(const struct bpf_insn *, const u_char *, u_int, u_int);

/* Whether a program is safe to run. */
PCAP_AVAILABLE_0_6
PCAP_API int bpf_validate(const struct bpf_insn *f, int len);

/* The text of an instruction, overwritten by the next call. */
PCAP_AVAILABLE_0_4
PCAP_API char *bpf_image(const struct bpf_insn *, int);

/* Prints a program to standard output: 1 as text, 2 as C, 3 as numbers. */
PCAP_AVAILABLE_0_6
PCAP_API void bpf_dump(const struct bpf_program *, int);

/* Words of scratch memory. */
#define BPF_MEMWORDS 16

#ifdef __cplusplus
}
#endif

#endif
