import { BtfKind } from "../btf/kinds.js";
import { BpfError, type Errno } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import type { FunctionInfo } from "../verifier/request.js";
import { ProgLoadAttr as At, type Attributes } from "./attributes.js";
import type { BtfObject } from "./btf-object.js";
import type { InfoRecords } from "./program-object.js";
import type { State } from "./state.js";

/** `struct bpf_func_info` and `struct bpf_line_info`, bytes; records of callers may be longer. */
export const FUNC_INFO_BYTES = 8;
export const LINE_INFO_BYTES = 16;
const RECORD_MOST = 252;
const ALLOCATED_MOST = 0x7fffffff;
/** As many as instructions of a program. */
const FUNCTIONS_MOST = 1_000_000;
const WRONG_NUMBER = "number of funcs in func_info doesn't match number of subprogs";

export const NO_RECORDS: InfoRecords = { count: 0, bytes: new Uint8Array(0) };

const refuse = (phrase: string, code: Errno = "EINVAL"): never => {
  throw new BpfError(code, phrase);
};

interface Shape {
  readonly name: string;
  readonly address: number;
  readonly count: number;
  readonly size: number;
  /** Bytes that mean something. */
  readonly known: number;
  /** Where the caller said how long records are: it is told what is expected. */
  readonly sizeAt: number;
}

/** Reads one record after another. @throws {BpfError} EINVAL, E2BIG, EFAULT */
function* records(state: State, attr: Attributes, shape: Shape): Generator<DataView, void> {
  const { name, address, count, size, known, sizeAt } = shape;
  if (size < known || size > RECORD_MOST || size % 4 !== 0) refuse(`invalid ${name} rec size ${size}`);
  // More than is allocated at once.
  if (count * known > ALLOCATED_MOST) refuse(`${count} records of ${name}`, "ENOMEM");
  for (let k = 0; k < count; k++) {
    const at = address + k * size;
    try {
      state.memory.checkTail(at, known, size);
    } catch (error) {
      if (error instanceof BpfError && error.code === "E2BIG") attr.put32(sizeAt, known);
      throw error;
    }
    const bytes = state.memory.read(at, known);
    yield new DataView(bytes.buffer, bytes.byteOffset, known);
  }
}

const kept = (views: readonly DataView[], size: number): InfoRecords => {
  const bytes = new Uint8Array(size * views.length);
  for (const [k, { buffer, byteOffset }] of views.entries())
    bytes.set(new Uint8Array(buffer, byteOffset, size), k * size);
  return { count: views.length, bytes };
};

/**
 * Where functions begin, as the loader says (`check_btf_func_early`).
 * @param expected functions of the program: 6.1 counts before it looks, others after the last
 * @throws {BpfError} EINVAL, E2BIG, EFAULT, with the kernel's phrase
 */
export function readFunctions(
  state: State,
  attr: Attributes,
  btf: BtfObject,
  expected: number,
): { readonly records: InfoRecords; readonly functions: readonly FunctionInfo[] } {
  const count = attr.u32(At.funcInfoCnt);
  const functions: FunctionInfo[] = [];
  const views: DataView[] = [];
  if (count === 0) return { records: NO_RECORDS, functions };
  if (state.generation === "6.1" && count !== expected) refuse(WRONG_NUMBER);
  const shape = {
    ...{ name: "func info", address: attr.pointer(At.funcInfo), count, size: attr.u32(At.funcInfoRecSize) },
    ...{ known: FUNC_INFO_BYTES, sizeAt: At.funcInfoRecSize },
  };
  let before = -1;
  for (const view of records(state, attr, shape)) {
    const [insn, type] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (before < 0 && insn !== 0) refuse(`nonzero insn_off ${insn} for the first func info record`);
    if (before >= 0 && insn <= before)
      refuse(`same or smaller insn offset (${insn}) than previous func info record (${before})`);
    if (type >= btf.btf.count || btf.btf.kind(type) !== BtfKind.Func) refuse(`invalid type id ${type} in func info`);
    // There cannot be more instructions at which one begins.
    if (functions.length === FUNCTIONS_MOST) refuse(WRONG_NUMBER);
    functions.push({ insn, type });
    views.push(view);
    before = insn;
  }
  return { records: kept(views, FUNC_INFO_BYTES), functions };
}

/**
 * Lines of the source, as the loader says (`check_btf_line`).
 * @param starts where functions begin: each has a line
 * @throws {BpfError} EINVAL, E2BIG, EFAULT, with the kernel's phrase
 */
export function readLines(
  state: State,
  attr: Attributes,
  { btf }: BtfObject,
  insns: readonly Insn[],
  starts: readonly number[],
): InfoRecords {
  const count = attr.u32(At.lineInfoCnt);
  const size = attr.u32(At.lineInfoRecSize);
  if (count === 0) return NO_RECORDS;
  if (count > ALLOCATED_MOST / LINE_INFO_BYTES) refuse(`${count} records of line_info`);
  const shape = {
    ...{ name: "line_info", address: attr.pointer(At.lineInfo), count, size },
    ...{ known: LINE_INFO_BYTES, sizeAt: At.lineInfoRecSize },
  };
  const views: DataView[] = [];
  let [before, found] = [0, 0];
  for (const view of records(state, attr, shape)) {
    const [insn, file, line] = [0, 4, 8].map((at) => view.getUint32(at, true)) as [number, number, number];
    const k = views.length;
    if ((k > 0 && insn <= before) || insn >= insns.length)
      refuse(`Invalid line_info[${k}].insn_off:${insn} (prev_offset:${before} prog->len:${insns.length})`);
    if (insns[insn]?.code === 0) refuse(`Invalid insn code at line_info[${k}].insn_off`);
    if (line >= btf.stringBytes || file >= btf.stringBytes)
      refuse(`Invalid line_info[${k}].line_off or .file_name_off`);
    const start = starts[found];
    if (insn === start) found++;
    else if (start !== undefined && start < insn) refuse(`missing bpf_line_info for func#${found}`);
    views.push(view);
    before = insn;
  }
  if (found !== starts.length) refuse(`missing bpf_line_info for ${starts.length} funcs starting from func#${found}`);
  return kept(views, LINE_INFO_BYTES);
}
