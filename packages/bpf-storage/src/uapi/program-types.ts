/** Numbers of the kinds of programs (`enum bpf_prog_type`, linux/bpf.h). */
export const ProgramType = {
  ...{
    SocketFilter: 1,
    Kprobe: 2,
    SchedCls: 3,
    SchedAct: 4,
    Tracepoint: 5,
    Xdp: 6,
    PerfEvent: 7,
    CgroupSkb: 8,
    CgroupSock: 9,
  },
  ...{ LwtIn: 10, LwtOut: 11, LwtXmit: 12, SockOps: 13, SkSkb: 14, CgroupDevice: 15, SkMsg: 16, RawTracepoint: 17 },
  ...{ CgroupSockAddr: 18, LwtSeg6local: 19, LircMode2: 20, SkReuseport: 21, FlowDissector: 22, CgroupSysctl: 23 },
  ...{ RawTracepointWritable: 24, CgroupSockopt: 25, Tracing: 26, StructOps: 27, Ext: 28, Lsm: 29, SkLookup: 30 },
  ...{ Syscall: 31, Netfilter: 32 },
} as const;
export type ProgramType = (typeof ProgramType)[keyof typeof ProgramType];

/** Numbers of what programs of those kinds are attached to (`enum bpf_attach_type`); those that decide about a program here. */
export const AttachType = {
  TraceRawTp: 23,
  TraceFentry: 24,
  TraceFexit: 25,
  ModifyReturn: 26,
  LsmMac: 27,
  TraceIter: 28,
  Xdp: 37,
  PerfEvent: 41,
  LsmCgroup: 43,
} as const;
export type AttachType = (typeof AttachType)[keyof typeof AttachType];
