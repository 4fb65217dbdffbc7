import { u64 } from "@vm/cpu";
import { GuestOsError, inTurns, kallsymsIn, type Symbols } from "@vm/kvmi";
import type { MachineHandle } from "../../plugin.js";
import type { VcpuHandle } from "../../vcpu-handle.js";

const MSR_LSTAR = 0xc0000082;
const LARGE_PAGE = 2 << 20;
/** Linux maps its image into the topmost 2 GiB. */
const IMAGE_START = 0xffff_ffff_8000_0000n;
/** Pages of 2 MiB that its text and read-only data have at most. */
const IMAGE_LARGE_PAGES = 128;
/** Bytes of type information at most. */
const BTF_MOST = 64 << 20;

/** What a running Linux kernel has of itself in its memory. */
export interface GuestKernel {
  readonly symbols: Symbols;
  /** Its own type information, with which programs are fitted to it. */
  readonly btf: Uint8Array;
}

/**
 * Reads a kernel's tables out of its memory, in turns of the event loop. The guest should stand still meanwhile.
 * @throws {GuestOsError} if it has none, or they make no sense
 */
export async function guestKernel({ memory }: MachineHandle, vcpu: VcpuHandle): Promise<GuestKernel> {
  const entry = u64(...vcpu.cpu.msr(MSR_LSTAR));
  if (entry < IMAGE_START) throw new GuestOsError("unsupported", "SYSCALL does not lead into a Linux kernel");
  const start = entry & ~BigInt(LARGE_PAGE - 1);
  const first = vcpu.memory.translate(start);
  if (first === null) throw new GuestOsError("unmapped", "the kernel is not mapped where SYSCALL leads");
  let pages = 1;
  while (
    pages < IMAGE_LARGE_PAGES &&
    vcpu.memory.translate(start + BigInt(pages * LARGE_PAGE)) === first + pages * LARGE_PAGE
  )
    pages++;
  const image = new Uint8Array(pages * LARGE_PAGE);
  if (!memory.read(first, image)) throw new GuestOsError("unmapped", "the kernel is not in memory");
  const symbols = await inTurns(kallsymsIn(image));
  if (symbols === null) throw new GuestOsError("unsupported", "the kernel carries no symbol table (CONFIG_KALLSYMS)");
  const [from, to] = [symbols.get("__start_BTF"), symbols.get("__stop_BTF")];
  if (from === undefined || to === undefined || to <= from)
    throw new GuestOsError("unsupported", "the kernel carries no type information (CONFIG_DEBUG_INFO_BTF)");
  const size = Number(to - from);
  const btf = size > BTF_MOST ? null : vcpu.memory.read(from, size);
  if (btf === null) throw new GuestOsError("implausible", `the kernel's type information has ${size} bytes`);
  return { symbols, btf };
}
