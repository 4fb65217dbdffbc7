import { describe, expect, test } from "vitest";
import { type AttachPoint, AttachType, type BpfProgram, Btf, Command, ERRNO, ProgramType } from "../../src/index.js";
import { Caller } from "./caller.js";
import { kernelTypes } from "./storage-types.js";

const { EINVAL, EBADF, EPERM, ENOENT, ENOTSUPP, EOPNOTSUPP, ENODEV } = ERRNO;
const KERNEL = kernelTypes();
const RETURN_0 = "mov %r0, 0\nexit";
const CGROUP_DEVICE = 6;
/** `BPF_F_REPLACE` */
const REPLACE = 4;

/** A system that takes all programs, and remembers what to. */
class System {
  readonly attached: AttachPoint[] = [];
  readonly caller: Caller;
  programs: BpfProgram[] = [];

  constructor(takes = true) {
    const attach = (point: AttachPoint, program: BpfProgram) => {
      this.attached.push(point);
      this.programs.push(program);
      const detach = () => void this.attached.splice(this.attached.indexOf(point), 1);
      if (point.kind === "iter") return { detach, iterate: () => 77 };
      if (point.kind !== "cgroup") return { detach };
      const replace = (other: BpfProgram): number => {
        this.programs = [other];
        return 0;
      };
      return { detach, replace, detachable: true, cgroupId: 42n };
    };
    this.caller = new Caller({ host: { kernelBtf: new Btf(KERNEL.bytes), ...(takes ? { attach } : {}) } });
  }

  traced = (attach: number, target: string): number =>
    this.caller.load(ProgramType.Tracing, RETURN_0, { 68: attach, 108: KERNEL.id(target) });
}

describe("links", () => {
  test("programs of tracing are attached to what they were loaded for, by either command", () => {
    const { caller, attached, traced } = new System();
    const function_ = traced(AttachType.TraceFentry, "use_task");
    const tracepoint = traced(AttachType.TraceRawTp, "started");
    const open = (program: number, name = 0) =>
      caller.call(Command.RawTracepointOpen, { 0: BigInt(name), 8: program, 16: 9n });
    const create = (program: number, attach: number, more = {}) =>
      caller.call(Command.LinkCreate, { 0: program, 8: attach, 24: 8n, ...more });
    expect(open(function_, caller.text("x"))).toBe(-EINVAL);
    expect(open(function_)).toBeGreaterThan(0);
    expect(open(tracepoint)).toBeGreaterThan(0);
    expect(create(function_, AttachType.TraceFentry)).toBeGreaterThan(0);
    expect(create(tracepoint, AttachType.TraceRawTp)).toBeGreaterThan(0);
    expect(create(function_, AttachType.TraceFexit)).toBe(-EINVAL);
    expect(create(function_, AttachType.TraceFentry, { 16: 5 })).toBe(-EINVAL);
    const target = "use_task";
    const attachType = AttachType.TraceFentry;
    expect(attached).toEqual([
      { kind: "tracing", target, attachType, cookie: 9n },
      { kind: "raw_tracepoint", name: "started", cookie: 9n },
      { kind: "tracing", target, attachType, cookie: 8n },
      { kind: "raw_tracepoint", name: "started", cookie: 8n },
    ]);
    caller.closeAll();
    expect(attached).toEqual([]);
  });

  test("what a link to a function is attached to is told by number", () => {
    const { caller, traced } = new System();
    const link = caller.call(Command.RawTracepointOpen, { 8: traced(AttachType.TraceFentry, "use_task") });
    const info = caller.room(64);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: link, 4: 64, 8: BigInt(info) })).toBe(0);
    expect([0, 4, 8, 16, 20, 24].map((at) => caller.u32(info + at))).toEqual([
      ...[2, 1, 1, AttachType.TraceFentry, 1, KERNEL.id("use_task")],
    ]);
  });

  test("perf events are named by descriptors", () => {
    const { caller, attached } = new System();
    const program = caller.load(ProgramType.Tracepoint, RETURN_0);
    const create = (attach: number, flags = 0) =>
      caller.call(Command.LinkCreate, { 0: program, 4: 50, 8: attach, 12: flags, 16: 3n });
    expect(create(AttachType.PerfEvent)).toBeGreaterThan(0);
    expect(create(AttachType.PerfEvent, 1)).toBe(-EINVAL);
    expect(create(AttachType.TraceFentry)).toBe(-EINVAL);
    expect(attached).toEqual([{ kind: "perf_event", fd: 50, cookie: 3n }]);
  });

  test("a link to a cgroup may change its program, and let go of it", () => {
    const system = new System();
    const { caller, attached } = system;
    const [first, second] = [1, 2].map(() => caller.load(ProgramType.CgroupDevice, RETURN_0)) as [number, number];
    const link = caller.call(Command.LinkCreate, { 0: first, 4: 60, 8: CGROUP_DEVICE });
    const update = (next: number, flags = 0, old = 0) =>
      caller.call(Command.LinkUpdate, { 0: link, 4: next, 8: flags, 12: old });
    expect(update(second, 0, first)).toBe(-EINVAL);
    expect(update(second, REPLACE, second)).toBe(-EPERM);
    expect(update(second, REPLACE, first)).toBe(0);
    expect(update(99)).toBe(-EBADF);
    expect(update(caller.load(ProgramType.SocketFilter, RETURN_0))).toBe(-EINVAL);
    const object = caller.files.get(second)?.object;
    expect(object?.kind === "program" ? [object.program] : []).toEqual(system.programs);
    const info = caller.room(64);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: link, 4: 64, 8: BigInt(info) })).toBe(0);
    expect([0, 8, 16, 24].map((at) => caller.u32(info + at))).toEqual([3, 2, 42, CGROUP_DEVICE]);
    expect(caller.call(Command.LinkDetach, { 0: link })).toBe(0);
    expect(attached).toEqual([]);
    expect(caller.call(Command.IterCreate, { 0: link })).toBe(-EINVAL);
  });

  test("where a system takes no programs, links fail as where there is nothing of the kind", () => {
    const { caller, traced } = new System(false);
    const create = (program: number, attach: number) =>
      caller.call(Command.LinkCreate, { 0: program, 4: 1, 8: attach });
    const raw = caller.load(ProgramType.RawTracepoint, RETURN_0);
    expect(caller.call(Command.RawTracepointOpen, { 0: BigInt(caller.text("sys_enter")), 8: raw })).toBe(-ENOENT);
    expect(caller.call(Command.RawTracepointOpen, { 8: traced(AttachType.TraceFentry, "use_task") })).toBe(-ENOTSUPP);
    expect(create(caller.load(ProgramType.Tracepoint, RETURN_0), AttachType.PerfEvent)).toBe(-EBADF);
    expect(create(caller.load(ProgramType.CgroupDevice, RETURN_0), CGROUP_DEVICE)).toBe(-EBADF);
    expect(create(caller.load(ProgramType.Xdp, "mov %r0, 2\nexit"), AttachType.Xdp)).toBe(-ENODEV);
    expect(create(raw, AttachType.TraceRawTp)).toBe(-EINVAL);
    const attach = { 0: 60, 4: caller.load(ProgramType.CgroupDevice, RETURN_0), 8: CGROUP_DEVICE };
    expect(caller.call(Command.ProgAttach, attach)).toBe(-EOPNOTSUPP);
    expect(caller.call(Command.ProgAttach, { ...attach, 4: raw })).toBe(-EINVAL);
    expect(caller.call(Command.TaskFdQuery, { 0: 1, 4: 3 })).toBe(-ENOTSUPP);
  });
});
