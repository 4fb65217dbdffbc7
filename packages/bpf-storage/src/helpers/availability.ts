import { ProgramType } from "../uapi/program-types.js";

/**
 * Which helpers each kind of program may call, by name. Source: the get_func_proto functions of linux 6.12 (kernel/bpf/helpers.c,
 * kernel/trace/bpf_trace.c, kernel/bpf/bpf_lsm.c, kernel/bpf/cgroup.c, net/core/filter.c), for programs of a loader with all capabilities.
 */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const BASE = words(`
  map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem map_lookup_percpu_elem get_prandom_u32
  get_smp_processor_id get_numa_node_id tail_call ktime_get_ns ktime_get_boot_ns ktime_get_tai_ns ringbuf_output ringbuf_reserve
  ringbuf_submit ringbuf_discard ringbuf_query strncmp strtol strtoul get_current_pid_tgid get_ns_current_pid_tgid spin_lock spin_unlock
  jiffies64 per_cpu_ptr this_cpu_ptr timer_init timer_set_callback timer_start timer_cancel kptr_xchg for_each_map_elem loop
  user_ringbuf_drain ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_from_mem dynptr_read dynptr_write
  dynptr_data cgrp_storage_get cgrp_storage_delete get_current_cgroup_id get_current_ancestor_cgroup_id trace_printk get_current_task
  get_current_task_btf probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str snprintf_btf snprintf task_pt_regs
  trace_vprintk`);

const TRACING = words(`
  get_current_uid_gid get_current_comm perf_event_read probe_write_user probe_read probe_read_str current_task_under_cgroup send_signal
  send_signal_thread perf_event_read_value get_task_stack copy_from_user copy_from_user_task get_func_ip get_branch_snapshot find_vma
  task_storage_get task_storage_delete
  ${BASE.join(" ")}`);

const EVENTS = words(`perf_event_output get_stackid get_stack get_attach_cookie ${TRACING.join(" ")}`);

const BTF_TRACING = words(`
  skb_output xdp_output skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock
  skc_to_unix_sock skc_to_mptcp_sock sk_storage_get sk_storage_delete sock_from_file get_socket_cookie xdp_get_buff_len d_path
  get_func_arg get_func_ret get_func_arg_cnt seq_printf seq_write seq_printf_btf ${EVENTS.join(" ")}`);

const SK_BASE = words(`
  skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock skc_to_unix_sock skc_to_mptcp_sock
  ktime_get_coarse_ns ${BASE.join(" ")}`);

const SOCKET_FILTER = words(`
  skb_load_bytes skb_load_bytes_relative get_socket_cookie get_socket_uid perf_event_output ${SK_BASE.join(" ")}`);

const LOOKUPS = words("sk_lookup_tcp sk_lookup_udp sk_release skc_lookup_tcp");

const SCHED = words(`
  skb_store_bytes skb_load_bytes skb_load_bytes_relative skb_pull_data csum_diff csum_update csum_level l3_csum_replace l4_csum_replace
  clone_redirect get_cgroup_classid skb_vlan_push skb_vlan_pop skb_change_proto skb_change_type skb_adjust_room skb_change_tail
  skb_change_head skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt redirect redirect_neigh redirect_peer
  get_route_realm get_hash_recalc set_hash_invalid set_hash perf_event_output skb_under_cgroup get_socket_cookie get_socket_uid fib_lookup
  check_mtu sk_fullsock sk_storage_get sk_storage_delete skb_get_xfrm_state skb_cgroup_classid skb_cgroup_id skb_ancestor_cgroup_id
  tcp_sock get_listener_sock tcp_check_syncookie skb_ecn_set_ce tcp_gen_syncookie sk_assign skb_set_tstamp tcp_raw_gen_syncookie_ipv4
  tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6 ${LOOKUPS.join(" ")} ${SK_BASE.join(" ")}`);

const XDP = words(`
  perf_event_output csum_diff xdp_adjust_head xdp_adjust_meta redirect redirect_map xdp_adjust_tail xdp_get_buff_len xdp_load_bytes
  xdp_store_bytes fib_lookup check_mtu tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6
  tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6 ${LOOKUPS.join(" ")} ${SK_BASE.join(" ")}`);

const CGROUP = words("get_local_storage get_retval set_retval");
const CGROUP_CURRENT = words("get_current_uid_gid get_current_comm get_cgroup_classid current_task_under_cgroup");

const CGROUP_SKB = words(`
  get_local_storage sk_fullsock sk_storage_get sk_storage_delete perf_event_output skb_cgroup_id skb_ancestor_cgroup_id sk_cgroup_id
  sk_ancestor_cgroup_id tcp_sock get_listener_sock skb_ecn_set_ce ${LOOKUPS.join(" ")} ${SOCKET_FILTER.join(" ")}`);

const LWT_OUT = words(`
  skb_load_bytes skb_pull_data csum_diff get_cgroup_classid get_route_realm get_hash_recalc perf_event_output skb_under_cgroup
  ${SK_BASE.join(" ")}`);
const LWT_XMIT = words(`
  skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt redirect clone_redirect skb_change_tail skb_change_head
  skb_store_bytes csum_update csum_level l3_csum_replace l4_csum_replace set_hash_invalid lwt_push_encap ${LWT_OUT.join(" ")}`);

const SK_SKB = words(`
  skb_store_bytes skb_load_bytes skb_pull_data skb_change_tail skb_change_head skb_adjust_room get_socket_cookie get_socket_uid
  sk_redirect_map sk_redirect_hash perf_event_output ${LOOKUPS.join(" ")} ${SK_BASE.join(" ")}`);
const SK_MSG = words(`
  msg_redirect_map msg_redirect_hash msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data msg_pop_data perf_event_output
  get_current_uid_gid sk_storage_get sk_storage_delete get_netns_cookie get_cgroup_classid ${SK_BASE.join(" ")}`);
const SOCK_ADDR = words(`
  bind get_socket_cookie get_netns_cookie perf_event_output sk_storage_get sk_storage_delete setsockopt getsockopt
  ${CGROUP.join(" ")} ${CGROUP_CURRENT.join(" ")} ${LOOKUPS.join(" ")} ${SK_BASE.join(" ")}`);
const SOCK_OPS = words(`
  setsockopt getsockopt sock_ops_cb_flags_set sock_map_update sock_hash_update get_socket_cookie perf_event_output sk_storage_get
  sk_storage_delete get_netns_cookie load_hdr_opt store_hdr_opt reserve_hdr_opt tcp_sock get_local_storage ${SK_BASE.join(" ")}`);
const CGROUP_SOCK = words(`
  get_socket_cookie get_netns_cookie perf_event_output sk_storage_get ktime_get_coarse_ns ${CGROUP.join(" ")}
  ${CGROUP_CURRENT.join(" ")} ${BASE.join(" ")}`);
const CGROUP_OTHER = words(`perf_event_output ${CGROUP.join(" ")} ${CGROUP_CURRENT.join(" ")} ${BASE.join(" ")}`);

const SETS: ReadonlyMap<ProgramType, ReadonlySet<string>> = new Map(
  (
    [
      [ProgramType.SocketFilter, SOCKET_FILTER],
      [ProgramType.Kprobe, EVENTS],
      [ProgramType.SchedCls, SCHED],
      [ProgramType.SchedAct, SCHED],
      [ProgramType.Tracepoint, EVENTS],
      [ProgramType.Xdp, XDP],
      [ProgramType.PerfEvent, ["perf_prog_read_value", "read_branch_records", ...EVENTS]],
      [ProgramType.CgroupSkb, CGROUP_SKB],
      [ProgramType.CgroupSock, CGROUP_SOCK],
      [ProgramType.LwtIn, ["lwt_push_encap", ...LWT_OUT]],
      [ProgramType.LwtOut, LWT_OUT],
      [ProgramType.LwtXmit, LWT_XMIT],
      [
        ProgramType.LwtSeg6local,
        ["lwt_seg6_store_bytes", "lwt_seg6_action", "lwt_seg6_adjust_srh"].concat(
          LWT_OUT.filter((name) => name !== "skb_pull_data"),
        ),
      ],
      [ProgramType.Netfilter, BASE],
      [
        ProgramType.StructOps,
        words(
          `tcp_send_ack sk_storage_get sk_storage_delete setsockopt getsockopt ktime_get_coarse_ns ${BASE.join(" ")}`,
        ),
      ],
      [ProgramType.SockOps, SOCK_OPS],
      [ProgramType.SkSkb, SK_SKB],
      [ProgramType.CgroupDevice, CGROUP_OTHER],
      [ProgramType.SkMsg, SK_MSG],
      [ProgramType.RawTracepoint, EVENTS],
      [ProgramType.RawTracepointWritable, EVENTS],
      [ProgramType.CgroupSockAddr, SOCK_ADDR],
      [
        ProgramType.SkReuseport,
        words(
          `sk_select_reuseport skb_load_bytes skb_load_bytes_relative get_socket_cookie ktime_get_coarse_ns ${BASE.join(" ")}`,
        ),
      ],
      [ProgramType.FlowDissector, ["skb_load_bytes", ...SK_BASE]],
      [
        ProgramType.CgroupSysctl,
        words(`sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value ktime_get_coarse_ns
          ${CGROUP_OTHER.join(" ")}`),
      ],
      [
        ProgramType.CgroupSockopt,
        words(
          `get_netns_cookie sk_storage_get sk_storage_delete setsockopt getsockopt tcp_sock ${CGROUP_OTHER.join(" ")}`,
        ),
      ],
      [ProgramType.Tracing, BTF_TRACING],
      [
        ProgramType.Lsm,
        words(
          `inode_storage_get inode_storage_delete bprm_opts_set ima_inode_hash ima_file_hash ${BTF_TRACING.join(" ")}`,
        ),
      ],
      [ProgramType.SkLookup, words(`perf_event_output sk_assign sk_release ${SK_BASE.join(" ")}`)],
      [
        ProgramType.Syscall,
        words(`sys_bpf btf_find_by_name_kind sys_close kallsyms_lookup_name ${BTF_TRACING.join(" ")}`),
      ],
    ] as const
  ).map(([type, names]) => [type, new Set<string>(names)]),
);

/** Whether programs of this kind may call the helper; {@link isAvailableTo} says which of them. */
export const isAvailable = (type: ProgramType, name: string): boolean => SETS.get(type)?.has(name) ?? false;
