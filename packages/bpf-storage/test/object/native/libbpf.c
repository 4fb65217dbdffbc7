// Drives libbpf over an object without a kernel: bpf(2) is answered here, and every program is printed as it would be loaded.
// Arguments: object, types of the kernel, types for CO-RE, configuration of the kernel.
// Build: cc libbpf.c -Wl,--wrap=syscall,--wrap=fopen,--wrap=fopen64,--wrap=gzopen,--wrap=gzopen64 libbpf.a -lelf -lz
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *types, *config;
static int next_fd = 1000, loading;

/* The kernel's files are those that were given. */
static const char *moved(const char *path)
{
	return strcmp(path, "/sys/kernel/btf/vmlinux") ? path : types;
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	return __real_fopen(moved(path), mode);
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	return __real_fopen64(moved(path), mode);
}

void *__real_gzopen(const char *path, const char *mode);
void *__wrap_gzopen(const char *path, const char *mode)
{
	return __real_gzopen(config, mode);
}

void *__real_gzopen64(const char *path, const char *mode);
void *__wrap_gzopen64(const char *path, const char *mode)
{
	return __real_gzopen64(config, mode);
}

static void print_program(const union bpf_attr *attr)
{
	const unsigned char *bytes = (void *)(unsigned long)attr->insns;

	printf("PROGRAM %.16s ", attr->prog_name[0] ? attr->prog_name : "-");
	for (unsigned i = 0; i < attr->insn_cnt * 8; i++)
		printf("%02x", bytes[i]);
	printf(" ");
	bytes = (void *)(unsigned long)attr->func_info;
	for (unsigned i = 0; i < attr->func_info_cnt; i++) {
		const unsigned *info = (void *)(bytes + i * attr->func_info_rec_size);
		printf("%u:%u,", info[0], info[1]);
	}
	printf("\n");
}

long __wrap_syscall(long number, ...)
{
	union bpf_attr attr = {};
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number != __NR_bpf)
		return syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
	memcpy(&attr, (void *)args[1], (unsigned long)args[2] < sizeof(attr) ? (unsigned long)args[2] : sizeof(attr));
	switch (args[0]) {
	case BPF_PROG_LOAD:
		if (loading)
			print_program(&attr);
		return next_fd++;
	case BPF_MAP_CREATE:
	case BPF_BTF_LOAD:
		return next_fd++;
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_FREEZE:
	case BPF_PROG_BIND_MAP:
		return 0;
	case BPF_BTF_GET_NEXT_ID:
		errno = ENOENT;
		return -1;
	default:
		errno = EINVAL;
		return -1;
	}
}

static int quiet(enum libbpf_print_level level, const char *format, va_list list)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, list) : 0;
}

/* Something of the kernel that programs of a section can be attached to, whatever they ask for. */
static const char *target(const char *section)
{
	static const char *const known[][2] = {
		{ "tp_btf", "sched_switch" }, { "fentry", "schedule" }, { "fexit", "schedule" }, { "fmod_ret", "schedule" },
		{ "freplace", "schedule" },   { "lsm", "file_open" },   { "iter", "task" },
	};

	section += section[0] == '?';
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(section, known[i][0], strlen(known[i][0])))
			return known[i][1];
	return NULL;
}

int main(int count, char **args)
{
	struct bpf_program *program;
	struct bpf_object *object;
	struct bpf_map *map;

	if (count != 5)
		return 2;
	types = args[2];
	config = args[4];
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = args[3]);
	libbpf_set_print(quiet);
	object = bpf_object__open_file(args[1], &options);
	if (!object) {
		printf("REFUSED %d\n", errno);
		return 0;
	}
	bpf_object__for_each_program(program, object) {
		const char *name = target(bpf_program__section_name(program));

		bpf_program__set_autoload(program, true);
		if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC)
			bpf_program__set_type(program, BPF_PROG_TYPE_SOCKET_FILTER);
		if (name)
			bpf_program__set_attach_target(program, 0, name);
	}
	loading = 1;
	printf("LOADED %d\n", bpf_object__load(object));
	bpf_object__for_each_map(map, object)
		printf("MAP %d %s\n", bpf_map__fd(map), bpf_map__name(map));
	return 0;
}
