/* What the programs here share. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef unsigned int u32;
typedef unsigned long long u64;

/* A task of the tests' kernel. */
struct task_struct {
	int pid;
	int usage;
} __attribute__((preserve_access_index));

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*const bpf_task_storage_delete)(void *map, struct task_struct *task) = (void *)157;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

enum { TASK_STORAGE = 29, NO_PREALLOC = 1, CREATE = 1, EBUSY = 16 };

/* A number for each task. */
#define NUMBER_OF_TASKS(name)                     \
	struct {                                  \
		__uint(type, TASK_STORAGE);       \
		__uint(map_flags, NO_PREALLOC);   \
		__type(key, int);                 \
		__type(value, long);              \
	} name SEC(".maps")

char LICENSE[] SEC("license") = "GPL";
