import { GuestOsError } from "./errors.js";
import type { LinuxKernel } from "./kernel.js";
import type { GuestReader } from "./reader.js";

/** Where a kernel for x86-64 is linked to: its `_text`, without KASLR. */
const LINKED_AT = 0xffff_ffff_8100_0000n;
/** Addresses from here on are of the image, and move with it. */
const IMAGE_START = 0xffff_ffff_8000_0000n;
/** Bytes of a row that LibVMI reads, and what a row has beside the name. */
const NAME_MOST = 470;
const NAME = /^[\x21-\x7e]+$/;
/** The kernel's top page table: since 4.13, before. */
const PAGE_TABLES = ["init_top_pgt", "init_level4_pgt", "swapper_pg_dir"] as const;
/** Words of the grammar that cannot be the name of an entry. */
const RESERVED =
  /^(kpgd|linux_\w+|win_\w+|freebsd_\w+|sysmap|rekall_profile|volatility_ist|ostype|pagemode|aarch64_\w+|0x[0-9a-f]+|\d+)$/i;

/** Whether LibVMI reads `text` as the name of an entry: two or more of A-Z, a-z, 0-9, `.`, `_` and `-`, and no number or word of its own. */
export const isLibvmiName = (text: string): boolean => /^[a-z0-9][a-z0-9._-]+$/i.test(text) && !RESERVED.test(text);

/** Whether LibVMI reads `text` as the path of a file: absolute, of A-Z, a-z, 0-9, `/`, `.`, `_`, `@` and `-`, up to 1023 of them. */
export const isLibvmiPath = (text: string): boolean => /^\/[a-z0-9/._@-]{0,1022}$/i.test(text);

/** How a kernel lies apart from where it was linked to. */
const kaslr = (kernel: LinuxKernel): bigint => kernel.symbol("_text") - LINKED_AT;

/**
 * A running guest's entry of libvmi.conf: what LibVMI (config/grammar.y, os/linux/core.c) needs to know of a Linux kernel. The first lines hold for that
 * kernel, the last three for this start of it.
 *
 * @param name of the domain, as {@link isLibvmiName} has it
 * @param sysmap where {@link systemMap} is, as {@link isLibvmiPath} has it
 * @throws {RangeError} for another name or path
 * @throws {GuestOsError} for a kernel that is not as it should be
 */
export async function libvmiEntry(
  kernel: LinuxKernel,
  reader: GuestReader,
  { name, sysmap }: { readonly name: string; readonly sysmap: string },
): Promise<string> {
  if (!isLibvmiName(name)) throw new RangeError(`"${name}" is no name of an entry that LibVMI reads`);
  if (!isLibvmiPath(sysmap)) throw new RangeError(`"${sysmap}" is no path that LibVMI reads`);
  const table = PAGE_TABLES.find((each) => kernel.symbols.has(each)) ?? PAGE_TABLES[0];
  const kpgd = await reader.translate(kernel.symbol(table));
  if (kpgd === null) throw new GuestOsError("unmapped", `${table} is not mapped`);
  const numbers = {
    linux_name: kernel.offset("task_struct", "comm"),
    linux_tasks: kernel.offset("task_struct", "tasks"),
    linux_mm: kernel.offset("task_struct", "mm"),
    linux_pid: kernel.offset("task_struct", "pid"),
    linux_pgd: kernel.offset("mm_struct", "pgd"),
    linux_init_task: BigInt.asUintN(64, kernel.symbol("init_task")),
    linux_kaslr: BigInt.asUintN(64, kaslr(kernel)),
    kpgd,
  };
  const rows = Object.entries(numbers).map(([key, value]) => `    ${key} = 0x${value.toString(16)};\n`);
  return `${name} {\n    ostype = "Linux";\n    sysmap = "${sysmap}";\n${rows.join("")}}\n`;
}

/** The kernel's symbols as its System.map has them, by address, at the addresses they were linked to. Symbols of a name that no compiler makes are left out. */
export function systemMap(kernel: LinuxKernel): string {
  const slide = kaslr(kernel);
  const rows = [...kernel.symbols].filter(([name]) => name.length <= NAME_MOST && NAME.test(name));
  rows.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0));
  const lines = rows.map(([name, address]) => {
    const linked = address >= IMAGE_START ? BigInt.asUintN(64, address - slide) : address;
    return `${linked.toString(16).padStart(16, "0")} ${kernel.isCode(address) ? "T" : "D"} ${name}\n`;
  });
  return lines.join("");
}
