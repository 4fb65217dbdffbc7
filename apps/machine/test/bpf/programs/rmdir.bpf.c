/* Directories that are removed, or not: what a function of the kernel is given, and what it returns. */
#define SEC(name) __attribute__((section(name), used))

typedef unsigned long long u64;

int begun, removed, refused, error;

SEC("fentry/vfs_rmdir")
int begin(u64 *ctx)
{
	begun++;
	return 0;
}

/* Its arguments are three in each of the kernels. */
SEC("fexit/vfs_rmdir")
int end(u64 *ctx)
{
	int result = (int)ctx[3];

	if (result == 0)
		removed++;
	else {
		refused++;
		error = result;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
