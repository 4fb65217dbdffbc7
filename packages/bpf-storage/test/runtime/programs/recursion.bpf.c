/* A program that is attached to what another does with storage, and does the same. */
#include "storage.h"

NUMBER_OF_TASKS(first);
NUMBER_OF_TASKS(second);

int watched;
int busy_deletes, lookups;

static struct task_struct *task_of_interest(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return watched && task->pid == watched ? task : 0;
}

SEC("fentry/bpf_local_storage_update")
int on_update(u64 *ctx)
{
	struct task_struct *task = task_of_interest();
	long *number;

	if (!task)
		return 0;
	number = bpf_task_storage_get(&first, task, 0, CREATE);
	if (number) {
		*number += 1;
		if (bpf_task_storage_delete(&first, task) == -EBUSY)
			busy_deletes++;
	}
	number = bpf_task_storage_get(&second, task, 0, CREATE);
	if (number)
		*number += 1;
	return 0;
}

SEC("?fentry/bpf_local_storage_lookup")
int on_lookup(u64 *ctx)
{
	struct task_struct *task = task_of_interest();

	if (!task)
		return 0;
	lookups++;
	bpf_task_storage_delete(&first, task);
	bpf_task_storage_delete(&second, task);
	return 0;
}

SEC("tp_btf/sys_enter")
int on_enter(u64 *ctx)
{
	struct task_struct *task = task_of_interest();
	long *number;

	if (!task)
		return 0;
	number = bpf_task_storage_get(&first, task, 0, CREATE);
	if (number && !*number)
		*number = 200;
	number = bpf_task_storage_get(&second, task, 0, CREATE);
	if (number && !*number)
		*number = 100;
	return 0;
}
