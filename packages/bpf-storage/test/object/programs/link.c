// Maps, data, functions that are called or called back, and symbols of the kernel.
#include "kernel.h"

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

struct inner {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} small SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 2);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &small } };

const volatile int threshold = 7;
static volatile int hits = 3;
int total;

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig __weak;
extern const void init_task __ksym;
extern int bpf_task_acquire(void *task) __ksym;

static noinline int twice(int x)
{
	hits += x;
	return 2 * x;
}

noinline int add(int x)
{
	return twice(x) + total;
}

static int each(unsigned index, void *context)
{
	total += index + twice(index);
	return 0;
}

SEC("tc")
int first(void *ctx)
{
	int key = 1;
	long *value = bpf_map_lookup_elem(&counts, &key);

	if (value)
		*value += add(threshold);
	bpf_loop(4, each, &key, 0);
	return LINUX_KERNEL_VERSION > 7 && CONFIG_BPF;
}

SEC("?tc")
int second(void *ctx)
{
	return add(1) + bpf_task_acquire((void *)&init_task) + (bpf_map_lookup_elem(&outer, &total) != 0);
}
