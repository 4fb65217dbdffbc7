import { expect, it } from "vitest";
import {
  type GuestReader,
  isLibvmiName,
  isLibvmiPath,
  type LinuxKernel,
  libvmiEntry,
  systemMap,
} from "../src/index.js";

const SLIDE = 0x2580_0000n;
const symbols = new Map<string, bigint>([
  ["_text", 0xffff_ffff_8100_0000n + SLIDE],
  ["init_task", 0xffff_ffff_82a1_aa40n + SLIDE],
  ["init_top_pgt", 0xffff_ffff_82a1_0000n + SLIDE],
  ["current_task", 0x1fb80n],
  ["forged\nffffffff81000000 T init_task", 0xffff_ffff_8100_0010n + SLIDE],
]);
const kernel = {
  symbols,
  symbol: (name: string) => symbols.get(name) ?? 0n,
  offset: (_: string, member: string) => member.length,
  isCode: (address: bigint) => address >= 0xffff_ffff_8100_0000n + SLIDE && address < 0xffff_ffff_8200_0000n + SLIDE,
} as unknown as LinuxKernel;
const reader = { translate: () => Promise.resolve(0x16e1_0000n) } as unknown as GuestReader;

it("an entry as LibVMI's grammar has it", async () => {
  expect(await libvmiEntry(kernel, reader, { name: "vm-1", sysmap: "/tmp/System.map" })).toBe(`vm-1 {
    ostype = "Linux";
    sysmap = "/tmp/System.map";
    linux_name = 0x4;
    linux_tasks = 0x5;
    linux_mm = 0x2;
    linux_pid = 0x3;
    linux_pgd = 0x3;
    linux_init_task = 0xffffffffa821aa40;
    linux_kaslr = 0x25800000;
    kpgd = 0x16e10000;
}
`);
  await expect(libvmiEntry(kernel, reader, { name: "kpgd", sysmap: "/tmp/map" })).rejects.toThrow(RangeError);
  await expect(libvmiEntry(kernel, reader, { name: "vm", sysmap: '/tmp/"' })).rejects.toThrow(RangeError);
});

it("symbols at the addresses they were linked to; none that makes another row", () => {
  expect(systemMap(kernel)).toBe(`000000000001fb80 D current_task
ffffffff81000000 T _text
ffffffff82a10000 D init_top_pgt
ffffffff82a1aa40 D init_task
`);
});

it("names and paths that LibVMI's scanner takes for such", () => {
  expect(["vm", "win7-64", "a.b_c", "0xg"].every(isLibvmiName)).toBe(true);
  expect(["v", "", "-vm", "ostype", "12", "0x12", "two words", 'a"', "linux_pid"].some(isLibvmiName)).toBe(false);
  expect(isLibvmiPath("/boot/System.map-6.1@x")).toBe(true);
  expect(["System.map", "/a b", '/"', "", `/${"x".repeat(1023)}`].some(isLibvmiPath)).toBe(false);
});
