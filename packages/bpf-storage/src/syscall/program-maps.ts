import { sha1 } from "@noble/hashes/legacy.js";
import { BpfError } from "../errors.js";
import { encodeInsns, type Insn, isWide } from "../isa/insn.js";
import { Pseudo } from "../isa/opcodes.js";
import { ArrayMap } from "../maps/array.js";
import { MapFlag } from "../uapi/map-types.js";
import type { VerifierMap } from "../verifier/request.js";
import type { MapObject } from "./map-object.js";
import type { State } from "./state.js";

/** A map as the verifier looks at it. */
export function describeMap({ map, fields, types, frozen, writers, inner }: MapObject): VerifierMap {
  const { type, keySize, valueSize, maxEntries, flags, name } = map.desc;
  // Neither programs nor callers can change it any more.
  const constant = frozen && writers === 0 && (flags & MapFlag.RdonlyProg) !== 0 && maxEntries === 1;
  const described = {
    ...{ type, keySize, valueSize, maxEntries, flags, name },
    ...(types === null ? {} : { fields }),
    ...(inner === null ? {} : { inner }),
  };
  if (!constant || !(map instanceof ArrayMap)) return described;
  // No copy: a value can be as large as the memory, and of most of it nobody asks.
  const contents = (): Uint8Array => map.host.arena.u8.subarray(map.elements, map.elements + valueSize);
  return {
    ...described,
    get frozen() {
      return contents();
    },
  };
}

const namesByFd = ({ src }: Insn): boolean => src === Pseudo.MapFd || src === Pseudo.MapValue;
const namesByIndex = ({ src }: Insn): boolean => src === Pseudo.MapIdx || src === Pseudo.MapIdxValue;

/** The maps that the instructions of a program name, by descriptors or by places in an array of them. They are held until {@link put}. */
export class UsedMaps {
  readonly #objects = new Map<number, MapObject>();
  readonly #described = new Map<MapObject, VerifierMap>();
  /** Why what an instruction names is no map, by its place. */
  readonly #refused = new Map<number, BpfError>();

  constructor(
    readonly state: State,
    readonly fdArray: number,
  ) {}

  /** Instructions that name all maps by descriptors. What is no map is for the verifier to refuse, when it comes to it. */
  named(insns: readonly Insn[]): Insn[] {
    return insns.map((insn, pc) => {
      if (!isWide(insn) || !(namesByFd(insn) || namesByIndex(insn))) return insn;
      const src =
        insn.src === Pseudo.MapIdx ? Pseudo.MapFd : insn.src === Pseudo.MapIdxValue ? Pseudo.MapValue : insn.src;
      try {
        const fd = namesByIndex(insn) ? this.#fdAt(insn.imm) : insn.imm;
        this.#find(fd);
        return { ...insn, src, imm: fd };
      } catch (error) {
        if (!(error instanceof BpfError)) throw error;
        this.#refused.set(pc, error);
        return { ...insn, src };
      }
    });
  }

  #fdAt(index: number): number {
    if (this.fdArray === 0) throw new BpfError("EPROTO", "fd_idx without fd_array is invalid");
    return this.state.memory.readU32(this.fdArray + 4 * index) | 0;
  }

  #find(fd: number): void {
    if (this.#objects.has(fd)) return;
    try {
      this.#objects.set(fd, this.state.map(fd).object.hold());
    } catch (error) {
      if (error instanceof BpfError) throw new BpfError(error.code, `fd ${fd} is not pointing to valid bpf_map`);
      throw error;
    }
  }

  /** The map that a descriptor named when the call was made. */
  object(fd: number): MapObject | undefined {
    return this.#objects.get(fd);
  }

  /** The same for the same map, whatever descriptor names it. @throws {BpfError} EPROTO for a place without an array, EFAULT, EBADF, EINVAL for what is no map */
  described(fd: number, pc: number): VerifierMap | undefined {
    const refused = this.#refused.get(pc);
    if (refused !== undefined) throw refused;
    const object = this.#objects.get(fd);
    if (object === undefined) return undefined;
    let map = this.#described.get(object);
    if (map === undefined) {
      map = describeMap(object);
      this.#described.set(object, map);
    }
    return map;
  }

  /** All of them, in the order in which the program names them first; each is held for who asks. */
  held(): MapObject[] {
    return [...new Set(this.#objects.values())].map((object) => object.hold());
  }

  put(): void {
    for (const object of this.#objects.values()) object.put();
    this.#objects.clear();
  }

  /** Instructions as others may see them: maps are named by their ids. */
  shown(insns: readonly Insn[]): Insn[] {
    return insns.map((insn) =>
      isWide(insn) && namesByFd(insn) ? { ...insn, imm: this.#objects.get(insn.imm)?.id ?? 0 } : insn,
    );
  }
}

/** Bytes of a tag. */
const TAG_BYTES = 8;

/** The tag of instructions: the beginning of their digest by SHA-1, which does not depend on what descriptors or ids maps have (`bpf_prog_calc_tag`). */
export function tagOf(insns: readonly Insn[]): Uint8Array {
  let second = false;
  const plain = insns.map((insn) => {
    if (second) {
      second = false;
      return { ...insn, imm: 0 };
    }
    second = isWide(insn) && namesByFd(insn);
    return second ? { ...insn, imm: 0 } : insn;
  });
  return sha1(encodeInsns(plain)).slice(0, TAG_BYTES);
}
