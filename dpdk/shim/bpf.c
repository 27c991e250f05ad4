/* DPDK's own eBPF machine over mbufs. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

struct ox_filter {
	struct rte_bpf *bpf;
	uint64_t (*native)(void *);	/* or null: the interpreter */
};

int ox_filter_load(const struct pcapx_ebpf_insn *program, uint32_t count, size_t native_size,
    struct ox_filter **filter)
{
	const struct rte_bpf_prm prm = {
		.ins = (const struct ebpf_insn *)program,
		.nb_ins = count,
		.prog_arg = {
			.type = RTE_BPF_ARG_PTR_MBUF,
			.size = sizeof(struct rte_mbuf),
			.buf_size = RTE_MBUF_DEFAULT_BUF_SIZE,
		},
	};
	struct ox_filter *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->bpf = rte_bpf_load(&prm);
	if (f->bpf == NULL) {
		free(f);
		return -rte_errno;
	}
	if (native_size != 0) {
		struct rte_bpf_jit jit;
		int rc = rte_bpf_get_jit(f->bpf, &jit);

		if (rc != 0 || jit.func == NULL || jit.sz != native_size) {
			ox_filter_free(f);
			return rc != 0 ? rc : jit.func == NULL ? -ENOTSUP : -EPROTO;
		}
		f->native = jit.func;
	}
	*filter = f;
	return 0;
}

void ox_filter_free(struct ox_filter *f)
{
	if (f == NULL)
		return;
	rte_bpf_destroy(f->bpf);
	free(f);
}

void ox_filter_run(const struct ox_filter *f, struct rte_mbuf *const *packets,
    uint64_t *verdicts, uint32_t count)
{
	if (f->native == NULL) {
		rte_bpf_exec_burst(f->bpf, (void **)(uintptr_t)packets, verdicts, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		verdicts[i] = f->native(packets[i]);
}
