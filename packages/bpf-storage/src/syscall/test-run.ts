import { BpfError, ERRNO } from "../errors.js";
import { makeContext } from "../runtime/context.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import { TestRunAttr as At, type Attributes } from "./attributes.js";
import { RUNS_MOST } from "./host.js";
import type { ProgramObject } from "./program-object.js";
import { withBlocks } from "./scratch.js";
import type { State } from "./state.js";
import { type ShownContext, SKB_CONTEXT, XDP_CONTEXT, xdpPlaces } from "./test-context.js";

/** BPF_F_TEST_RUN_ON_CPU, BPF_F_TEST_XDP_LIVE_FRAMES and BPF_F_TEST_SKB_CHECKSUM_COMPLETE. */
const ON_CPU = 1;
const LIVE_FRAMES = 2;
const CHECKSUM_COMPLETE = 4;
/** Bytes of the arguments of a tracepoint, and of the context of a syscall program, at most. */
const ARGUMENTS_MOST = 12 * 8;
const SYSCALL_MOST = 0xffff;
/** Bytes of a header of Ethernet, of a page, and what the kernel keeps of it for itself behind a packet and, of packets that are no XDP's, before it. */
const ETH_HLEN = 14;
const PAGE = 4096;
const SHARED_BYTES = 320;
const SKB_HEADROOM = 64;
const XDP_HEADROOM = 256;

const refuse = (why: string): never => {
  throw new BpfError("EINVAL", why);
};

/** BPF_PROG_TEST_RUN */
export function testRun(state: State, attr: Attributes): number {
  for (const [size, address] of [
    [At.ctxSizeIn, At.ctxIn],
    [At.ctxSizeOut, At.ctxOut],
  ] as const)
    if ((attr.u32(size) === 0) !== (attr.pointer(address) === 0))
      refuse("a context without a size, or a size without one");
  const program = state.program(attr.u32(At.progFd));
  // It may be closed by what it does itself.
  program.hold();
  try {
    return runOf(program)(state, attr, program);
  } finally {
    program.put();
  }
}

type Run = (state: State, attr: Attributes, program: ProgramObject) => number;

const unsupported: Run = () => -ERRNO.ENOTSUPP;

/** How a kind of programs is tried out (`test_run` of its `bpf_prog_ops`). */
function runOf({ details }: ProgramObject): Run {
  switch (details.type) {
    case ProgramType.RawTracepoint:
    case ProgramType.RawTracepointWritable:
      return runTracepoint;
    case ProgramType.SocketFilter:
    case ProgramType.SchedCls:
    case ProgramType.SchedAct:
    case ProgramType.CgroupSkb:
    case ProgramType.LwtIn:
    case ProgramType.LwtOut:
      return runSkb;
    case ProgramType.Xdp:
      return runXdp;
    case ProgramType.Syscall:
      return runSyscall;
    case ProgramType.Tracing:
      return runTracing;
    default:
      return unsupported;
  }
}

/** There are none of the kernel's functions here that such programs are tried out on. */
const runTracing: Run = (_state, attr, { details: { attachType } }) => {
  if ([At.flags, At.cpu, At.batchSize].some((at) => attr.u32(at) !== 0)) return -ERRNO.EINVAL;
  const functions: readonly number[] = [AttachType.TraceFentry, AttachType.TraceFexit, AttachType.ModifyReturn];
  return functions.includes(attachType) ? -ERRNO.ENOTSUPP : -ERRNO.EFAULT;
};

const runTracepoint: Run = (state, attr, program) => {
  if ([At.dataIn, At.dataOut, At.ctxOut].some((at) => attr.pointer(at) !== 0)) return -ERRNO.EINVAL;
  if ([At.duration, At.repeat, At.batchSize].some((at) => attr.u32(at) !== 0)) return -ERRNO.EINVAL;
  const [size, cpu] = [attr.u32(At.ctxSizeIn), attr.u32(At.cpu)];
  if (size < program.details.contextSize || size > ARGUMENTS_MOST) return -ERRNO.EINVAL;
  const elsewhere = (attr.u32(At.flags) & ON_CPU) !== 0;
  if (!elsewhere && cpu !== 0) return -ERRNO.EINVAL;
  const context = state.memory.read(attr.pointer(At.ctxIn), size);
  if (elsewhere && cpu >= state.runtime.cpus) return -ERRNO.ENXIO;
  const { arena } = state.runtime;
  return withBlocks(arena, [ARGUMENTS_MOST], (at = 0) => {
    arena.u8.set(context, at);
    attr.put32(At.retval, program.program.run(at));
    return 0;
  });
};

const runSyscall: Run = (state, attr, program) => {
  if ([At.dataIn, At.dataOut, At.ctxOut].some((at) => attr.pointer(at) !== 0)) return -ERRNO.EINVAL;
  if ([At.duration, At.repeat, At.flags, At.batchSize].some((at) => attr.u32(at) !== 0)) return -ERRNO.EINVAL;
  const [size, address] = [attr.u32(At.ctxSizeIn), attr.pointer(At.ctxIn)];
  if (size < program.details.contextSize || size > SYSCALL_MOST) return -ERRNO.EINVAL;
  const context = state.memory.read(address, size);
  const { arena } = state.runtime;
  return withBlocks(arena, [Math.max(8, size)], (at = 0) => {
    arena.u8.set(context, at);
    attr.put32(At.retval, program.program.run(at));
    state.memory.write(address, arena.read(at, size));
    return 0;
  });
};

const runSkb: Run = (state, attr, program) => {
  const size = attr.u32(At.dataSizeIn);
  if ((attr.u32(At.flags) & ~CHECKSUM_COMPLETE) !== 0) return -ERRNO.EINVAL;
  if (attr.u32(At.cpu) !== 0 || attr.u32(At.batchSize) !== 0) return -ERRNO.EINVAL;
  if (size < ETH_HLEN || size > PAGE - SKB_HEADROOM - SHARED_BYTES) return -ERRNO.EINVAL;
  const data = state.memory.read(attr.pointer(At.dataIn), size);
  const given = readContext(state, attr, SKB_CONTEXT);
  const wrong = given === null ? 0 : SKB_CONTEXT.check(given, size);
  return wrong !== 0 ? wrong : runPacket(state, attr, program, { data, rest: NOTHING, given, shown: SKB_CONTEXT });
};

const runXdp: Run = (state, attr, program) => {
  const { details } = program;
  if (details.attachType === XDP_DEVMAP || details.attachType === XDP_CPUMAP) return -ERRNO.EINVAL;
  if ((attr.u32(At.flags) & ~LIVE_FRAMES) !== 0) return -ERRNO.EINVAL;
  // Frames that are really sent ask for devices.
  if ((attr.u32(At.flags) & LIVE_FRAMES) !== 0) return -ERRNO.EOPNOTSUPP;
  if (attr.u32(At.batchSize) !== 0) return -ERRNO.EINVAL;
  const given = readContext(state, attr, XDP_CONTEXT);
  const size = attr.u32(At.dataSizeIn);
  const places = xdpPlaces(given, size, state.generation);
  if (places === null || size - places.meta < ETH_HLEN) return -ERRNO.EINVAL;
  const { meta, end } = places;
  // What does not fit into a page, or behind where the caller says it ends, no program sees.
  const linear = Math.min(end, PAGE - (XDP_HEADROOM - meta) - SHARED_BYTES);
  const address = attr.pointer(At.dataIn);
  const data = state.memory.read(address, linear);
  const wrong = given === null ? 0 : XDP_CONTEXT.check(given, size);
  if (wrong !== 0) return wrong;
  if (size - linear > FRAGMENTS_MOST * PAGE) return -ERRNO.ENOMEM;
  const rest = state.memory.read(address + linear, size - linear);
  return runPacket(state, attr, program, { data, rest, given, shown: XDP_CONTEXT });
};
const XDP_DEVMAP = 33;
const XDP_CPUMAP = 35;
/** `MAX_SKB_FRAGS` */
const FRAGMENTS_MOST = 17;
const NOTHING = new Uint8Array(0);

/** A packet, and what the caller says of it. */
interface Packet {
  readonly data: Uint8Array;
  /** What comes behind it in fragments. */
  readonly rest: Uint8Array;
  readonly given: Uint8Array | null;
  readonly shown: ShownContext;
}

function runPacket(state: State, attr: Attributes, program: ProgramObject, packet: Packet): number {
  const { arena } = state.runtime;
  const { data, rest, given, shown } = packet;
  const context = makeContext(arena, program.details.type, data);
  try {
    if (given !== null) shown.put(arena, context.address, given);
    const result = repeated(state, attr, program, context.address);
    const status = finish(state, attr, context.output(), rest, result);
    if (status !== 0 || given === null) return status;
    return finishContext(state, attr, shown.get(arena, context.address, given));
  } finally {
    context.free();
  }
}

/** Runs it as often as the caller says. @returns what the last run returned @throws {BpfError} EINTR */
function repeated(state: State, attr: Attributes, program: ProgramObject, context: number): number {
  const times = Math.max(1, attr.u32(At.repeat));
  const { interrupted } = state.host;
  for (let k = 1; ; k++) {
    const result = program.program.run(context);
    if (k === times) return result;
    if (interrupted === undefined ? k === RUNS_MOST : interrupted())
      throw new BpfError("EINTR", `${k} of ${times} runs`);
  }
}

/** The context that the caller gives; null if it neither gives nor wants one (`bpf_ctx_init`). @throws {BpfError} E2BIG, EFAULT */
function readContext(state: State, attr: Attributes, { size: known }: ShownContext): Uint8Array | null {
  const [address, size] = [attr.pointer(At.ctxIn), attr.u32(At.ctxSizeIn)];
  if (address === 0) return attr.pointer(At.ctxOut) === 0 ? null : new Uint8Array(known);
  state.memory.checkTail(address, known, size);
  const bytes = new Uint8Array(known);
  bytes.set(state.memory.read(address, Math.min(known, size)));
  return bytes;
}

/** Writes as much as there is room for. What is cut short is told as that, even if it could not be written either. @returns whether it was written */
function writeShort({ memory }: State, address: number, bytes: Uint8Array, room: number): boolean {
  try {
    memory.write(address, bytes.subarray(0, room));
    return true;
  } catch (error) {
    if (bytes.length > room && error instanceof BpfError) return false;
    throw error;
  }
}

/** Tells the packet and what came of it; where there is not enough room, it is what comes before the fragments that is cut short (`bpf_test_finish`). */
function finish(state: State, attr: Attributes, data: Uint8Array, rest: Uint8Array, result: number): number {
  const [told, address] = [attr.u32(At.dataSizeOut), attr.pointer(At.dataOut)];
  const size = data.length + rest.length;
  const room = told === 0 ? size : Math.min(told, size);
  const short = room < size;
  if (address !== 0) {
    if (room < rest.length) return -ERRNO.ENOSPC;
    const whole = new Uint8Array(short ? size : room);
    whole.set(data.subarray(0, room - rest.length));
    whole.set(rest, room - rest.length);
    if (!writeShort(state, address, whole, room)) return -ERRNO.ENOSPC;
  }
  attr.put32(At.dataSizeOut, size);
  attr.put32(At.retval, result);
  // What a run takes is not measured.
  attr.put32(At.duration, 0);
  return short ? -ERRNO.ENOSPC : 0;
}

function finishContext(state: State, attr: Attributes, bytes: Uint8Array): number {
  const [room, address] = [attr.u32(At.ctxSizeOut), attr.pointer(At.ctxOut)];
  if (address === 0) return 0;
  if (!writeShort(state, address, bytes, room)) return -ERRNO.ENOSPC;
  attr.put32(At.ctxSizeOut, bytes.length);
  return bytes.length > room ? -ERRNO.ENOSPC : 0;
}
