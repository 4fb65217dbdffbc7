/* Maps in maps, a trie and a bloom filter, as clang and libbpf's declarations have them. */
typedef unsigned char __u8;
typedef unsigned int __u32;
typedef unsigned long long __u64;

/* As linux/bpf.h numbers them. */
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
};
enum { BPF_F_NO_PREALLOC = 1 };
struct __sk_buff {
	__u32 len;
};

#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]
#define SEC(name) __attribute__((section(name), used))

static void *(*const map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*const map_peek_elem)(void *map, void *value) = (void *)89;

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} one SEC(".maps"), two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct counts);
} by_index SEC(".maps") = { .values = { [0] = &one, [2] = &two } };

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct counts);
} by_key SEC(".maps") = { .values = { [1] = &two } };

struct prefix {
	__u32 length;
	__u8 bytes[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__uint(map_extra, 3);
	__type(value, __u32);
} seen SEC(".maps");

/* Counts in what the map of maps has for a key; the sum of how often. */
static __u64 count(void *outer, __u32 key)
{
	__u32 slot = 1;
	__u64 *value;
	void *inner = map_lookup_elem(outer, &key);

	if (!inner)
		return 0;
	value = map_lookup_elem(inner, &slot);
	if (!value)
		return 0;
	return ++*value;
}

SEC("socket")
int counting(struct __sk_buff *skb)
{
	return count(&by_index, 0) + 10 * count(&by_index, 1) + 100 * count(&by_index, 2) + 1000 * count(&by_key, 1);
}

SEC("socket")
int routing(struct __sk_buff *skb)
{
	struct prefix address = { 32, { 10, 1, 2, 3 } };
	__u32 *route = map_lookup_elem(&routes, &address);

	return route ? *route : 0;
}

SEC("socket")
int seeing(struct __sk_buff *skb)
{
	__u32 length = skb->len;
	int before = map_peek_elem(&seen, &length);

	map_push_elem(&seen, &length, 0);
	return before == 0;
}

char LICENSE[] SEC("license") = "GPL";
