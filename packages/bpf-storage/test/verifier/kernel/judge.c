/*
 * Asks the running kernel for its verdict on programs. Input (words of 32 bits, little-endian, byte strings padded to 4):
 *   count of types' bytes, types (BTF); count of maps, each { type, key, value, entries, flags, key type, value type, inner, frozen, bytes of
 *   the first value, that value }, where `inner` asks for a map of maps of arrays { 4, 4, 1 }; count of programs, each { type, attach type,
 *   flags, instructions, those }. An instruction names map k by 1000 + k.
 * Output: "kernel RELEASE", then a line for each program: its number, its errno (0: accepted), the last line of the log before the statistics.
 * As the first process of a machine it reads /input, writes to the serial line, and switches off.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FIRST_FD = 1000, MAPS = 256, LOG = 1 << 20, SHOWN = 160, LD_IMM64 = 0x18, PROG_ARRAY = 3 };

static uint8_t *at;
static char log_text[LOG];

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(__NR_bpf, command, attr, sizeof(*attr));
}

static uint32_t word(void)
{
	uint32_t value;

	memcpy(&value, at, 4);
	at += 4;
	return value;
}

static uint8_t *bytes(uint32_t count)
{
	uint8_t *start = at;

	at += (count + 3) & ~3u;
	return start;
}

static void fail(const char *what, unsigned int number)
{
	printf("failed %s %u: %s\n", what, number, strerror(errno));
}

static int load_types(void)
{
	union bpf_attr attr = {};
	uint32_t size = word();
	int fd;

	if (size == 0)
		return -1;
	attr.btf = (uintptr_t)bytes(size);
	attr.btf_size = size;
	fd = bpf(BPF_BTF_LOAD, &attr);
	if (fd < 0)
		fail("types", size);
	return fd;
}

static int make_map(unsigned int number, int types, union bpf_attr *made)
{
	union bpf_attr attr = {}, inner = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
	uint32_t has_inner, frozen, size, key = 0;
	int fd;

	attr.map_type = word();
	attr.key_size = word();
	attr.value_size = word();
	attr.max_entries = word();
	attr.map_flags = word();
	attr.btf_key_type_id = word();
	attr.btf_value_type_id = word();
	if (attr.btf_value_type_id)
		attr.btf_fd = types;
	has_inner = word();
	if (has_inner)
		attr.inner_map_fd = bpf(BPF_MAP_CREATE, &inner);
	frozen = word();
	size = word();
	*made = attr;
	fd = bpf(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		fail("map", number);
	if (size > 0) {
		union bpf_attr update = { .map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)bytes(size) };

		if (bpf(BPF_MAP_UPDATE_ELEM, &update))
			fail("value of map", number);
	}
	if (frozen) {
		union bpf_attr freeze = { .map_fd = fd };

		if (bpf(BPF_MAP_FREEZE, &freeze))
			fail("freezing of map", number);
	}
	return fd;
}

/* What the kernel says last before its statistics. */
static const char *last_line(void)
{
	const char *last = "";
	char *line;

	for (line = strtok(log_text, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "processed ", 10))
			last = line;
	return last;
}

static void judge(unsigned int number, int fds[], const union bpf_attr made[], unsigned int maps)
{
	union bpf_attr attr = {};
	struct bpf_insn *insns;
	int renewed[MAPS] = {}, fd, error;
	uint32_t k;

	attr.prog_type = word();
	attr.expected_attach_type = word();
	attr.prog_flags = word();
	attr.insn_cnt = word();
	insns = (struct bpf_insn *)bytes(8 * attr.insn_cnt);
	for (k = 0; k < attr.insn_cnt; k++) {
		uint32_t map = insns[k].imm - FIRST_FD;

		if (insns[k].code != LD_IMM64)
			continue;
		if ((insns[k].src_reg == BPF_PSEUDO_MAP_FD || insns[k].src_reg == BPF_PSEUDO_MAP_VALUE) && map < maps) {
			/* The first program that an array of programs is used by says which others may: each gets its own. */
			if (made[map].map_type == PROG_ARRAY && !renewed[map]) {
				union bpf_attr again = made[map];

				close(fds[map]);
				fds[map] = bpf(BPF_MAP_CREATE, &again);
				renewed[map] = 1;
			}
			insns[k].imm = fds[map];
		}
		k++;
	}
	attr.insns = (uintptr_t)insns;
	attr.license = (uintptr_t)"GPL";
	fd = bpf(BPF_PROG_LOAD, &attr);
	error = fd < 0 ? errno : 0;
	log_text[0] = 0;
	if (fd < 0) {
		attr.log_buf = (uintptr_t)log_text;
		attr.log_size = sizeof(log_text);
		attr.log_level = 1;
		fd = bpf(BPF_PROG_LOAD, &attr);
	}
	if (fd >= 0)
		close(fd);
	printf("%u %d %.*s\n", number, error, SHOWN, last_line());
}

int main(int count, char *arguments[])
{
	static union bpf_attr made[MAPS];
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int alone = getpid() == 1, fds[MAPS], types, input;
	struct utsname system;
	unsigned int maps, programs, k;
	struct stat status;

	if (alone) {
		int serial;

		mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
		serial = open("/dev/ttyS0", O_RDWR);
		for (k = 0; k < 3; k++)
			dup2(serial, k);
	}
	input = open(alone ? "/input" : count > 1 ? arguments[1] : "", O_RDONLY);
	if (input < 0 || fstat(input, &status)) {
		fail("input", 0);
		return 1;
	}
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	at = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, input, 0);
	uname(&system);
	printf("kernel %s\n", system.release);
	types = load_types();
	maps = word();
	for (k = 0; k < maps && k < MAPS; k++)
		fds[k] = make_map(k, types, &made[k]);
	programs = word();
	for (k = 0; k < programs; k++)
		judge(k, fds, made, maps);
	printf("end\n");
	fflush(stdout);
	if (alone)
		reboot(RB_POWER_OFF);
	return 0;
}
