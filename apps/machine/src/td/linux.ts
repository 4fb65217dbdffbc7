import { type TdImage, TdImageError, tdImage } from "@vm/tdx";
import type { Board } from "../board/board.js";
import { BootError, KernelError } from "../boot/error.js";
import type { KernelImage } from "../boot/kernel.js";
import { linuxParts } from "../boot/linux.js";
import type { MemoryRange } from "../boot/memory-map.js";
import * as L from "../layout.js";

/** Bytes at the end of memory that the guest is told not to use: the ACPI tables, and last the mailbox of processors that wait. */
const FIRMWARE = 0x10000;
const MAILBOX = 4096;

export interface TdLinux {
  readonly kernel: KernelImage;
  readonly initrd: Uint8Array | null;
  readonly commandLine: string;
  /** Bytes of memory. */
  readonly ram: number;
}

/**
 * A Linux kernel with all that it is started with, as it is added to a TD and measured. Nothing can be attached to the board afterwards.
 * @throws {KernelError} if the kernel does not fit, or cannot be entered in 64-bit mode
 * @throws {BootError} if kernel, ram disk and command line do not go together
 */
export function tdLinuxImage(board: Board, { kernel, initrd, commandLine, ram }: TdLinux): TdImage {
  if (kernel.bits !== 64)
    throw new KernelError("format", "a TD enters its kernel in 64-bit mode, and it has no such entry");
  const tables = ram - FIRMWARE;
  const mailbox = ram - MAILBOX;
  const acpi = board.seal({ base: tables, wakeupMailbox: mailbox });
  if (acpi.length > FIRMWARE - MAILBOX)
    throw new BootError(
      "memory",
      `the ACPI tables have ${acpi.length} bytes, more than the ${FIRMWARE - MAILBOX} there are for them`,
    );
  const memory: MemoryRange[] = [
    { start: 0, end: L.LOW_RAM_END, type: 1 },
    { start: L.LOW_RAM_END, end: L.HIGH_RAM, type: 2 },
    { start: L.HIGH_RAM, end: tables, type: 1 },
    { start: tables, end: mailbox, type: 3 },
    { start: mailbox, end: ram, type: 4 },
  ];
  const parts = linuxParts({ kernel, initrd, commandLine, ram, rsdp: tables, memory, top: tables });
  const chunks = [...parts, { address: tables, bytes: acpi }].map(({ address, bytes }) => ({ gpa: address, bytes }));
  try {
    return tdImage({ chunks, ram, entry: kernel.entry, argument: L.ZERO_PAGE, mailbox });
  } catch (error) {
    if (error instanceof TdImageError) throw new KernelError("place", error.message);
    throw error;
  }
}
