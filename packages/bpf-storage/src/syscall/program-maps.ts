import { BpfError } from "../errors.js";
import { encodeInsns, type Insn, isWide } from "../isa/insn.js";
import { Pseudo } from "../isa/opcodes.js";
import { ArrayMap } from "../maps/array.js";
import { MapFlag } from "../uapi/map-types.js";
import type { VerifierMap } from "../verifier/request.js";
import type { MapObject } from "./map-object.js";
import { sha1Tag } from "./sha1.js";
import type { State } from "./state.js";

/** A map as the verifier looks at it. */
export function describeMap({ map, fields, types, frozen, writers, inner }: MapObject): VerifierMap {
  const { type, keySize, valueSize, maxEntries, flags, name } = map.desc;
  // Neither programs nor callers can change it any more.
  const constant = frozen && writers === 0 && (flags & MapFlag.RdonlyProg) !== 0 && maxEntries === 1;
  return {
    ...{ type, keySize, valueSize, maxEntries, flags, name },
    ...(types === null ? {} : { fields }),
    ...(inner === null ? {} : { inner }),
    ...(constant && map instanceof ArrayMap ? { frozen: map.host.arena.read(map.elements, valueSize) } : {}),
  };
}

const namesByFd = ({ src }: Insn): boolean => src === Pseudo.MapFd || src === Pseudo.MapValue;
const namesByIndex = ({ src }: Insn): boolean => src === Pseudo.MapIdx || src === Pseudo.MapIdxValue;

/** The maps that the instructions of a program name, by descriptors or by places in an array of them. They are held until {@link put}. */
export class UsedMaps {
  readonly #objects = new Map<number, MapObject>();
  readonly #described = new Map<MapObject, VerifierMap>();
  /** Whether a descriptor is not open: the program will be refused. */
  missing = false;

  constructor(
    readonly state: State,
    readonly fdArray: number,
  ) {}

  /**
   * Instructions that name all maps by descriptors.
   * @throws {BpfError} EPROTO for a place without an array, EFAULT, EINVAL for what is no map; no descriptor at all is left to the verifier
   */
  named(insns: readonly Insn[]): Insn[] {
    return insns.map((insn) => {
      if (!isWide(insn) || !(namesByFd(insn) || namesByIndex(insn))) return insn;
      const fd = namesByIndex(insn) ? this.#fdAt(insn.imm) : insn.imm;
      this.#find(fd);
      const src =
        insn.src === Pseudo.MapIdx ? Pseudo.MapFd : insn.src === Pseudo.MapIdxValue ? Pseudo.MapValue : insn.src;
      return { ...insn, src, imm: fd };
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
      if (error instanceof BpfError && error.code === "EBADF") {
        this.missing = true;
        return;
      }
      if (error instanceof BpfError) throw new BpfError(error.code, `fd ${fd} is not pointing to valid bpf_map`);
      throw error;
    }
  }

  /** The map that a descriptor named when the call was made. */
  object(fd: number): MapObject | undefined {
    return this.#objects.get(fd);
  }

  /** The same for the same map, whatever descriptor names it. */
  described(fd: number): VerifierMap | undefined {
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

/** The tag of instructions, which does not depend on what descriptors or ids maps have (`bpf_prog_calc_tag`). */
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
  return sha1Tag(encodeInsns(plain));
}
