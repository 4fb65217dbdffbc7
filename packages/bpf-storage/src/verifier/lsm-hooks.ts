/** Hooks of LSM programs that differ from others (linux 6.12, kernel/bpf/bpf_lsm.c); names as in the kernel's BTF. */

/** Hooks that no program may be attached to. */
export const DISABLED_HOOKS: ReadonlySet<string> = new Set([
  ...["bpf_lsm_vm_enough_memory", "bpf_lsm_inode_need_killpriv", "bpf_lsm_inode_getsecurity"],
  ...["bpf_lsm_inode_listsecurity", "bpf_lsm_inode_copy_up_xattr", "bpf_lsm_getselfattr", "bpf_lsm_getprocattr"],
  ...["bpf_lsm_setprocattr", "bpf_lsm_key_getsecurity", "bpf_lsm_audit_rule_match"],
  ...["bpf_lsm_xfrm_decode_session", "bpf_lsm_ismaclabel"],
]);

/** Hooks whose arguments may be on their way out: pointers are not trusted. */
export const UNTRUSTED_HOOKS: ReadonlySet<string> = new Set([
  ...["bpf_lsm_bpf_map_free", "bpf_lsm_bpf_prog_free", "bpf_lsm_file_alloc_security", "bpf_lsm_file_free_security"],
  ...["bpf_lsm_sk_alloc_security", "bpf_lsm_sk_free_security", "bpf_lsm_task_free"],
]);

const BOOL_HOOKS: ReadonlySet<string> = new Set([
  ...["bpf_lsm_xfrm_state_pol_flow_match", "bpf_lsm_audit_rule_known", "bpf_lsm_inode_xattr_skipcap"],
]);

/** What a hook returns, inclusive: 0 or an error, but for some that answer yes or no. */
export const hookRange = (name: string | undefined): readonly [number, number] =>
  name !== undefined && BOOL_HOOKS.has(name) ? [0, 1] : [-4095, 0];

const SLEEPABLE = `
  bpf bpf_map bpf_map_create bpf_map_free bpf_prog bpf_prog_load bpf_token_create bpf_token_free bpf_token_cmd
  bpf_token_capable bprm_check_security bprm_committed_creds bprm_committing_creds bprm_creds_for_exec bprm_creds_from_file
  capget capset cred_prepare file_ioctl file_lock file_open file_post_open file_receive inode_create inode_free_security
  inode_getattr inode_getxattr inode_mknod inode_need_killpriv inode_post_setxattr inode_readlink inode_rename inode_rmdir
  inode_setattr inode_setxattr inode_symlink inode_unlink kernel_module_request kernel_read_file kernfs_init_security
  path_unlink path_mkdir path_rmdir path_truncate path_symlink path_link path_rename path_chmod path_chown mmap_file
  netlink_send path_notify release_secctx sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount sb_remount sb_set_mnt_opts
  sb_show_options sb_statfs sb_umount settime socket_accept socket_bind socket_connect socket_create socket_getpeername
  socket_getpeersec_dgram socket_getsockname socket_getsockopt socket_listen socket_post_create socket_recvmsg socket_sendmsg
  socket_shutdown socket_socketpair syslog task_alloc current_getsecid_subj task_getsecid_obj task_prctl task_setscheduler
  userns_create`;
const SLEEPABLE_HOOKS: ReadonlySet<string> = new Set(
  SLEEPABLE.trim()
    .split(/\s+/)
    .map((name) => `bpf_lsm_${name}`),
);

/** Whether programs on this hook may sleep, and resolve paths. */
export const isSleepableHook = (name: string | undefined): boolean => name !== undefined && SLEEPABLE_HOOKS.has(name);
