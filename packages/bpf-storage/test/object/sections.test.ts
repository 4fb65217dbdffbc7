import { expect, test } from "vitest";
import { describeSection } from "../../src/object/sections.js";
import { ProgramType as P } from "../../src/uapi/program-types.js";

test.each([
  ["tp_btf/sched_switch", { type: P.Tracing, attach: 23, target: "sched_switch", btfTarget: true, sleepable: false }],
  ["fentry/f", { type: P.Tracing, attach: 24, target: "f" }],
  ["fexit.s/f", { type: P.Tracing, attach: 25, target: "f", sleepable: true }],
  ["fmod_ret/f", { type: P.Tracing, attach: 26 }],
  ["lsm.s/bprm_committed_creds", { type: P.Lsm, attach: 27, sleepable: true }],
  ["lsm_cgroup/socket_bind", { type: P.Lsm, attach: 43 }],
  ["iter/task", { type: P.Tracing, attach: 28, target: "task" }],
  ["kprobe/f+4", { type: P.Kprobe, attach: 0, target: "f+4", btfTarget: false }],
  ["kprobe.multi/f*", { type: P.Kprobe, attach: 42, target: "f*" }],
  ["uprobe.s//bin/sh:f", { type: P.Kprobe, target: "/bin/sh:f", sleepable: true }],
  ["tp/sched/sched_switch", { type: P.Tracepoint, target: "sched/sched_switch" }],
  ["raw_tp/sys_enter", { type: P.RawTracepoint, target: "sys_enter" }],
  ["raw_tp.w/x", { type: P.RawTracepointWritable }],
  ["xdp", { type: P.Xdp, attach: 37, target: null, fragments: false }],
  ["xdp.frags/devmap", { type: P.Xdp, attach: 33, fragments: true }],
  ["tc", { type: P.SchedCls, attach: 0 }],
  ["socket", { type: P.SocketFilter }],
  ["syscall", { type: P.Syscall, sleepable: true }],
  ["cgroup/connect4", { type: P.CgroupSockAddr, attach: 10 }],
  ["?raw_tp/x", { type: P.RawTracepoint, autoload: false, target: "x" }],
  ["xdp/other", { type: null }],
  ["kprobes/f", { type: null }],
])("section %s", (name, expected) => {
  expect(describeSection(name)).toMatchObject(expected);
});
