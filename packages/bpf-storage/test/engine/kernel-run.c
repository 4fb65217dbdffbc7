/*
 * Runs programs in the kernel that runs, by BPF_PROG_TEST_RUN. A line of input is a program:
 *
 *   TYPE INSNS DATA CONTEXT MAP
 *
 * a number of bpf_prog_type and four hexadecimal strings, "-" where there is none: instructions, a packet, what the context is made from, and the value of the
 * only map, an array of one element, which is what immediate loads of map pointers and values mean. A line of output tells what became of it:
 *
 *   ok RETVAL DATA CONTEXT MAP
 *   refused ERRNO
 *   failed ERRNO
 *
 * With an argument, the verifier's log of what is refused goes to the standard error. Nothing stays in the kernel when the process ends.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VALUE 512
#define MOST 16384
#define FUNCTIONS 64

static unsigned char insns[8 * 65536], data[MOST], context[MOST], value[MOST], out[2 * MOST];
static struct bpf_func_info functions[FUNCTIONS];
static char line[8 << 20], log_text[1 << 20];

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int from_hex(const char *text, unsigned char *to, int most)
{
	int n = 0;
	if (!text || text[0] == '-')
		return 0;
	for (; text[0] && text[1] && n < most; text += 2, n++) {
		unsigned byte;
		if (sscanf(text, "%2x", &byte) != 1)
			return -1;
		to[n] = byte;
	}
	return n;
}

static void to_hex(const unsigned char *from, int n)
{
	putchar(' ');
	if (n == 0)
		putchar('-');
	for (int k = 0; k < n; k++)
		printf("%02x", from[k]);
}

static int make_map(void)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = VALUE;
	attr.max_entries = 1;
	return bpf(BPF_MAP_CREATE, &attr);
}

static long map_element(int command, int map)
{
	union bpf_attr attr;
	unsigned key = 0;
	memset(&attr, 0, sizeof attr);
	attr.map_fd = map;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)value;
	return bpf(command, &attr);
}

/* Types for functions that others get pointers to: int f(). */
static int make_types(void)
{
	static const struct {
		struct { unsigned short magic; unsigned char version, flags; unsigned lengths[5]; } header;
		unsigned types[10];
		char strings[8];
	} types = {
		{ 0xeb9f, 1, 0, { 24, 0, 40, 40, 7 } },
		{
			1, 1u << 24, 4, 32 | 1u << 24, /* 1: int */
			0, 13u << 24, 1, /* 2: what returns int */
			5, 12u << 24, 2, /* 3: f, of that type */
		},
		"\0int\0f",
	};
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.btf = (unsigned long)&types;
	attr.btf_size = 24 + 40 + 7;
	return bpf(BPF_BTF_LOAD, &attr);
}

/* Functions begin at 0 and where local calls and function pointers lead. */
static int find_functions(const struct bpf_insn *insn, int count)
{
	static char begins[65536];
	int n = 0;
	memset(begins, 0, sizeof begins);
	begins[0] = 1;
	for (int k = 0; k < count; k++) {
		int to = k + 1 + insn[k].imm;
		int names = (insn[k].code == 0x85 && insn[k].src_reg == BPF_PSEUDO_CALL) ||
			    (insn[k].code == 0x18 && insn[k].src_reg == BPF_PSEUDO_FUNC);
		if (names && to > 0 && to < count)
			begins[to] = 1;
	}
	for (int k = 0; k < count && n < FUNCTIONS; k++)
		if (begins[k])
			functions[n++] = (struct bpf_func_info){ k, 3 };
	return n;
}

static int load(int type, int count, int map, int types, int verbose)
{
	union bpf_attr attr;
	struct bpf_insn *insn = (struct bpf_insn *)insns;
	for (int k = 0; k < count; k++)
		if (insn[k].code == 0x18) {
			if (insn[k].src_reg == BPF_PSEUDO_MAP_FD || insn[k].src_reg == BPF_PSEUDO_MAP_VALUE)
				insn[k].imm = map;
			k++;
		}
	memset(&attr, 0, sizeof attr);
	attr.prog_type = type;
	attr.insns = (unsigned long)insns;
	attr.insn_cnt = count;
	attr.license = (unsigned long)"GPL";
	attr.prog_btf_fd = types;
	attr.func_info = (unsigned long)functions;
	attr.func_info_cnt = find_functions(insn, count);
	attr.func_info_rec_size = sizeof functions[0];
	if (type == BPF_PROG_TYPE_SYSCALL)
		attr.prog_flags = BPF_F_SLEEPABLE;
	if (verbose) {
		attr.log_level = 1;
		attr.log_buf = (unsigned long)log_text;
		attr.log_size = sizeof log_text;
	}
	int fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0 && verbose)
		fprintf(stderr, "%s\n", log_text);
	return fd;
}

static void run(int program, int type, int data_size, int context_size, int map)
{
	union bpf_attr attr;
	int packet = type != BPF_PROG_TYPE_SYSCALL && type != BPF_PROG_TYPE_RAW_TRACEPOINT;
	int has_context = context_size != 0;
	memset(&attr, 0, sizeof attr);
	attr.test.prog_fd = program;
	if (packet) {
		attr.test.data_in = (unsigned long)data;
		attr.test.data_size_in = data_size;
		attr.test.data_out = (unsigned long)out;
		attr.test.data_size_out = sizeof out;
		attr.test.repeat = 1;
	}
	if (has_context) {
		attr.test.ctx_in = (unsigned long)context;
		attr.test.ctx_size_in = context_size;
		if (packet) {
			attr.test.ctx_out = (unsigned long)context;
			attr.test.ctx_size_out = context_size;
		}
	}
	if (map_element(BPF_MAP_UPDATE_ELEM, map) < 0 || bpf(BPF_PROG_TEST_RUN, &attr) < 0) {
		printf("failed %d\n", errno);
		return;
	}
	map_element(BPF_MAP_LOOKUP_ELEM, map);
	printf("ok %u", attr.test.retval);
	to_hex(out, packet ? attr.test.data_size_out : 0);
	to_hex(context, context_size);
	to_hex(value, VALUE);
	putchar('\n');
}

int main(int argc, char **argv)
{
	int map = make_map(), types = make_types();
	(void)argv;
	if (map < 0 || types < 0) {
		perror(map < 0 ? "BPF_MAP_CREATE" : "BPF_BTF_LOAD");
		return 1;
	}
	while (fgets(line, sizeof line, stdin)) {
		char *words[5] = { 0 };
		int n = 0;
		for (char *word = strtok(line, " \n"); word && n < 5; word = strtok(NULL, " \n"))
			words[n++] = word;
		if (n != 5)
			return 2;
		int type = atoi(words[0]);
		int bytes = from_hex(words[1], insns, sizeof insns);
		int data_size = from_hex(words[2], data, MOST);
		int context_size = from_hex(words[3], context, MOST);
		memset(value, 0, VALUE);
		from_hex(words[4], value, VALUE);
		int program = load(type, bytes / 8, map, types, argc > 1);
		if (program < 0)
			printf("refused %d\n", errno);
		else {
			run(program, type, data_size, context_size, map);
			close(program);
		}
		fflush(stdout);
	}
	close(map);
	return 0;
}
