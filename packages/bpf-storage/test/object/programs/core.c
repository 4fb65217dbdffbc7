// Fields, types and enumerations of a kernel that is made by core-target.ts.
#include "kernel.h"

struct task_struct {
	int pid;
	char comm[8];
	unsigned flags : 3;
	struct task_struct *parent;
	unsigned long values[0];
} relocatable;

struct task_struct___old {
	int state;
} relocatable;

enum mode { MODE_READ = 1, MODE_WRITE___v2 = 2 };

struct result {
	int pid, comm, state, exists, size, type, matches, mode, has_mode;
	unsigned long flags, value;
} result;

int gone = 0;

SEC("tp_btf/sched_switch")
int fields(unsigned long *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct___old *old = (void *)ctx[0];

	result.pid = task->parent->pid;
	result.comm = task->comm[5];
	result.value = task->values[2];
	result.exists = __builtin_preserve_field_info(task->comm, FIELD_EXISTS);
	result.size = __builtin_preserve_field_info(task->comm, FIELD_BYTE_SIZE);
	if (__builtin_preserve_field_info(old->state, FIELD_EXISTS))
		result.state = old->state;
	return 0;
}

SEC("tp_btf/sched_switch")
int types(unsigned long *ctx)
{
	result.exists = __builtin_preserve_type_info(*(struct task_struct *)0, TYPE_EXISTS);
	result.size = __builtin_preserve_type_info(*(struct task_struct *)0, TYPE_SIZE);
	result.type = __builtin_btf_type_id(*(struct task_struct *)0, 1);
	result.mode = __builtin_preserve_enum_value(*(enum mode *)MODE_READ, ENUMVAL_VALUE);
	result.has_mode = __builtin_preserve_enum_value(*(enum mode *)MODE_WRITE___v2, ENUMVAL_EXISTS);
	return 0;
}
