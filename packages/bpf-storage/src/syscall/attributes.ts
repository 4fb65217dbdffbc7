import { BpfError } from "../errors.js";
import type { UserMemory } from "./user-memory.js";

/** Offsets in `union bpf_attr` (linux/bpf.h), by the group of commands that look there. */
export const MapCreateAttr = {
  ...({ mapType: 0, keySize: 4, valueSize: 8, maxEntries: 12, mapFlags: 16, innerMapFd: 20, numaNode: 24 } as const),
  ...({ mapName: 28, mapIfindex: 44, btfFd: 48, keyTypeId: 52, valueTypeId: 56, vmlinuxTypeId: 60 } as const),
  ...({ mapExtra: 64, valueTypeBtfFd: 72, tokenFd: 76 } as const),
} as const;
export const ElementAttr = { mapFd: 0, key: 8, value: 16, flags: 24 } as const;
export const BatchAttr = {
  ...({ inBatch: 0, outBatch: 8, keys: 16, values: 24, count: 32, mapFd: 36, elemFlags: 40, flags: 48 } as const),
} as const;
export const ProgLoadAttr = {
  ...({ progType: 0, insnCnt: 4, insns: 8, license: 16, logLevel: 24, logSize: 28, logBuf: 32 } as const),
  ...({ progFlags: 44, progName: 48, progIfindex: 64, expectedAttachType: 68, progBtfFd: 72 } as const),
  ...({ funcInfoRecSize: 76, funcInfo: 80, funcInfoCnt: 88, lineInfoRecSize: 92, lineInfo: 96 } as const),
  ...({ lineInfoCnt: 104, attachBtfId: 108, attachProgFd: 112, coreReloCnt: 116, fdArray: 120 } as const),
  ...({ logTrueSize: 140, tokenFd: 144 } as const),
} as const;
export const ObjAttr = { pathname: 0, bpfFd: 8, fileFlags: 12, pathFd: 16 } as const;
export const AttachAttr = {
  ...({ targetFd: 0, attachBpfFd: 4, attachType: 8, attachFlags: 12, replaceBpfFd: 16 } as const),
  ...({ relativeFd: 20, expectedRevision: 24 } as const),
} as const;
export const TestRunAttr = {
  ...({ progFd: 0, retval: 4, dataSizeIn: 8, dataSizeOut: 12, dataIn: 16, dataOut: 24, repeat: 32 } as const),
  ...({
    duration: 36,
    ctxSizeIn: 40,
    ctxSizeOut: 44,
    ctxIn: 48,
    ctxOut: 56,
    flags: 64,
    cpu: 68,
    batchSize: 72,
  } as const),
} as const;
export const IdAttr = { id: 0, nextId: 4, openFlags: 8 } as const;
export const InfoAttr = { bpfFd: 0, infoLen: 4, info: 8 } as const;
export const QueryAttr = { targetFd: 0, attachType: 4, queryFlags: 8 } as const;
export const RawTracepointAttr = { name: 0, progFd: 8, cookie: 16 } as const;
export const BtfLoadAttr = {
  ...({ btf: 0, logBuf: 8, btfSize: 16, logSize: 20, logLevel: 24, logTrueSize: 28, flags: 32, tokenFd: 36 } as const),
} as const;
export const LinkCreateAttr = {
  ...({ progFd: 0, targetFd: 4, attachType: 8, flags: 12, targetBtfId: 16, iterInfo: 16, iterInfoLen: 24 } as const),
  ...({ perfCookie: 16, tracingCookie: 24 } as const),
} as const;
export const LinkUpdateAttr = { linkFd: 0, newProgFd: 4, flags: 8, oldProgFd: 12 } as const;
export const BindAttr = { progFd: 0, mapFd: 4, flags: 8 } as const;
export const IterCreateAttr = { linkFd: 0, flags: 4 } as const;

/** Bytes of a name (`BPF_OBJ_NAME_LEN`). */
const NAME_BYTES = 16;
/** Letters are those of Latin-1 (lib/ctype.c). */
const NAME = /^[0-9A-Za-z_.\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*$/;

/** The attributes of a call, as they were when it was made, and where results go. */
export class Attributes {
  readonly #view: DataView;

  /**
   * @param bytes a whole `union bpf_attr`, zeros where the caller gave less
   * @param address where it is in the caller's memory
   * @param size bytes that the caller gave, at most those of the union
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly address: number,
    readonly size: number,
    readonly memory: UserMemory,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  s32(at: number): number {
    return this.#view.getInt32(at, true);
  }

  u64(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }

  /** An address of the caller's: not exact above 2^53, where no user has any. */
  pointer(at: number): number {
    return this.u32(at) + this.u32(at + 4) * 2 ** 32;
  }

  /** Writes a result. @throws {BpfError} EFAULT */
  put32(at: number, value: number): void {
    this.memory.writeU32(this.address + at, value);
  }

  /** Whether the caller's attributes reach to `end`: results that came later are not written beyond. */
  reaches(end: number): boolean {
    return this.size >= end;
  }

  /** Whether all bytes from `at` on are zeros. */
  zeroFrom(at: number): boolean {
    return this.bytes.subarray(at).every((byte) => byte === 0);
  }

  /** The name of a map or program (`bpf_obj_name_cpy`). @throws {BpfError} EINVAL if it has other characters than letters, digits, _ and dots, or no end */
  name(at: number): string {
    const bytes = this.bytes.subarray(at, at + NAME_BYTES);
    const end = bytes.indexOf(0);
    const name = String.fromCharCode(...bytes.subarray(0, Math.max(0, end)));
    if (end < 0 || !NAME.test(name))
      throw new BpfError("EINVAL", `name ${JSON.stringify(name)}: expected at most 15 letters, digits, _ and .`);
    return name;
  }
}
