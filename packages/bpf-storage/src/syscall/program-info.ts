import { BpfError } from "../errors.js";
import type { ProgramObject } from "./program-object.js";
import { FUNC_INFO_BYTES, LINE_INFO_BYTES } from "./program-records.js";
import type { State } from "./state.js";
import { type Structure, wordsOf } from "./structure.js";

/** `struct bpf_prog_info` (linux/bpf.h), offsets in bytes. */
const Info = {
  ...({
    type: 0,
    id: 4,
    tag: 8,
    jitedProgLen: 16,
    xlatedProgLen: 20,
    jitedProgInsns: 24,
    xlatedProgInsns: 32,
  } as const),
  ...({ loadTime: 40, createdByUid: 48, nrMapIds: 52, mapIds: 56, name: 64, ifindex: 80, gplCompatible: 84 } as const),
  ...({ netns: 88, nrJitedKsyms: 104, nrJitedFuncLens: 108, jitedKsyms: 112, jitedFuncLens: 120, btfId: 128 } as const),
  ...({ funcInfoRecSize: 132, funcInfo: 136, nrFuncInfo: 144, nrLineInfo: 148, lineInfo: 152 } as const),
  ...({ jitedLineInfo: 160, nrJitedLineInfo: 168, lineInfoRecSize: 172, jitedLineInfoRecSize: 176 } as const),
  ...({ nrProgTags: 180, progTags: 184, runTimeNs: 192, runCnt: 200, recursionMisses: 208 } as const),
  ...({ verifiedInsns: 216, attachBtfObjId: 220, attachBtfId: 224 } as const),
} as const;
/** Bytes of it that mean something, and with what aligns it. */
export const PROG_INFO_USED = 228;
export const PROG_INFO_BYTES = 232;
const TAG_BYTES = 8;
const JITED_LINE_BYTES = 8;

/**
 * Tells about a program (`bpf_prog_get_info_by_fd`): what the caller wants a copy of, it gives room for.
 * @param info what the caller gives; what it gets
 * @throws {BpfError} EINVAL, EFAULT
 */
export function fillProgramInfo(state: State, object: ProgramObject, info: Structure): void {
  const { details, program, maps } = object;
  const { memory } = state;
  const tell = (countAt: number, addressAt: number, count: number, size: number, bytes: () => Uint8Array): void => {
    const wanted = Math.min(info.u32(countAt), count);
    info.set32(countAt, count);
    if (wanted !== 0) memory.write(info.u64(addressAt), bytes().subarray(0, wanted * size));
  };
  info.set32(Info.type, details.type);
  info.set32(Info.id, object.id);
  info.set64(Info.loadTime, details.loadTime);
  info.set32(Info.createdByUid, details.uid);
  info.set32(Info.gplCompatible, details.gpl ? 1 : 0);
  info.set(Info.tag, details.tag);
  info.setName(Info.name, details.name);
  tell(Info.nrMapIds, Info.mapIds, maps.length, 4, () => wordsOf(maps.map(({ id }) => id)));
  checkRecordSizes(info);
  info.set64(Info.runTimeNs, 0n);
  info.set64(Info.runCnt, BigInt(object.runs));
  info.set64(Info.recursionMisses, BigInt(program.misses));
  info.set32(Info.verifiedInsns, details.verified);
  if (details.btf !== null) info.set32(Info.btfId, details.btf.id);
  if (!state.can("CAP_BPF")) {
    for (const at of [Info.jitedProgLen, Info.xlatedProgLen, Info.nrJitedKsyms, Info.nrJitedFuncLens])
      info.set32(at, 0);
    for (const at of [Info.nrFuncInfo, Info.nrLineInfo, Info.nrJitedLineInfo]) info.set32(at, 0);
    return;
  }
  tell(Info.xlatedProgLen, Info.xlatedProgInsns, details.insns.length, 1, () => details.insns);
  // What programs are compiled to is WebAssembly, which is nobody's to look at.
  info.set32(Info.jitedProgLen, 0);
  const functions = details.tags.length;
  const zeros = (size: number) => (): Uint8Array => new Uint8Array(functions * size);
  tell(Info.nrJitedKsyms, Info.jitedKsyms, functions, 8, zeros(8));
  tell(Info.nrJitedFuncLens, Info.jitedFuncLens, functions, 4, zeros(4));
  info.set32(Info.attachBtfId, details.attachTo?.id ?? 0);
  if (details.attachTo !== null) info.set32(Info.attachBtfObjId, state.kernelBtf?.id ?? 0);
  const { functions: funcInfo, lines } = details;
  tell(Info.nrFuncInfo, Info.funcInfo, funcInfo.count, FUNC_INFO_BYTES, () => funcInfo.bytes);
  tell(Info.nrLineInfo, Info.lineInfo, lines.count, LINE_INFO_BYTES, () => lines.bytes);
  info.set32(Info.nrJitedLineInfo, 0);
  tell(Info.nrProgTags, Info.progTags, functions, TAG_BYTES, () => joined(details.tags));
}

/** Callers say how long records are, unless they want none (`set_info_rec_size`). @throws {BpfError} EINVAL */
function checkRecordSizes(info: Structure): void {
  for (const [count, size, expected] of [
    [Info.nrFuncInfo, Info.funcInfoRecSize, FUNC_INFO_BYTES],
    [Info.nrLineInfo, Info.lineInfoRecSize, LINE_INFO_BYTES],
    [Info.nrJitedLineInfo, Info.jitedLineInfoRecSize, JITED_LINE_BYTES],
  ] as const) {
    if ((info.u32(count) !== 0 || info.u32(size) !== 0) && info.u32(size) !== expected)
      throw new BpfError("EINVAL", `records of ${info.u32(size)} bytes: expected ${expected}`);
    info.set32(size, expected);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
