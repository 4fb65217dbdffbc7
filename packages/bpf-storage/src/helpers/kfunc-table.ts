/**
 * The functions of the kernel that programs may call, by the kinds of programs that may: names and flags of the BTF_KFUNCS sets of
 * linux 6.12. Flags are those of linux/btf.h without `KF_`, in lower case.
 *
 * Source: kernel/bpf/helpers.c, cpumask.c, map_iter.c, crypto.c, kernel/cgroup/rstat.c, kernel/trace/bpf_trace.c, net/core/filter.c, net/ipv4/bpf_tcp_ca.c, tcp_cubic.c,
 * net/bpf/test_run.c, fs/bpf_fs_kfuncs.c.
 */

/** Who may call the functions of a set: hooks as in kernel/bpf/btf.c. */
export type KfuncHook =
  | "common"
  | "xdp"
  | "tc"
  | "tracing"
  | "syscall"
  | "cgroup"
  | "act"
  | "sk_skb"
  | "socket"
  | "lwt"
  | "netfilter"
  | "kprobe"
  | "struct_ops";

/** A set: who may call its functions, what else it asks of the program, and the functions with their flags. */
export interface KfuncSet {
  readonly hooks: readonly KfuncHook[];
  /** LSM programs only; programs of iterators only; kprobe session programs only. */
  readonly only?: "lsm" | "iter" | "session";
  readonly functions: Readonly<Record<string, string>>;
}

const COMMON: KfuncSet = {
  hooks: ["common"],
  functions: {
    bpf_cast_to_kern_ctx: "fastcall",
    bpf_rdonly_cast: "fastcall",
    bpf_rcu_read_lock: "",
    bpf_rcu_read_unlock: "",
    bpf_dynptr_slice: "ret_null",
    bpf_dynptr_slice_rdwr: "ret_null",
    bpf_iter_num_new: "iter_new",
    bpf_iter_num_next: "iter_next ret_null",
    bpf_iter_num_destroy: "iter_destroy",
    bpf_iter_task_vma_new: "iter_new rcu",
    bpf_iter_task_vma_next: "iter_next ret_null",
    bpf_iter_task_vma_destroy: "iter_destroy",
    bpf_iter_css_task_new: "iter_new trusted_args",
    bpf_iter_css_task_next: "iter_next ret_null",
    bpf_iter_css_task_destroy: "iter_destroy",
    bpf_iter_css_new: "iter_new trusted_args rcu_protected",
    bpf_iter_css_next: "iter_next ret_null",
    bpf_iter_css_destroy: "iter_destroy",
    bpf_iter_task_new: "iter_new trusted_args rcu_protected",
    bpf_iter_task_next: "iter_next ret_null",
    bpf_iter_task_destroy: "iter_destroy",
    bpf_dynptr_adjust: "",
    bpf_dynptr_is_null: "",
    bpf_dynptr_is_rdonly: "",
    bpf_dynptr_size: "",
    bpf_dynptr_clone: "",
    bpf_modify_return_test_tp: "",
    bpf_wq_init: "",
    bpf_wq_set_callback_impl: "",
    bpf_wq_start: "",
    bpf_preempt_disable: "",
    bpf_preempt_enable: "",
    bpf_iter_bits_new: "iter_new",
    bpf_iter_bits_next: "iter_next ret_null",
    bpf_iter_bits_destroy: "iter_destroy",
    bpf_copy_from_user_str: "sleepable",
    bpf_map_sum_elem_count: "trusted_args",
  },
};

const GENERIC: KfuncSet = {
  hooks: ["tracing", "tc", "xdp", "struct_ops", "syscall", "cgroup"],
  functions: {
    crash_kexec: "destructive",
    bpf_obj_new_impl: "acquire ret_null",
    bpf_percpu_obj_new_impl: "acquire ret_null",
    bpf_obj_drop_impl: "release",
    bpf_percpu_obj_drop_impl: "release",
    bpf_refcount_acquire_impl: "acquire ret_null rcu",
    bpf_list_push_front_impl: "",
    bpf_list_push_back_impl: "",
    bpf_list_pop_front: "acquire ret_null",
    bpf_list_pop_back: "acquire ret_null",
    bpf_task_acquire: "acquire rcu ret_null",
    bpf_task_release: "release",
    bpf_rbtree_remove: "acquire ret_null",
    bpf_rbtree_add_impl: "",
    bpf_rbtree_first: "ret_null",
    bpf_cgroup_acquire: "acquire rcu ret_null",
    bpf_cgroup_release: "release",
    bpf_cgroup_ancestor: "acquire rcu ret_null",
    bpf_cgroup_from_id: "acquire ret_null",
    bpf_task_under_cgroup: "rcu",
    bpf_task_get_cgroup1: "acquire rcu ret_null",
    bpf_task_from_pid: "acquire ret_null",
    bpf_throw: "",
  },
};

const CPUMASK_READERS =
  "first first_zero first_and set_cpu clear_cpu test_cpu test_and_set_cpu test_and_clear_cpu setall clear and or xor equal intersects " +
  "subset empty full copy any_distribute any_and_distribute weight";

const CPUMASK: KfuncSet = {
  hooks: ["tracing", "struct_ops", "syscall"],
  functions: {
    bpf_cpumask_create: "acquire ret_null",
    bpf_cpumask_release: "release",
    bpf_cpumask_acquire: "acquire trusted_args",
    ...Object.fromEntries(CPUMASK_READERS.split(" ").map((name) => [`bpf_cpumask_${name}`, "rcu"])),
  },
};

export const KFUNC_SETS: readonly KfuncSet[] = [
  COMMON,
  GENERIC,
  CPUMASK,
  {
    hooks: ["syscall"],
    functions: {
      bpf_crypto_ctx_create: "acquire ret_null sleepable",
      bpf_crypto_ctx_release: "release",
      bpf_crypto_ctx_acquire: "acquire rcu ret_null",
    },
  },
  { hooks: ["tc", "act", "xdp"], functions: { bpf_crypto_decrypt: "rcu", bpf_crypto_encrypt: "rcu" } },
  {
    hooks: ["tc", "act", "sk_skb", "socket", "cgroup", "lwt", "netfilter", "tracing"],
    functions: { bpf_dynptr_from_skb: "trusted_args" },
  },
  { hooks: ["xdp"], functions: { bpf_dynptr_from_xdp: "" } },
  { hooks: ["cgroup"], functions: { bpf_sock_addr_set_sun_path: "" } },
  { hooks: ["tc"], functions: { bpf_sk_assign_tcp_reqsk: "trusted_args" } },
  {
    hooks: ["tracing"],
    only: "lsm",
    functions: {
      bpf_get_task_exe_file: "acquire trusted_args ret_null",
      bpf_put_file: "release",
      bpf_path_d_path: "trusted_args",
      bpf_get_dentry_xattr: "sleepable trusted_args",
      bpf_get_file_xattr: "sleepable trusted_args",
      bpf_get_fsverity_digest: "trusted_args",
    },
  },
  { hooks: ["tracing"], only: "iter", functions: { bpf_sock_destroy: "trusted_args" } },
  {
    hooks: ["tracing"],
    functions: {
      bpf_lookup_user_key: "acquire ret_null sleepable",
      bpf_lookup_system_key: "acquire ret_null",
      bpf_key_put: "release",
      bpf_verify_pkcs7_signature: "sleepable",
      cgroup_rstat_updated: "",
      cgroup_rstat_flush: "sleepable",
    },
  },
  {
    hooks: ["struct_ops"],
    functions: Object.fromEntries(
      `tcp_reno_ssthresh tcp_reno_cong_avoid tcp_reno_undo_cwnd tcp_slow_start tcp_cong_avoid_ai
      cubictcp_init cubictcp_recalc_ssthresh cubictcp_cong_avoid cubictcp_state cubictcp_cwnd_event cubictcp_acked`
        .split(/\s+/)
        .map((name) => [name, ""]),
    ),
  },
  { hooks: ["kprobe"], only: "session", functions: { bpf_session_is_return: "", bpf_session_cookie: "" } },
  {
    hooks: ["tc", "tracing", "syscall"],
    functions: { bpf_kfunc_call_test_release: "release", bpf_kfunc_call_memb_release: "release" },
  },
];

/** Functions that exist, and of which this verifier knows that it does not know their rules. */
export const NOT_SUPPORTED: Readonly<Record<string, string>> = {
  bpf_xdp_metadata_rx_timestamp: "metadata of devices",
  bpf_xdp_metadata_rx_hash: "metadata of devices",
  bpf_xdp_metadata_rx_vlan_tag: "metadata of devices",
  bpf_arena_alloc_pages: "arenas",
  bpf_arena_free_pages: "arenas",
};
