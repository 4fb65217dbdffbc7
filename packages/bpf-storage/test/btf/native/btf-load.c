// Asks the running kernel about type information: reads lengths (32 bits) and bytes from standard input, prints an errno for each.
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	unsigned size;

	while (fread(&size, sizeof(size), 1, stdin) == 1) {
		union bpf_attr attr = {};
		char *bytes = malloc(size + 1);
		int fd;

		if (!bytes || fread(bytes, 1, size, stdin) != size)
			return 1;
		attr.btf = (unsigned long)bytes;
		attr.btf_size = size;
		fd = syscall(__NR_bpf, BPF_BTF_LOAD, &attr, sizeof(attr));
		printf("%d\n", fd < 0 ? errno : 0);
		if (fd >= 0)
			close(fd);
		free(bytes);
	}
	return 0;
}
