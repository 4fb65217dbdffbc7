/* A task that is being freed has no storage, and does not get any. */
#include "storage.h"

NUMBER_OF_TASKS(numbers);

int runs, found, missing;

SEC("fentry/exit_creds")
int freed(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	__sync_fetch_and_add(&runs, 1);
	if (bpf_task_storage_get(&numbers, task, 0, CREATE))
		__sync_fetch_and_add(&found, 1);
	else
		__sync_fetch_and_add(&missing, 1);
	return 0;
}
