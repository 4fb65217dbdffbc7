/*
 * How long the running kernel takes to verify the programs of objects, one by one, as it says itself (BPF_LOG_STATS).
 * usage: verification-time OBJECT...: lines of OBJECT, PROGRAM and a number of microseconds or why there is none, apart by tabs.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* BPF_LOG_STATS, linux/bpf_verifier.h */
#define STATS 4
#define LOG_BYTES (1 << 20)

static char log_text[LOG_BYTES];

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static void tell(const char *path, const char *program, const char *what)
{
	printf("%s\t%s\t%s\n", path, program, what);
	fflush(stdout);
}

/* The last line of the log that is not about how much there was to do. */
static const char *reason(char *text)
{
	char *last = "";
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strncmp(line, "processed ", 10) != 0 && strncmp(line, "verification time", 17) != 0 &&
		    strncmp(line, "stack depth", 11) != 0)
			last = line;
	return last;
}

static void load(const char *path, const char *name)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *each, *program = NULL;
	struct bpf_map *map;
	char text[400];
	unsigned long usec;
	int error;

	if (object == NULL)
		return;
	bpf_object__for_each_program(each, object) {
		int is = strcmp(bpf_program__name(each), name) == 0;
		bpf_program__set_autoload(each, is);
		if (is)
			program = each;
	}
	/* Nothing is to stay behind. */
	bpf_object__for_each_map(map, object) {
		bpf_map__set_pin_path(map, NULL);
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, false);
	}
	log_text[0] = 0;
	bpf_program__set_log_level(program, STATS);
	bpf_program__set_log_buf(program, log_text, LOG_BYTES);
	error = bpf_object__load(object);
	char *time = strstr(log_text, "verification time ");
	if (error == 0 && time != NULL && sscanf(time, "verification time %lu usec", &usec) == 1)
		snprintf(text, sizeof(text), "%lu", usec);
	else
		snprintf(text, sizeof(text), "%s: %.300s", strerror(-error), reason(log_text));
	tell(path, name, text);
	bpf_object__close(object);
}

int main(int count, char **paths)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(silent);
	for (int k = 1; k < count; k++) {
		struct bpf_object *object = bpf_object__open_file(paths[k], NULL);
		struct bpf_program *program;

		if (object == NULL) {
			tell(paths[k], "*", strerror(errno));
			continue;
		}
		bpf_object__for_each_program(program, object)
			load(paths[k], bpf_program__name(program));
		bpf_object__close(object);
	}
	return 0;
}
