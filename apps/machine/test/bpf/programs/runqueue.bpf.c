/* How long every task waits for a processor from when it is woken: the time waits in storage of the task. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

struct task_struct {
	int pid;
	char comm[16];
} __attribute__((preserve_access_index));

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*const bpf_task_storage_delete)(void *map, struct task_struct *task) = (void *)157;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;

enum { TASK_STORAGE = 29, PERF_EVENT_ARRAY = 4, NO_PREALLOC = 1, CREATE = 1 };
#define CURRENT_CPU 0xffffffffULL

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} woken SEC(".maps");

struct {
	__uint(type, PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} waits SEC(".maps");

struct wait {
	char comm[16];
	u64 ns;
	s32 pid;
	u32 previous;
};

static __attribute__((always_inline)) int begin(struct task_struct *task)
{
	u64 *at;

	if (task->pid == 0)
		return 0;
	at = bpf_task_storage_get(&woken, task, 0, CREATE);
	if (at)
		*at = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_wakeup")
int wakeup(u64 *ctx)
{
	return begin((struct task_struct *)ctx[0]);
}

SEC("tp_btf/sched_wakeup_new")
int wakeup_new(u64 *ctx)
{
	return begin((struct task_struct *)ctx[0]);
}

SEC("tp_btf/sched_switch")
int turn(u64 *ctx)
{
	struct task_struct *previous = (struct task_struct *)ctx[1];
	struct task_struct *next = (struct task_struct *)ctx[2];
	struct wait wait = {};
	u64 *at = bpf_task_storage_get(&woken, next, 0, 0);

	if (!at)
		return 0;
	wait.ns = bpf_ktime_get_ns() - *at;
	wait.pid = next->pid;
	wait.previous = previous->pid;
	bpf_probe_read_kernel(wait.comm, sizeof(wait.comm), next->comm);
	bpf_task_storage_delete(&woken, next);
	bpf_perf_event_output(ctx, &waits, CURRENT_CPU, &wait, sizeof(wait));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
