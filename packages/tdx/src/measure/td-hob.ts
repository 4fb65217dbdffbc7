import { concatBytes } from "@noble/hashes/utils.js";
import { ByteReader } from "../bytes/reader.js";
import { bytes, Struct, u16, u32, u64 } from "../bytes/struct.js";
import type { TdvfSection } from "./tdvf-section.js";

/** What is wrong with a TD HOB. */
export type TdHobErrorCode =
  /** It does not fit into its section. */
  | "full"
  /** It ends before it has ended. */
  | "truncated"
  /** It does not start with the PHIT. */
  | "phit"
  /** A HOB has a length that its type cannot have. */
  | "length"
  /** The PHIT says another end than there is. */
  | "end";

/** A list of a TD's memory that does not fit, or bytes that are none. The message says what, and what would be accepted. */
export class TdHobError extends Error {
  override readonly name = "TdHobError";

  constructor(
    readonly code: TdHobErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Memory of a TD. */
export interface TdResource {
  /** Guest-physical, aligned to a page. */
  readonly start: number;
  /** Bytes, whole pages. */
  readonly length: number;
  /** Whether the TD has it already, added before it starts. It has to accept the rest before it uses it. */
  readonly accepted: boolean;
}

const HEADER = new Struct({ type: u16, length: u16, reserved: u32 });
/** Source: UEFI Platform Initialization, volume 3, "Phase Handoff Information Table". */
const PHIT = new Struct({
  version: u32,
  bootMode: u32,
  memoryTop: u64,
  memoryBottom: u64,
  freeMemoryTop: u64,
  freeMemoryBottom: u64,
  endOfHobList: u64,
});
/** Source: UEFI Platform Initialization, volume 3, "Resource Descriptor HOB". */
const RESOURCE = new Struct({ owner: bytes(16), type: u32, attributes: u32, start: u64, length: u64 });

const TYPE_HANDOFF = 1;
const TYPE_RESOURCE = 3;
const TYPE_END = 0xffff;
const PHIT_VERSION = 9;
const SYSTEM_MEMORY = 0;
const MEMORY_UNACCEPTED = 7;
/** Present, initialized and tested. */
const ATTRIBUTES = 7;

const hob = (type: number, content: Uint8Array): Uint8Array =>
  concatBytes(HEADER.write({ type, length: HEADER.size + content.length, reserved: 0 }), content);

/**
 * The TD HOB: what a host tells firmware about the memory of its TD. Nothing vouches for it; the firmware measures it into RTMR0.
 *
 * @param address where it will be, guest-physical
 * @param size bytes of its section
 * @throws {TdHobError} full
 */
export function writeTdHob(address: number, size: number, resources: readonly TdResource[]): Uint8Array {
  const descriptors = resources.map(({ start, length, accepted }) =>
    hob(
      TYPE_RESOURCE,
      RESOURCE.write({
        owner: new Uint8Array(16),
        type: accepted ? SYSTEM_MEMORY : MEMORY_UNACCEPTED,
        attributes: ATTRIBUTES,
        start: BigInt(start),
        length: BigInt(length),
      }),
    ),
  );
  const total = HEADER.size + PHIT.size + descriptors.length * (HEADER.size + RESOURCE.size) + HEADER.size;
  if (total > size) {
    const what = `a TD HOB of ${resources.length} ranges has ${total} bytes`;
    throw new TdHobError("full", `${what}; its section has room for ${size}`);
  }
  const handoff = PHIT.write({
    version: PHIT_VERSION,
    bootMode: 0,
    memoryTop: 0n,
    memoryBottom: 0n,
    freeMemoryTop: 0n,
    freeMemoryBottom: 0n,
    endOfHobList: BigInt(address + total),
  });
  return concatBytes(hob(TYPE_HANDOFF, handoff), ...descriptors, hob(TYPE_END, new Uint8Array(0)));
}

/**
 * The memory in a TD HOB. HOBs that say something else are passed over.
 *
 * @param address where it is, guest-physical
 * @throws {TdHobError} for bytes that are no such list; nothing else
 */
export function parseTdHob(address: number, list: Uint8Array): TdResource[] {
  const reader = new ByteReader(Uint8Array.from(list), (field, at, wanted, left) => {
    throw new TdHobError("truncated", `${field} at byte ${at} needs ${wanted} bytes and ${left} are left`);
  });
  let end: bigint | undefined;
  const resources: TdResource[] = [];
  for (;;) {
    const at = reader.at;
    const { type, length } = HEADER.read(reader.bytes(HEADER.size, "HOB"));
    if (length < HEADER.size || length % 8 !== 0)
      throw new TdHobError(
        "length",
        `a HOB of ${length} bytes at byte ${at}; it has to have 8 at least, and a multiple of 8`,
      );
    const content = reader.bytes(length - HEADER.size, "content of a HOB");
    const expect = (size: number) => {
      if (content.length === size) return;
      throw new TdHobError(
        "length",
        `a HOB of type ${type} has ${length} bytes at byte ${at}; it has ${HEADER.size + size}`,
      );
    };
    if ((at === 0) !== (type === TYPE_HANDOFF))
      throw new TdHobError(
        "phit",
        `a HOB of type ${type} at byte ${at}; one of type 1 (PHIT) is first, and only there`,
      );
    if (type === TYPE_HANDOFF) {
      expect(PHIT.size);
      end = PHIT.read(content).endOfHobList;
    } else if (type === TYPE_RESOURCE) {
      expect(RESOURCE.size);
      const { type: kind, start, length: size } = RESOURCE.read(content);
      if (kind === SYSTEM_MEMORY || kind === MEMORY_UNACCEPTED)
        resources.push({ start: Number(start), length: Number(size), accepted: kind === SYSTEM_MEMORY });
    } else if (type === TYPE_END) {
      expect(0);
      break;
    }
  }
  if (end !== BigInt(address + reader.at)) {
    const there = (address + reader.at).toString(16);
    throw new TdHobError("end", `the PHIT says the list ends at 0x${end?.toString(16)}; it ends at 0x${there}`);
  }
  return resources;
}

/**
 * The memory of a TD as its firmware has to know it: what is in sections of temporary memory and the TD HOB is the TD's already, the rest
 * it has to accept.
 *
 * @param ram ranges that do not overlap
 * @returns in ascending order, without gaps within a range
 */
export function tdResources(
  ram: readonly Pick<TdResource, "start" | "length">[],
  sections: readonly TdvfSection[],
): TdResource[] {
  const added = sections.filter(({ type }) => type === "TempMem" || type === "TD_HOB");
  added.sort((a, b) => a.memoryAddress - b.memoryAddress);
  const resources: TdResource[] = [];
  for (const { start, length } of [...ram].sort((a, b) => a.start - b.start)) {
    const end = start + length;
    let at = start;
    const upTo = (next: number, accepted: boolean) => {
      if (next > at) resources.push({ start: at, length: next - at, accepted });
      at = Math.max(at, next);
    };
    for (const { memoryAddress, memoryDataSize } of added) {
      upTo(Math.min(memoryAddress, end), false);
      if (memoryAddress < end) upTo(Math.min(memoryAddress + memoryDataSize, end), true);
    }
    upTo(end, false);
  }
  return resources;
}
