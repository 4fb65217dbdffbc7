/* The types of the tests' kernel. */
struct pt_regs {
	unsigned long di;
};

struct task_struct {
	int pid;
	int usage;
	void *bpf_storage;
};

struct bpf_local_storage;
struct bpf_local_storage_map;

typedef void (*btf_trace_sys_enter)(void *data, struct pt_regs *regs, long id);
typedef void (*btf_trace_sys_exit)(void *data, struct pt_regs *regs, long result);

btf_trace_sys_enter on_enter;
btf_trace_sys_exit on_exit;

void exit_creds(struct task_struct *task)
{
}

void *bpf_local_storage_lookup(struct bpf_local_storage *storage, struct bpf_local_storage_map *map, int cache)
{
	return 0;
}

void *bpf_local_storage_update(void *owner, struct bpf_local_storage_map *map, void *value, unsigned long flags)
{
	return 0;
}
