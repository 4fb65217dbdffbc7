/* Values of all kinds of types, maps of several kinds, and programs that use them: for what vm bpf shows of them. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef char letter;

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;

enum color { RED = 1, GREEN = -2, BLUE = 3 };
enum far { NEAR = 1, FAR = 0xf0000001 };

struct pair {
	short first;
	unsigned char rest[3];
};

struct values {
	u32 plain;
	int negative;
	s8 tiny;
	unsigned short us;
	short ss;
	long long ll;
	u64 ull;
	u32 three : 3;
	u32 eleven : 11;
	int five : 5;
	u32 : 0;
	enum color red, green, none;
	enum far far;
	_Bool yes, no;
	char x, seven;
	char text[8];
	char empty[4];
	char endless[3];
	letter word[8];
	const char constant[5];
	unsigned char bytes[3];
	void *nothing, *pointer;
	struct pair pairs[2];
	union {
		int number;
		struct pair pair;
	};
	__int128 wide;
	unsigned __int128 narrow;
	struct unknown *unknown;
	int none_at_all[0];
	volatile int often;
	int matrix[2][3];
};

struct values values = {
	.plain = 4000000000u, .negative = -7, .tiny = -3, .us = 65000, .ss = -300, .ll = -1, .ull = ~0ull,
	.three = 5, .eleven = 1025, .five = -3, .red = RED, .green = GREEN, .none = 77, .far = FAR,
	.yes = 1, .x = 'x', .seven = 7, .text = "say \"a\"", .endless = { 'a', 'b', 'c' }, .word = "typed", .constant = "cons",
	.bytes = { 1, 2, 255 }, .pointer = (void *)0x1234, .pairs = { { -5, { 1, 2, 3 } }, { 6, { 7, 8, 9 } } },
	.number = 99, .wide = -2, .narrow = 5, .often = 12, .matrix = { { 1, 2, 3 }, { 4, 5, 6 } },
};
static volatile int hidden = 42;

struct {
	__uint(type, 6);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct pair);
} percpu SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 6);
} narrow SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 22);
} broad SEC(".maps");

struct {
	__uint(type, 1);
	__uint(max_entries, 3);
	__uint(map_flags, 1);
	__type(key, struct pair);
	__type(value, u64);
} hash SEC(".maps");

int tail(void *ctx);

struct {
	__uint(type, 3);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [2] = (void *)&tail } };

struct one {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} one SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 3);
	__type(key, u32);
	__array(values, struct one);
} outer SEC(".maps") = { .values = { [1] = &one } };

SEC("socket")
int tail(void *ctx)
{
	return values.plain + hidden;
}

static __attribute__((noinline)) int helper(int a, const struct values *of)
{
	return of ? a * 3 + of->negative : 1;
}

SEC("socket")
int entry(void *ctx)
{
	u32 key = 1;

	bpf_tail_call(ctx, &jumps, 2);
	if (!bpf_map_lookup_elem(&outer, &key))
		return helper(3, &values);
	return bpf_map_lookup_elem(&percpu, &key) != 0;
}

SEC("xdp")
int pass(void *ctx)
{
	return 2;
}

char _license[] SEC("license") = "Dual BSD/GPL";
