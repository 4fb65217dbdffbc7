/*
 * The types of a kernel that has all four kinds of owners: names as Linux has them, places as suits. The pointers to storage are not
 * where Linux has them either, so that nothing here can rely on that.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct counter {
	int counter;
};

struct refcount {
	struct counter refs;
};

struct bpf_local_storage_map;

struct bpf_local_storage {
	void *cache[16];
	struct bpf_local_storage_map *smap;
};

struct percpu_ref {
	u64 percpu_count_ptr;
};

struct cgroup_subsys_state {
	void *parent;
	struct percpu_ref refcnt;
};

struct kernfs_node {
	void *parent;
	u64 id;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct bpf_local_storage *bpf_cgrp_storage;
};

struct css_set {
	u64 padding[2];
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	u64 padding[3];
	struct refcount usage;
	int pid;
	int tgid;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
	char comm[16];
};

struct inode {
	u64 padding[5];
	void *i_security;
};

struct file {
	u64 padding;
	struct inode *f_inode;
};

struct dentry {
	u64 padding[4];
	struct inode *d_inode;
};

struct linux_binprm {
	u64 padding[2];
	struct file *file;
};

struct sock_common {
	u16 skc_family;
	volatile u8 skc_state;
	u16 skc_num;
	struct refcount skc_refcnt;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_common __sk_common;
	struct counter sk_omem_alloc;
	struct sock_cgroup_data sk_cgrp_data;
	struct bpf_local_storage *sk_bpf_storage;
};

struct tcp_sock {
	struct sock sk;
	u64 padding[4];
};

struct socket {
	u64 padding[2];
	struct sock *sk;
};

struct sockaddr {
	u16 sa_family;
	char sa_data[14];
};

struct bpf_sock_addr {
	u32 user_family;
	u32 family;
	u64 sk;
};

struct bpf_sock_ops {
	u32 op;
	u32 family;
	u32 local_port;
	u64 sk;
};

struct pt_regs {
	u64 di;
};

typedef void (*btf_trace_sys_enter)(void *data, struct pt_regs *regs, long id);
typedef void (*btf_trace_sys_exit)(void *data, struct pt_regs *regs, long result);
typedef void (*btf_trace_inet_sock_set_state)(void *data, const struct sock *sk, const int oldstate, const int newstate);

btf_trace_sys_enter enter;
btf_trace_sys_exit leave;
btf_trace_inet_sock_set_state set_state;

/* What is only pointed to would be left out. */
struct tcp_sock tcp;
struct css_set set;
struct cgroup group;
struct kernfs_node node;
struct file file;
struct bpf_local_storage storage;
struct linux_binprm binary;
struct bpf_sock_addr address;
struct bpf_sock_ops operations;

void exit_creds(struct task_struct *task)
{
}

void *bpf_local_storage_lookup(struct bpf_local_storage *storage, struct bpf_local_storage_map *map, int cache)
{
	return 0;
}

void *bpf_local_storage_update(void *owner, struct bpf_local_storage_map *map, void *value, unsigned long flags)
{
	return 0;
}

int bpf_lsm_inode_unlink(struct inode *dir, struct dentry *dentry)
{
	return 0;
}

void bpf_lsm_bprm_committed_creds(const struct linux_binprm *bprm)
{
}

int bpf_lsm_socket_bind(struct socket *sock, struct sockaddr *address, int length)
{
	return 0;
}
