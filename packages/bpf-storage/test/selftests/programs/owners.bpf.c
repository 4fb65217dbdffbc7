/* Programs that give storage to owners of all four kinds, look at it and take it away: what is to be done, tests say. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_local_storage_map;

struct bpf_local_storage {
	struct bpf_local_storage_map *smap;
};

struct cgroup {
	struct bpf_local_storage *bpf_cgrp_storage;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	int pid;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
};

struct inode {
	void *i_security;
};

struct dentry {
	struct inode *d_inode;
};

struct sock {
	struct bpf_local_storage *sk_bpf_storage;
};

struct socket {
	struct sock *sk;
};
#pragma clang attribute pop

static void *(*const sk_storage_get)(void *map, void *sk, void *value, u64 flags) = (void *)107;
static long (*const sk_storage_delete)(void *map, void *sk) = (void *)108;
static void *(*const inode_storage_get)(void *map, void *inode, void *value, u64 flags) = (void *)145;
static long (*const inode_storage_delete)(void *map, void *inode) = (void *)146;
static void *(*const task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*const task_storage_delete)(void *map, struct task_struct *task) = (void *)157;
static struct task_struct *(*const get_current_task_btf)(void) = (void *)158;
static void *(*const cgrp_storage_get)(void *map, struct cgroup *cgroup, void *value, u64 flags) = (void *)210;
static long (*const cgrp_storage_delete)(void *map, struct cgroup *cgroup) = (void *)211;

enum { SK_STORAGE = 24, INODE_STORAGE = 28, TASK_STORAGE = 29, CGRP_STORAGE = 32, NO_PREALLOC = 1, CLONE = 0x200 };
enum { CREATE = 1 };

#define STORAGE(name, kind, flags)           \
	struct {                             \
		__uint(type, kind);          \
		__uint(map_flags, flags);    \
		__type(key, int);            \
		__type(value, long);         \
	} name SEC(".maps")

STORAGE(tasks, TASK_STORAGE, NO_PREALLOC);
STORAGE(inodes, INODE_STORAGE, NO_PREALLOC);
STORAGE(sockets, SK_STORAGE, NO_PREALLOC);
STORAGE(copied, SK_STORAGE, NO_PREALLOC | CLONE);
STORAGE(cgroups, CGRP_STORAGE, NO_PREALLOC);

/* What to do: give a value if there is none, add to one that is there, take it away. */
enum { GIVE, ADD, TAKE };
int todo = GIVE;
/* What came of it for each kind: the value, -1 if there is none; 0 or an error of the taking. */
long task_result, inode_result, socket_result, cgroup_result;
/* Whether storage is there with the map that it was made for. */
int task_smap, socket_smap;

#define WORK(kind, map, owner, first, result)                              \
	do {                                                               \
		long *value;                                               \
		long begin = first;                                        \
		if (todo == TAKE) {                                        \
			result = kind##_storage_delete(&map, owner);       \
			break;                                             \
		}                                                          \
		value = todo == GIVE ?                                     \
				kind##_storage_get(&map, owner, &begin, CREATE) : \
				kind##_storage_get(&map, owner, 0, 0);     \
		if (!value) {                                              \
			result = -1;                                       \
			break;                                             \
		}                                                          \
		if (todo == ADD)                                           \
			*value += 1;                                       \
		result = *value;                                           \
	} while (0)

SEC("tp_btf/sys_enter")
int on_enter(u64 *ctx)
{
	struct task_struct *task = get_current_task_btf();
	struct bpf_local_storage *storage;

	WORK(task, tasks, task, 10, task_result);
	storage = task->bpf_storage;
	task_smap = storage && storage->smap;
	return 0;
}

SEC("tp_btf/sys_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *task = get_current_task_btf();

	WORK(cgrp, cgroups, task->cgroups->dfl_cgrp, 40, cgroup_result);
	return 0;
}

SEC("fentry/exit_creds")
int freed(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	WORK(task, tasks, task, 10, task_result);
	return 0;
}

SEC("lsm/inode_unlink")
int unlink(u64 *ctx)
{
	struct dentry *dentry = (struct dentry *)ctx[1];

	WORK(inode, inodes, dentry->d_inode, 20, inode_result);
	return 0;
}

SEC("lsm/socket_bind")
int bind(u64 *ctx)
{
	struct socket *socket = (struct socket *)ctx[0];
	struct sock *sk = socket->sk;

	if (!sk)
		return 0;
	WORK(sk, sockets, sk, 30, socket_result);
	if (todo == GIVE)
		sk_storage_get(&copied, sk, 0, CREATE);
	socket_smap = sk->sk_bpf_storage && sk->sk_bpf_storage->smap;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int on_state(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	WORK(sk, sockets, sk, 30, socket_result);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
