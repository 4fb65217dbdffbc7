import type { KvmiClient } from "../client/client.js";
import { type Btf, btfIn, type Member } from "./btf.js";
import { GuestOsError, NotStartedError } from "./errors.js";
import { kallsymsIn, type Symbols } from "./kallsyms.js";
import { nearest } from "./names.js";
import { type Prototype, prototype } from "./prototype.js";
import { GuestReader } from "./reader.js";
import { inTurns } from "./work.js";

const MSR_LSTAR = 0xc0000082;
const LARGE_PAGE = 2 << 20;
/** Linux maps its image into the topmost 2 GiB. */
const IMAGE_START = 0xffff_ffff_8000_0000n;
/** How much of it is looked at from where SYSCALL leads: 256 MiB, several times a kernel's text and read-only data. */
const IMAGE_LARGE_PAGES = 128;
/** No structure of a kernel's is as large, in bytes. */
const STRUCT_MOST = 1 << 20;

/** A running Linux kernel's own account of itself: its symbols and the layout of its structures. Nothing in the guest takes part. */
export class LinuxKernel {
  private constructor(
    readonly symbols: Symbols,
    readonly types: Btf,
  ) {}

  /**
   * Finds the kernel by where SYSCALL leads, and reads its tables out of its read-only data.
   * @throws {NotStartedError} if there is no Linux yet
   * @throws {GuestOsError} if it is one without symbols or type information, or where they make no sense
   */
  static async find(client: KvmiClient, vcpu = 0): Promise<LinuxKernel> {
    const { msrs } = await client.registers(vcpu, [MSR_LSTAR]);
    const entry = msrs.get(MSR_LSTAR) ?? 0n;
    if (entry < IMAGE_START) throw new NotStartedError();
    const reader = new GuestReader(client, vcpu);
    const image = await readImage(reader, entry & ~BigInt(LARGE_PAGE - 1));
    const symbols = await inTurns(kallsymsIn(image));
    if (symbols === null) throw new GuestOsError("unsupported", "the kernel carries no symbol table (CONFIG_KALLSYMS)");
    const types = await inTurns(btfIn(image));
    if (types === null)
      throw new GuestOsError("unsupported", "the kernel carries no type information (CONFIG_DEBUG_INFO_BTF)");
    return new LinuxKernel(symbols, types);
  }

  /** Address of a symbol. @throws {GuestOsError} which names some that are near */
  symbol(name: string): bigint {
    const address = this.symbols.get(name);
    if (address !== undefined) return address;
    const near = nearest(this.symbols.keys(), name);
    const meant = near.length === 0 ? "" : `; there is ${near.join(", ")}`;
    throw new GuestOsError("no-symbol", `the kernel has no symbol ${name}${meant}`);
  }

  /** Whether an address lies in the kernel's code, without that which is gone after the start. */
  isCode(address: bigint): boolean {
    return address >= this.symbol("_stext") && address < this.symbol("_etext");
  }

  /** What a function takes and gives, by the kernel's own types; null if they do not tell. @throws {BtfError} */
  prototype(name: string): Prototype | null {
    return prototype(this.types, name);
  }

  /** A member by its path. @throws {GuestOsError} */
  member(struct: string, path: string): Member {
    const member = this.types.member(struct, path);
    if (member === null) throw new GuestOsError("no-member", `the kernel's struct ${struct} has no member ${path}`);
    return member;
  }

  /** Bytes from the start of `struct` to a member. @throws {GuestOsError} */
  offset(struct: string, path: string): number {
    const { offset } = this.member(struct, path);
    if (offset < STRUCT_MOST) return offset;
    throw new GuestOsError("implausible", `the kernel's struct ${struct} has ${path} ${offset} bytes from its start`);
  }
}

/** The image from `start` up, as far as it is mapped. The kernel maps it contiguously. */
async function readImage(reader: GuestReader, start: bigint): Promise<Uint8Array> {
  const first = await reader.translate(start);
  if (first === null) throw new GuestOsError("unmapped", "the kernel is not mapped where SYSCALL leads");
  let pages = 1;
  for (; pages < IMAGE_LARGE_PAGES; pages++) {
    const gpa = await reader.translate(start + BigInt(pages * LARGE_PAGE));
    if (gpa !== first + BigInt(pages * LARGE_PAGE)) break;
  }
  return reader.readPhysical(first, pages * LARGE_PAGE);
}
