import { BtfKind } from "../btf/kinds.js";
import { functionsOf } from "../engine/program.js";
import { BpfError } from "../errors.js";
import { decodeInsns, encodeInsns, INSN_SIZE, type Insn, isWide } from "../isa/insn.js";
import { Pseudo } from "../isa/opcodes.js";
import { ProgArrayMap } from "../maps/prog-array.js";
import { callTypes } from "../runtime/object-layout.js";
import { resolveMaps, setWide } from "../runtime/pointers.js";
import { type BpfProgram, recurs } from "../runtime/program.js";
import { GPL } from "../runtime/verify-program.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { AttachTarget, Verdict, VerifyRequest } from "../verifier/request.js";
import { verifying } from "../verifier/verify.js";
import type { Work } from "../work.js";
import { ProgLoadAttr as At, type Attributes } from "./attributes.js";
import type { BtfObject } from "./btf-object.js";
import { CallerLog } from "./caller-log.js";
import { tailCallKind } from "./descriptors.js";
import { tagOf, UsedMaps } from "./program-maps.js";
import { type InfoRecords, type ProgramDetails, ProgramObject } from "./program-object.js";
import { NO_RECORDS, readFunctions, readLines } from "./program-records.js";
import { fixedAttach, hasType, knownFlags, mayAttach, NET_ADMIN, PERFMON, ProgFlag } from "./program-rules.js";
import type { State } from "./state.js";

/** `BPF_COMPLEXITY_LIMIT_INSNS` */
const INSNS_MOST = 1_000_000;
const LICENSE_MOST = 127;
const LOG_TRUE_SIZE_END = 144;
const TRACE_PREFIX = "btf_trace_";

/** What a program is to be, as its loader says, once that is found to be possible. */
interface Wanted {
  readonly type: ProgramType;
  readonly attach: number;
  readonly flags: number;
  readonly name: string;
  readonly gpl: boolean;
  readonly insns: readonly Insn[];
  readonly attachTo: ProgramDetails["attachTo"];
}

/** BPF_PROG_LOAD, with stops at which others may have their turn. @returns a descriptor */
export function* programLoad(state: State, attr: Attributes): Work<number> {
  const wanted = readWanted(state, attr);
  const maps = new UsedMaps(state, attr.pointer(At.fdArray));
  let held: BtfObject | null = null;
  try {
    const log = new CallerLog(state.memory, state.generation, {
      ...{ level: attr.u32(At.logLevel), address: attr.pointer(At.logBuf), size: attr.u32(At.logSize) },
    });
    const checked = yield* check(state, attr, wanted, maps, log.verbosity);
    held = checked.btf;
    if (state.generation !== "6.1" && attr.reaches(LOG_TRUE_SIZE_END))
      attr.put32(At.logTrueSize, log.trueSize(checked.longest));
    log.write(checked.text, checked.longest);
    if (checked.refused !== null) throw checked.refused;
    state.charge(keptBytes(checked));
    const program = loadOrUncharge(state, wanted, checked, maps);
    const object = keep(state, wanted, checked, maps, program);
    held = null;
    return state.install(object);
  } finally {
    held?.put();
    maps.put();
  }
}

function readWanted(state: State, attr: Attributes): Wanted {
  const { generation, memory } = state;
  const refuse = (why: string): never => {
    throw new BpfError("EINVAL", why);
  };
  const type = attr.u32(At.progType);
  const flags = attr.u32(At.progFlags);
  if (!knownFlags(flags, generation)) refuse(`prog_flags 0x${flags.toString(16)}`);
  if ((flags & ProgFlag.TokenFd) !== 0) state.token(attr.u32(At.tokenFd));
  const license = (): string => memory.readString(attr.pointer(At.license), LICENSE_MOST);
  const early = generation === "6.1" ? license() : null;
  const count = attr.u32(At.insnCnt);
  if (count === 0 || count > INSNS_MOST) throw new BpfError("E2BIG", `${count} instructions: 1 to ${INSNS_MOST}`);
  // Programs of callers that may not do everything would have to be verified by stricter rules, which are not here.
  state.need("CAP_BPF");
  state.need("CAP_PERFMON");
  if (NET_ADMIN.has(type)) state.need("CAP_NET_ADMIN");
  if (PERFMON.has(type)) state.need("CAP_PERFMON");
  const attach = fixedAttach(type, attr.u32(At.expectedAttachType));
  const target = attr.u32(At.attachBtfId);
  const types = targetTypes(state, attr.u32(At.attachProgFd), target);
  if (!mayAttach(type, attach, target, types !== null, generation))
    refuse(`a program of type ${type} that is attached as ${attach} to type ${target}`);
  const insns = decodeInsns(memory.read(attr.pointer(At.insns), count * INSN_SIZE));
  const gpl = GPL.has(early ?? license());
  if (attr.u32(At.progIfindex) !== 0) refuse(`device ${attr.u32(At.progIfindex)}, which takes no programs`);
  if (!hasType(type, generation)) refuse(`a program of type ${type}`);
  const name = attr.name(At.progName);
  const attachTo = types === null ? null : targetOf(types, target, type, attach);
  return { type: type as ProgramType, attach, flags, name, gpl, insns, attachTo };
}

/** Types that a program says it is attached to one of: the kernel's; null if it says nothing. @throws {BpfError} EINVAL, ENOTSUPP, EOPNOTSUPP */
function targetTypes(state: State, fd: number, id: number): BtfObject | null {
  if (fd === 0) {
    if (id !== 0 && state.kernelBtf === null) throw new BpfError("EINVAL", "a kernel that tells no types");
    return id === 0 ? null : state.kernelBtf;
  }
  let types: BtfObject;
  try {
    types = state.btf(fd);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    if (isProgram(state, fd)) throw new BpfError("EOPNOTSUPP", "a program that is attached to another");
    throw new BpfError("EINVAL", error.message);
  }
  if (!types.isKernel) throw new BpfError("ENOTSUPP", "types of a program to be attached to");
  return types;
}

function isProgram(state: State, fd: number): boolean {
  try {
    state.program(fd);
    return true;
  } catch (error) {
    if (error instanceof BpfError) return false;
    throw error;
  }
}

/** What of the kernel's a number names; null if it names nothing that such a program is attached to, which the verifier refuses. */
function targetOf({ btf }: BtfObject, id: number, type: number, attach: number): ProgramDetails["attachTo"] {
  if (id >= btf.count) return null;
  const name = btf.name(id);
  const traced = type === ProgramType.Tracing && attach === AttachType.TraceRawTp;
  const found = (proto: number, of: string): AttachTarget & { readonly id: number } => ({ name: of, proto, id });
  if (traced) {
    if (btf.kind(id) !== BtfKind.Typedef || !name.startsWith(TRACE_PREFIX)) return null;
    const pointer = btf.target(id);
    return btf.kind(pointer) === BtfKind.Ptr ? found(btf.target(pointer), name.slice(TRACE_PREFIX.length)) : null;
  }
  return btf.kind(id) === BtfKind.Func ? found(btf.target(id), name) : null;
}

/** A verdict, and what comes of it. */
interface Checked {
  readonly verdict: Verdict;
  readonly text: string;
  /** Characters of what was said at once. */
  readonly longest: number;
  readonly refused: BpfError | null;
  readonly btf: BtfObject | null;
  readonly functions: InfoRecords;
  readonly lines: InfoRecords;
}

function* check(state: State, attr: Attributes, wanted: Wanted, maps: UsedMaps, logLevel: 0 | 1 | 2): Work<Checked> {
  const counts = attr.u32(At.funcInfoCnt) !== 0 || attr.u32(At.lineInfoCnt) !== 0;
  let btf: BtfObject | null = null;
  try {
    btf = counts ? state.btf(attr.u32(At.progBtfFd)).hold() : null;
    if (btf?.isKernel === true) throw new BpfError("EACCES", "types of the kernel for a program");
    const starts = functionsOf(wanted.insns);
    const { records, functions } =
      btf === null ? { records: NO_RECORDS, functions: [] } : readFunctions(state, attr, btf, starts.length);
    const lines = btf === null ? NO_RECORDS : readLines(state, attr, btf, wanted.insns, starts);
    if (counts && attr.u32(At.coreReloCnt) !== 0)
      throw new BpfError("EOPNOTSUPP", "CO-RE relocations, which are for the loader to do here");
    const insns = maps.named(wanted.insns);
    const request: VerifyRequest = {
      ...{ insns, type: wanted.type, expectedAttachType: wanted.attach, logLevel },
      maps: (fd, pc) => maps.described(fd, pc),
      ...(wanted.attachTo === null ? {} : { attachTo: wanted.attachTo }),
      ...(state.kernelBtf === null ? {} : { kernelBtf: state.kernelBtf.shapes }),
      ...(btf === null ? {} : { programBtf: btf.shapes, funcInfo: functions }),
      ...{ gpl: wanted.gpl, generation: state.generation === "6.1" ? 1 : 2 },
      sleepable: (wanted.flags & ProgFlag.Sleepable) !== 0,
      strictAlignment: (wanted.flags & (ProgFlag.StrictAlignment | ProgFlag.AnyAlignment)) === ProgFlag.StrictAlignment,
    };
    const verdict = yield* verifying(request);
    const refused = verdict.accepted ? null : new BpfError(verdict.errno ?? "EINVAL", "the verifier refuses it");
    const checked = { verdict, ...said(verdict, logLevel), refused, btf, functions: records, lines };
    btf = null;
    return checked;
  } catch (error) {
    btf?.put();
    if (!(error instanceof BpfError)) throw error;
    const text = `${error.message.slice(error.code.length + 2)}\n`;
    return { ...NOTHING, text, longest: text.length, refused: error };
  }
}

/** What the caller is told: of a program that is fine, and not looked at closely, only how much there was to do. */
function said({ accepted, log }: Verdict, logLevel: 0 | 1 | 2): { readonly text: string; readonly longest: number } {
  if (!accepted || logLevel === 2) return { text: log, longest: log.length };
  const last = log.lastIndexOf("\n", log.length - 2) + 1;
  const text = log.slice(last);
  return { text, longest: Math.max(last, text.length) };
}

/** Of a program that does not come to be verified. */
const NOTHING: Checked = {
  verdict: {
    ...{ accepted: false, errno: "EINVAL", log: "", insns: [], subprograms: [], usedMaps: [], contextSize: 0 },
    ...{ bufferAccess: { rdonly: 0, rdwr: 0, tracepoint: 0 }, sleepingAllocations: [] },
    stats: { processed: 0, states: 0, peakStates: 0 },
  },
  ...{ text: "", longest: 0, refused: null, btf: null, functions: NO_RECORDS, lines: NO_RECORDS },
};

const keptBytes = ({ verdict, functions, lines }: Pick<Checked, "verdict" | "functions" | "lines">): number =>
  verdict.insns.length * INSN_SIZE + functions.bytes.length + lines.bytes.length;

function loadOrUncharge(state: State, wanted: Wanted, checked: Checked, maps: UsedMaps): BpfProgram {
  try {
    return load(state, wanted, checked, maps);
  } catch (error) {
    state.uncharge(keptBytes(checked));
    throw error;
  }
}

/** Makes it executable. @throws {BpfError} EINVAL for one that calls what there is not, or that does not go with an array of programs that it uses */
function load(state: State, wanted: Wanted, { verdict, btf }: Checked, maps: UsedMaps): BpfProgram {
  const { type, attach, name } = wanted;
  const insns = [...verdict.insns];
  for (const [pc, insn] of insns.entries())
    if (isWide(insn) && insn.src === Pseudo.BtfId) setWide(insns, pc, symbolAddress(state, insn.imm));
  resolveMaps(insns, (fd) => maps.object(fd)?.map);
  for (const { imm, src, ...insn } of verdict.insns) {
    const map = isWide({ ...insn, src, imm }) && src === Pseudo.MapFd ? maps.object(imm)?.map : undefined;
    if (map instanceof ProgArrayMap && !map.admits(tailCallKind(wanted, wanted.flags)))
      throw new BpfError("EINVAL", `map ${map.id} has programs of another kind`);
  }
  return state.runtime.load({
    ...{ name, type, attach, recur: recurs(type, attach), insns, trusted: true },
    subprograms: verdict.subprograms.map(({ start }) => start),
    ...callTypes(state.kernelBtf?.shapes, btf?.shapes),
  });
}

/** @throws {BpfError} ENOENT for what has no address */
function symbolAddress({ kernelBtf, host }: State, id: number): { readonly low: number; readonly high: number } {
  const name = kernelBtf?.btf.name(id) ?? "";
  const address = host.symbol?.(name);
  if (address === undefined) throw new BpfError("ENOENT", `the kernel tells no address of ${name}`);
  return { low: Number(address & 0xffffffffn), high: Number((address >> 32n) & 0xffffffffn) };
}

function keep(
  state: State,
  wanted: Wanted,
  { verdict, btf, functions, lines }: Checked,
  maps: UsedMaps,
  program: BpfProgram,
): ProgramObject {
  const { type, attach, name, gpl, attachTo, flags } = wanted;
  const { insns, subprograms } = verdict;
  const ends = [...subprograms.slice(1).map(({ start }) => start), insns.length];
  const tag = tagOf(wanted.insns);
  const tags = subprograms.length === 1 ? [tag] : subprograms.map(({ start }, k) => tagOf(insns.slice(start, ends[k])));
  const details: ProgramDetails = {
    ...{ name, type, attachType: attach, attachTo, gpl, sleepable: (flags & ProgFlag.Sleepable) !== 0 },
    ...{ uid: state.host.uid?.() ?? 0, loadTime: state.host.now?.() ?? 0n, tag, tags, xdpHasFrags: hasFrags(flags) },
    ...{ insns: encodeInsns(maps.shown(insns)), verified: verdict.stats.processed, contextSize: verdict.contextSize },
    ...{ btf, functions, lines },
  };
  const kept = keptBytes({ verdict, functions, lines });
  const object = new ProgramObject(state.programs.nextId(), program, details, maps.held(), (self) => {
    state.programs.remove(self);
    state.uncharge(kept);
    state.runtime.rcu.call(() => program.executable.dispose());
  });
  state.programs.add(object);
  if (state.counting) object.startCounting();
  return object;
}

const hasFrags = (flags: number): boolean => (flags & ProgFlag.XdpHasFrags) !== 0;
