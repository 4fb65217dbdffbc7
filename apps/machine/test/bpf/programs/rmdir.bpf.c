/* Directories that are removed, or not: what a function of the kernel is given, and what it returns. */
#define SEC(name) __attribute__((section(name), used))

typedef unsigned long long u64;

int begun, removed, refused, error;
int probed, returned;
int calls, failures;
u64 where;
int placed;

static u64 (*const bpf_get_func_ip)(void *ctx) = (void *)173;

/* All of them are told the same function. */
static void place(void *ctx)
{
	u64 ip = bpf_get_func_ip(ctx);

	if (!where)
		where = ip;
	if (ip && ip == where)
		placed++;
}

struct pt_regs {
	u64 before[10], ax, between[3], di, after[6];
};

SEC("fentry/vfs_rmdir")
int begin(u64 *ctx)
{
	begun++;
	place(ctx);
	return 0;
}

/* Its arguments are three in each of the kernels. */
SEC("fexit/vfs_rmdir")
int end(u64 *ctx)
{
	int result = (int)ctx[3];

	place(ctx);
	if (result == 0)
		removed++;
	else {
		refused++;
		error = result;
	}
	return 0;
}

SEC("kprobe/vfs_rmdir")
int probe(struct pt_regs *regs)
{
	place(regs);
	/* What it is given first is a pointer into the kernel. */
	if (regs->di >> 63)
		probed++;
	return 0;
}

SEC("kretprobe/vfs_rmdir")
int probe_return(struct pt_regs *regs)
{
	place(regs);
	if ((int)regs->ax == error || regs->ax == 0)
		returned++;
	return 0;
}

/* What the kernel's tracepoints of one system call record. */
SEC("tp/syscalls/sys_enter_rmdir")
int call(u64 *record)
{
	/* Its number, and a path of the program's. */
	if ((int)record[1] == 84 && record[2] && !(record[2] >> 63))
		calls++;
	return 0;
}

SEC("tp/syscalls/sys_exit_rmdir")
int call_end(u64 *record)
{
	if ((long)record[2] == -39)
		failures++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
