import { ProgramType } from "../uapi/program-types.js";

/** What a section's name says about its programs. */
export interface SectionRow {
  /** `kprobe+`: alone, or followed by `/` and what it is attached to; without `+`: the whole name. */
  readonly name: string;
  readonly type: ProgramType;
  /** `enum bpf_attach_type`. */
  readonly attach: number;
  readonly sleepable?: true;
  /** Its function or type in the kernel's type information has to be found before it is loaded. */
  readonly btfTarget?: true;
  /** Packets may have fragments (BPF_F_XDP_HAS_FRAGS). */
  readonly fragments?: true;
}

const P = ProgramType;
const row = (name: string, type: ProgramType, attach = 0): SectionRow => ({ name, type, attach });
/** A row and the same with `.s`, whose programs may sleep. */
const both = (name: string, type: ProgramType, attach = 0): SectionRow[] => [
  { name: `${name}+`, type, attach },
  { name: `${name}.s+`, type, attach, sleepable: true },
];
const traced = (rows: readonly SectionRow[]): SectionRow[] => rows.map((one) => ({ ...one, btfTarget: true }));
/** Hooks of control groups; a section is `cgroup/` and the name. */
const cgroup = (type: ProgramType, hooks: Readonly<Record<string, number>>): SectionRow[] =>
  Object.entries(hooks).map(([name, attach]) => row(`cgroup/${name}`, type, attach));

/** Sections of programs and what they are (Documentation/bpf/libbpf/program_types.rst; numbers: linux/bpf.h). The first row that fits counts. */
export const SECTION_ROWS: readonly SectionRow[] = [
  row("socket", P.SocketFilter),
  row("sk_reuseport/migrate", P.SkReuseport, 40),
  row("sk_reuseport", P.SkReuseport, 39),
  row("kprobe+", P.Kprobe),
  row("kretprobe+", P.Kprobe),
  ...both("uprobe", P.Kprobe),
  ...both("uretprobe", P.Kprobe),
  row("kprobe.multi+", P.Kprobe, 42),
  row("kretprobe.multi+", P.Kprobe, 42),
  row("kprobe.session+", P.Kprobe, 56),
  ...both("uprobe.multi", P.Kprobe, 48),
  ...both("uretprobe.multi", P.Kprobe, 48),
  row("ksyscall+", P.Kprobe),
  row("kretsyscall+", P.Kprobe),
  ...both("usdt", P.Kprobe),
  row("tc/ingress", P.SchedCls, 46),
  row("tc/egress", P.SchedCls, 47),
  row("tcx/ingress", P.SchedCls, 46),
  row("tcx/egress", P.SchedCls, 47),
  row("tc", P.SchedCls),
  row("classifier", P.SchedCls),
  row("action", P.SchedAct),
  row("netkit/primary", P.SchedCls, 54),
  row("netkit/peer", P.SchedCls, 55),
  row("tracepoint+", P.Tracepoint),
  row("tp+", P.Tracepoint),
  row("raw_tracepoint+", P.RawTracepoint),
  row("raw_tp+", P.RawTracepoint),
  row("raw_tracepoint.w+", P.RawTracepointWritable),
  row("raw_tp.w+", P.RawTracepointWritable),
  ...traced([row("tp_btf+", P.Tracing, 23)]),
  ...traced(both("fentry", P.Tracing, 24)),
  ...traced(both("fmod_ret", P.Tracing, 26)),
  ...traced(both("fexit", P.Tracing, 25)),
  ...traced([row("freplace+", P.Ext)]),
  ...traced(both("lsm", P.Lsm, 27)),
  ...traced([row("lsm_cgroup+", P.Lsm, 43)]),
  ...traced(both("iter", P.Tracing, 28)),
  { name: "syscall", type: P.Syscall, attach: 0, sleepable: true },
  { ...row("xdp.frags/devmap", P.Xdp, 33), fragments: true },
  row("xdp/devmap", P.Xdp, 33),
  { ...row("xdp.frags/cpumap", P.Xdp, 35), fragments: true },
  row("xdp/cpumap", P.Xdp, 35),
  { ...row("xdp.frags", P.Xdp, 37), fragments: true },
  row("xdp", P.Xdp, 37),
  row("perf_event", P.PerfEvent),
  row("lwt_in", P.LwtIn),
  row("lwt_out", P.LwtOut),
  row("lwt_xmit", P.LwtXmit),
  row("lwt_seg6local", P.LwtSeg6local),
  row("sockops", P.SockOps, 3),
  row("sk_skb/stream_parser", P.SkSkb, 4),
  row("sk_skb/stream_verdict", P.SkSkb, 5),
  row("sk_skb/verdict", P.SkSkb, 38),
  row("sk_skb", P.SkSkb),
  row("sk_msg", P.SkMsg, 7),
  row("lirc_mode2", P.LircMode2, 16),
  row("flow_dissector", P.FlowDissector, 17),
  row("cgroup_skb/ingress", P.CgroupSkb, 0),
  row("cgroup_skb/egress", P.CgroupSkb, 1),
  ...cgroup(P.CgroupSkb, { skb: 0 }),
  ...cgroup(P.CgroupSock, { sock_create: 2, sock_release: 34, sock: 2, post_bind4: 12, post_bind6: 13 }),
  ...cgroup(P.CgroupSockAddr, {
    ...{ bind4: 8, bind6: 9, connect4: 10, connect6: 11, connect_unix: 49, sendmsg4: 14, sendmsg6: 15 },
    ...{ sendmsg_unix: 50, recvmsg4: 19, recvmsg6: 20, recvmsg_unix: 51, getpeername4: 29, getpeername6: 30 },
    ...{ getpeername_unix: 52, getsockname4: 31, getsockname6: 32, getsockname_unix: 53 },
  }),
  ...cgroup(P.CgroupSysctl, { sysctl: 18 }),
  ...cgroup(P.CgroupSockopt, { getsockopt: 21, setsockopt: 22 }),
  ...cgroup(P.CgroupDevice, { dev: 6 }),
  ...both("struct_ops", P.StructOps),
  row("sk_lookup", P.SkLookup, 36),
  row("netfilter", P.Netfilter, 45),
];
