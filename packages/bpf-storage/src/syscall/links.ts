import { BpfError, ERRNO } from "../errors.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { AttachPoint } from "./attach-point.js";
import {
  LinkCreateAttr as At,
  AttachAttr,
  type Attributes,
  IterCreateAttr,
  LinkUpdateAttr,
  QueryAttr,
  RawTracepointAttr,
} from "./attributes.js";
import { LinkObject } from "./link-object.js";
import type { ProgramObject } from "./program-object.js";
import { typeOfAttach } from "./program-rules.js";
import type { State } from "./state.js";

const NAME_MOST = 127;
/** `BPF_F_REPLACE` */
const REPLACE = 4;
/** Bytes of `union bpf_iter_link_info`. */
const ITER_INFO_BYTES = 16;
const ITER_PREFIX = "bpf_iter_";
/** Kinds of programs that are attached to cgroups. */
const CGROUP: ReadonlySet<number> = new Set([
  ...[ProgramType.CgroupSkb, ProgramType.CgroupSock, ProgramType.CgroupSockAddr, ProgramType.SockOps],
  ...[ProgramType.CgroupDevice, ProgramType.CgroupSysctl, ProgramType.CgroupSockopt],
]);
const PERF: ReadonlySet<number> = new Set([ProgramType.PerfEvent, ProgramType.Tracepoint, ProgramType.Kprobe]);
const TRAMPOLINES: readonly number[] = [AttachType.TraceFentry, AttachType.TraceFexit, AttachType.ModifyReturn];

const refuse = (why: string): never => {
  throw new BpfError("EINVAL", why);
};

/** BPF_RAW_TRACEPOINT_OPEN. @returns a descriptor */
export function rawTracepointOpen(state: State, attr: Attributes): number {
  const program = state.program(attr.u32(RawTracepointAttr.progFd));
  const name = attr.pointer(RawTracepointAttr.name);
  const cookie = state.generation === "6.1" ? 0n : attr.u64(RawTracepointAttr.cookie);
  const { type } = program.details;
  if (type === ProgramType.Tracing || type === ProgramType.Lsm) {
    // What it is attached to was said when it was loaded.
    if (name !== 0) return -ERRNO.EINVAL;
    return attach(state, program, tracedPoint(program, cookie));
  }
  if (type !== ProgramType.RawTracepoint && type !== ProgramType.RawTracepointWritable) return -ERRNO.EINVAL;
  return attach(state, program, { kind: "raw_tracepoint", name: state.memory.readString(name, NAME_MOST), cookie });
}

/** What a program of tracing or of the LSM was loaded for. @throws {BpfError} EINVAL */
function tracedPoint({ details }: ProgramObject, cookie: bigint): AttachPoint {
  const { attachType, attachTo, type } = details;
  if (attachTo === null) return refuse("a program that is attached to nothing");
  if (attachType === AttachType.TraceRawTp) return { kind: "raw_tracepoint", name: attachTo.name, cookie };
  const hooked = type === ProgramType.Lsm ? attachType === AttachType.LsmMac : TRAMPOLINES.includes(attachType);
  if (!hooked) refuse(`a program that is attached as ${attachType}`);
  return { kind: "tracing", target: attachTo.name, attachType, cookie };
}

/** BPF_LINK_CREATE. @returns a descriptor */
export function linkCreate(state: State, attr: Attributes): number {
  const attachType = attr.u32(At.attachType);
  const program = state.program(attr.u32(At.progFd));
  const { details } = program;
  if (details.type === ProgramType.CgroupSkb) state.need("CAP_NET_ADMIN");
  if (!fits(details, attachType, state.generation))
    refuse(`a program of type ${details.type}, attached as ${attachType}`);
  return attach(state, program, pointOf(state, attr, program));
}

/** Whether a program may be attached so (`bpf_prog_attach_check_attach_type`). */
function fits(
  { type, attachType: expected }: ProgramObject["details"],
  attachType: number,
  generation: State["generation"],
): boolean {
  switch (type) {
    case ProgramType.CgroupSock:
    case ProgramType.CgroupSockAddr:
    case ProgramType.CgroupSockopt:
    case ProgramType.SkLookup:
    case ProgramType.Tracing:
    case ProgramType.Lsm:
      return attachType === expected;
    case ProgramType.PerfEvent:
    case ProgramType.Tracepoint:
    case ProgramType.Kprobe:
      return attachType === AttachType.PerfEvent;
    default:
      return typeOfAttach(attachType, generation) === type;
  }
}

function pointOf(state: State, attr: Attributes, program: ProgramObject): AttachPoint {
  const { details } = program;
  const [fd, flags, attachType] = [attr.u32(At.targetFd), attr.u32(At.flags), attr.u32(At.attachType)];
  if (PERF.has(details.type)) {
    if (flags !== 0) refuse(`flags ${flags} of a link to a perf event`);
    return { kind: "perf_event", fd, cookie: attr.u64(At.perfCookie) };
  }
  if (CGROUP.has(details.type) || attachType === AttachType.LsmCgroup) {
    if (flags !== 0) refuse(`flags ${flags} of a link to a cgroup`);
    return { kind: "cgroup", fd, attachType };
  }
  if (details.type === ProgramType.Xdp) return { kind: "xdp", ifindex: fd, flags };
  if (details.type === ProgramType.Tracing && attachType === AttachType.TraceIter)
    return iterPoint(state, attr, program);
  if (details.type !== ProgramType.Tracing && details.type !== ProgramType.Lsm)
    throw new BpfError("EOPNOTSUPP", `links of programs of type ${details.type}, which nothing here takes`);
  if (attachType !== AttachType.TraceRawTp && (fd !== 0 || attr.u32(At.targetBtfId) !== 0))
    refuse("another target than what the program was loaded for");
  return tracedPoint(program, attr.u64(At.tracingCookie));
}

function iterPoint({ memory }: State, attr: Attributes, { details }: ProgramObject): AttachPoint {
  if (attr.u32(At.targetFd) !== 0 || attr.u32(At.flags) !== 0) refuse("flags or a target of a link to an iterator");
  const [address, size] = [attr.pointer(At.iterInfo), attr.u32(At.iterInfoLen)];
  if ((address === 0) !== (size === 0)) refuse("information of an iterator without a length");
  memory.checkTail(address, ITER_INFO_BYTES, size);
  const info = memory.read(address, Math.min(size, ITER_INFO_BYTES));
  const name = details.attachTo?.name ?? "";
  if (!name.startsWith(ITER_PREFIX)) refuse(`no iterator ${name}`);
  return { kind: "iter", target: name.slice(ITER_PREFIX.length), info };
}

/** What a system says that takes no programs there. */
const NOTHING: Readonly<Record<AttachPoint["kind"], number>> = {
  raw_tracepoint: -ERRNO.ENOENT,
  tracing: -ERRNO.ENOTSUPP,
  perf_event: -ERRNO.EBADF,
  cgroup: -ERRNO.EBADF,
  iter: -ERRNO.ENOENT,
  xdp: -ERRNO.ENODEV,
};

function attach(state: State, program: ProgramObject, point: AttachPoint): number {
  const attachment = state.host.attach?.(point, program.program) ?? NOTHING[point.kind];
  if (typeof attachment === "number") return attachment;
  const link = new LinkObject(state.links.nextId(), point, program.hold(), attachment, (self) =>
    state.links.remove(self),
  );
  state.links.add(link);
  return state.install(link);
}

/** BPF_LINK_UPDATE: another program in the place of the first. */
export function linkUpdate(state: State, attr: Attributes): number {
  const flags = attr.u32(LinkUpdateAttr.flags);
  if ((flags & ~REPLACE) !== 0) return -ERRNO.EINVAL;
  const link = state.link(attr.u32(LinkUpdateAttr.linkFd));
  const next = state.program(attr.u32(LinkUpdateAttr.newProgFd));
  const oldFd = attr.u32(LinkUpdateAttr.oldProgFd);
  const old = (flags & REPLACE) !== 0 ? state.program(oldFd) : null;
  if (old === null && oldFd !== 0) return -ERRNO.EINVAL;
  if (link.attachment.replace === undefined) return -ERRNO.EINVAL;
  if (old !== null && old !== link.program) return -ERRNO.EPERM;
  const { type, attachType } = link.program.details;
  if (next.details.type !== type || next.details.attachType !== attachType) return -ERRNO.EINVAL;
  return link.replace(next);
}

/** BPF_LINK_DETACH */
export function linkDetach(state: State, attr: Attributes): number {
  const link = state.link(attr.u32(LinkUpdateAttr.linkFd));
  if (link.attachment.detachable !== true) return -ERRNO.EOPNOTSUPP;
  link.detach();
  return 0;
}

/** BPF_ITER_CREATE. @returns a descriptor to read from */
export function iterCreate(state: State, attr: Attributes): number {
  if (attr.u32(IterCreateAttr.flags) !== 0) return -ERRNO.EINVAL;
  const { attachment } = state.link(attr.u32(IterCreateAttr.linkFd));
  return attachment.iterate?.() ?? -ERRNO.EINVAL;
}

/**
 * BPF_PROG_ATTACH: attachments without links, which nothing here takes.
 * @throws {BpfError} EINVAL, EBADF for what can never be; EOPNOTSUPP for what could
 */
export function programAttach(state: State, attr: Attributes): number {
  const attachType = attr.u32(AttachAttr.attachType);
  const type = typeOfAttach(attachType, state.generation);
  if (type === 0) return -ERRNO.EINVAL;
  const program = state.program(attr.u32(AttachAttr.attachBpfFd));
  if (program.details.type !== type) return -ERRNO.EINVAL;
  const traced: readonly number[] = [ProgramType.Tracing, ProgramType.SkLookup, ProgramType.Xdp];
  if (traced.includes(type) || (type === ProgramType.Lsm && attachType !== AttachType.LsmCgroup)) return -ERRNO.EINVAL;
  return -ERRNO.EOPNOTSUPP;
}

/** BPF_PROG_DETACH */
export function programDetach(state: State, attr: Attributes): number {
  const type = typeOfAttach(attr.u32(AttachAttr.attachType), state.generation);
  const traced: readonly number[] = [0, ProgramType.Tracing, ProgramType.SkLookup, ProgramType.Xdp];
  return traced.includes(type) ? -ERRNO.EINVAL : -ERRNO.EOPNOTSUPP;
}

/** BPF_PROG_QUERY */
export function programQuery(state: State, attr: Attributes): number {
  const attachType = attr.u32(QueryAttr.attachType);
  if ((attr.u32(QueryAttr.queryFlags) & ~1) !== 0) return -ERRNO.EINVAL;
  const type = typeOfAttach(attachType, state.generation);
  const traced: readonly number[] = [0, ProgramType.Tracing, ProgramType.Xdp];
  if (traced.includes(type) || (type === ProgramType.Lsm && attachType !== AttachType.LsmCgroup)) return -ERRNO.EINVAL;
  return -ERRNO.EOPNOTSUPP;
}
