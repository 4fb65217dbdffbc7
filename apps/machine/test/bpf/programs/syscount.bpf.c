/* Counts the system calls of every task, in storage of the task itself. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef unsigned int u32;
typedef unsigned long long u64;

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));
struct pt_regs;

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

enum { BPF_MAP_TYPE_TASK_STORAGE = 29, BPF_F_NO_PREALLOC = 1, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

struct count {
	u64 calls;
	int pid;
	int tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct count);
} counts SEC(".maps");

u64 total;

SEC("tp_btf/sys_enter")
int count_call(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct count *count = bpf_task_storage_get(&counts, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	total++;
	if (!count)
		return 0;
	count->calls++;
	count->pid = task->pid;
	count->tgid = task->tgid;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
