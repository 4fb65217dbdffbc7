/* Each call that a task begins is the one that it ends: what is stored at the beginning is found at the end. */
#include "storage.h"

NUMBER_OF_TASKS(begun);

int watched;
int enters, exits, mismatches;

static long *number(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->pid != watched)
		return 0;
	return bpf_task_storage_get(&begun, task, 0, CREATE);
}

SEC("tp_btf/sys_enter")
int enter(u64 *ctx)
{
	long *call = number();

	if (!call)
		return 0;
	__sync_fetch_and_add(&enters, 1);
	*call = 0x1234 + enters;
	return 0;
}

SEC("tp_btf/sys_exit")
int leave(u64 *ctx)
{
	long *call = number();

	if (!call)
		return 0;
	__sync_fetch_and_add(&exits, 1);
	if (*call != 0x1234 + exits)
		__sync_fetch_and_add(&mismatches, 1);
	return 0;
}
