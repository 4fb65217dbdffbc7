/* Sums what is in a map by a callback, under a lock, and prints it. */
#include "storage.h"

static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_trace_printk)(const char *format, u32 size, ...) = (void *)6;
static long (*const bpf_trace_vprintk)(const char *format, u32 size, const void *data, u32 bytes) = (void *)177;
static long (*const bpf_for_each_map_elem)(void *map, void *callback, void *context, u64 flags) = (void *)164;
static long (*const bpf_spin_lock)(void *lock) = (void *)93;
static long (*const bpf_spin_unlock)(void *lock) = (void *)94;
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

struct bpf_spin_lock {
	u32 value;
};

struct account {
	struct bpf_spin_lock lock;
	u32 changes;
	long sum;
};

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, long);
} numbers SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct account);
} accounts SEC(".maps");

int visited;

static long add(void *map, u32 *key, long *value, long *sum)
{
	*sum += *value;
	return *key == 3;
}

SEC("syscall")
int sums(u64 *ctx)
{
	static const char line[] = "%d numbers, %s %5lld|%-4u|%04x";
	u32 zero = 0, key, k;
	long sum = 0, value = 10;
	struct account *account = bpf_map_lookup_elem(&accounts, &zero);
	u64 data[5];

	if (!account)
		return 1;
	for (k = 0; k < 4; k++) {
		key = k;
		value *= 2;
		bpf_map_update_elem(&numbers, &key, &value, 0);
	}
	visited = bpf_for_each_map_elem(&numbers, add, &sum, 0);
	bpf_spin_lock(&account->lock);
	account->changes++;
	account->sum += sum;
	bpf_spin_unlock(&account->lock);
	data[0] = visited;
	data[1] = (u64)(const void *)"sum";
	data[2] = -5;
	data[3] = 7;
	data[4] = 0xab;
	bpf_trace_vprintk(line, sizeof(line), data, sizeof(data));
	static const char short_line[] = "%d%%";
	bpf_trace_printk(short_line, sizeof(short_line), -1);
	return 0;
}
