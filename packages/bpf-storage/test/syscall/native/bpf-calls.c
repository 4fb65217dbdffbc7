// Makes the calls of bpf(2) that standard input tells, on the running kernel, and prints what came of each. One call a line:
//   C command size attr-hex patches { offset kind reference plus } buffers { hex shown patches { offset kind reference plus } }
// where a patch puts a descriptor (F) or an id (I) of an earlier call into 32 bits; negative references are descriptors of other kinds. W map-reference
// key-bytes value-bytes walks a map. S starts again with nothing. Buffers lie at fixed addresses, which the caller of this program knows too.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define START 0x10000000ul
#define BYTES (2u << 20)
#define SLOT (128u << 10)
#define CALLS 256

static unsigned char *const memory = (unsigned char *)START;
static int fds[CALLS];
static unsigned ids[CALLS];
static int count;
static int others[8];

static long bpf(int command, void *attr, unsigned size)
{
	return syscall(__NR_bpf, command, attr, size);
}

static unsigned id_of(int fd)
{
	unsigned char info[512] = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (unsigned long)info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)))
		return 0;
	/* btf_info has its id behind two other fields, all others have it second. */
	if (attr.info.info_len <= sizeof(struct bpf_btf_info))
		return ((struct bpf_btf_info *)info)->id;
	return ((unsigned *)info)[1];
}

static int makes_descriptor(int command)
{
	switch (command) {
	case BPF_MAP_CREATE:
	case BPF_PROG_LOAD:
	case BPF_BTF_LOAD:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
	case BPF_RAW_TRACEPOINT_OPEN:
	case BPF_LINK_CREATE:
	case BPF_ENABLE_STATS:
		return 1;
	}
	return 0;
}

static int fd_of(int reference)
{
	if (reference < 0)
		return -reference < 8 ? others[-reference] : -1;
	return reference < count ? fds[reference] : -1;
}

static unsigned read_hex(unsigned char *to)
{
	static char text[BYTES];
	unsigned length, k;

	if (scanf("%s", text) != 1)
		exit(1);
	length = text[0] == '-' ? 0 : strlen(text) / 2;
	for (k = 0; k < length; k++) {
		unsigned byte;

		sscanf(text + 2 * k, "%2x", &byte);
		to[k] = byte;
	}
	return length;
}

static void read_patches(unsigned char *to)
{
	int patches, offset, reference, plus;
	char kind;

	if (scanf("%d", &patches) != 1)
		exit(1);
	while (patches--) {
		if (scanf("%d %c %d %d", &offset, &kind, &reference, &plus) != 4)
			exit(1);
		*(int *)(to + offset) =
			kind == 'F' ? fd_of(reference)
				    : (int)(reference >= 0 && reference < count ? ids[reference] : 0) + plus;
	}
}

static void print_hex(char before, const unsigned char *bytes, unsigned length)
{
	putchar(before);
	if (!length)
		putchar('-');
	while (length--)
		printf("%02x", *bytes++);
}

static void call(void)
{
	unsigned size, buffers, k, shown[8];
	int command;
	long result;

	memset(memory, 0, BYTES);
	if (scanf("%d %u", &command, &size) != 2)
		exit(1);
	read_hex(memory);
	read_patches(memory);
	if (scanf("%u", &buffers) != 1)
		exit(1);
	for (k = 0; k < buffers; k++) {
		unsigned char *slot = memory + (k + 1) * SLOT;

		read_hex(slot);
		if (scanf("%u", &shown[k]) != 1)
			exit(1);
		read_patches(slot);
	}
	result = bpf(command, memory, size);
	fds[count] = -1;
	ids[count] = 0;
	if (result >= 0 && makes_descriptor(command)) {
		fds[count] = result;
		ids[count] = id_of(result);
		result = 1;
	}
	printf("%ld %d %u", result < 0 ? -1 : result, result < 0 ? errno : 0, ids[count]);
	count++;
	print_hex(' ', memory, 152);
	for (k = 0; k < buffers; k++)
		print_hex(' ', memory + (k + 1) * SLOT, shown[k]);
	putchar('\n');
}

/* All keys of a map with their values, in no order. */
static void walk(void)
{
	unsigned char *key = memory + SLOT, *next = memory + 2 * SLOT, *value = memory + 3 * SLOT;
	int reference, key_size, value_size, left = 100;
	union bpf_attr attr = {};

	if (scanf("%d %d %d", &reference, &key_size, &value_size) != 3)
		exit(1);
	memset(memory, 0, BYTES);
	attr.map_fd = fd_of(reference);
	printf("0 0 0");
	for (;;) {
		attr.next_key = (unsigned long)next;
		if (bpf(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)) || !left--)
			break;
		memcpy(key, next, key_size);
		attr.key = (unsigned long)key;
		attr.value = (unsigned long)value;
		if (!bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr))) {
			print_hex(' ', key, key_size);
			print_hex(':', value, value_size);
		}
	}
	putchar('\n');
	fds[count] = -1;
	ids[count++] = 0;
}

static void again(void)
{
	while (count)
		if (fds[--count] >= 0)
			close(fds[count]);
}

int main(void)
{
	char what;

	if (mmap(memory, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != memory)
		return 1;
	others[1] = syscall(SYS_pidfd_open, getpid(), 0);
	others[2] = socket(AF_UNIX, SOCK_STREAM, 0);
	others[3] = open("/dev/null", O_RDONLY);
	others[4] = -1;
	/* A cgroup of the first version, or else the root of the second. */
	others[5] = open("/sys/fs/cgroup/cpu", O_RDONLY | O_DIRECTORY);
	if (others[5] < 0)
		others[5] = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	while (scanf(" %c", &what) == 1) {
		if (what == 'C')
			call();
		else if (what == 'W')
			walk();
		else
			again();
	}
	again();
	return 0;
}
