import { acpiLoaderFiles, FwCfgItem } from "@vm/devices";
import { measureFirmware, parseTdHob } from "@vm/tdx";
import { describe, expect, it } from "vitest";
import { createMachine, KernelError, MachineError, type MachineOptions, measureTd, tdx } from "../../src/index.js";
import { allocateRam } from "../../src/ram.js";
import type { TdxOptions } from "../../src/td/plugin.js";
import { readTdParts } from "../../src/td-image.js";
import { VirtualMachine } from "../../src/virtual-machine.js";
import { elfKernel } from "../elf-kernel.js";
import { powerOff } from "./bare.js";
import { sayHob, sayItem, sayItemByDma, sayMrtd, share, tinyFirmware } from "./tiny-firmware.js";
import { unstartedKernel } from "./unstarted-kernel.js";

const MEMORY = 16 << 20;
const [TABLES, RSDP, LOADER] = ["etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"];
const ENTRY = 64;
/** Three files of ACPI. */
const DIRECTORY = 4 + 3 * ENTRY;

/** What the TD of `firmware` sends over COM1 until it powers off. */
async function said(firmware: Uint8Array, options: MachineOptions = {}, td: TdxOptions = {}): Promise<Uint8Array> {
  const machine = await createMachine({
    ...{ memory: MEMORY, clock: "icount", ...options },
    plugins: [tdx({ firmware, ...td })],
  });
  const bytes: number[] = [];
  machine.console.onOutput((more) => bytes.push(...more));
  expect(await machine.run()).toEqual({ reason: "power-off", status: null });
  return Uint8Array.from(bytes);
}

/** Names, selectors and sizes of files. */
function files(directory: Uint8Array): Map<string, { readonly item: number; readonly size: number }> {
  const view = new DataView(directory.buffer, directory.byteOffset);
  return new Map(
    Array.from({ length: view.getUint32(0) }, (_, k) => {
      const at = 4 + k * ENTRY;
      const name = String.fromCharCode(...directory.subarray(at + 8, at + ENTRY)).replace(/\0+$/, "");
      return [name, { item: view.getUint16(at + 4), size: view.getUint32(at) }] as const;
    }),
  );
}

/** A board whose firmware has been told what it is to know. */
async function told(td: TdxOptions & { readonly firmware: Uint8Array }, options: MachineOptions) {
  const { parts, start } = await readTdParts(td, { memory: MEMORY, ...options });
  const machine = new VirtualMachine({ ...parts.config, firmware: true }, options, await allocateRam(parts.config));
  const { board } = machine;
  const image = start.image(board);
  const read = (item: number, size: number): Uint8Array => {
    board.ports.write(0x510, 2, item);
    return Uint8Array.from({ length: size }, () => board.ports.read(0x511, 1));
  };
  const number = (item: number): number => new DataView(read(item, 4).buffer).getUint32(0, true);
  const directory = files(read(FwCfgItem.FileDirectory, 4 + 10 * ENTRY));
  const file = (name: string): Uint8Array | undefined => {
    const entry = directory.get(name);
    return entry === undefined ? undefined : read(entry.item, entry.size);
  };
  return { board, start, image, read, number, names: [...directory.keys()], file };
}

const nothing = tinyFirmware(() => undefined);

describe.each(["interpreter", "jit"] as const)("firmware that starts a TD, in the %s", (engine) => {
  it("reads fw_cfg by port and by DMA, has the list of memory, and is measured to what it says itself", async () => {
    const firmware = tinyFirmware((a) => {
      sayItem(a, FwCfgItem.Signature, 4);
      sayHob(a, 56 + 5 * 48 + 8);
      share(a);
      sayItemByDma(a, FwCfgItem.FileDirectory, DIRECTORY);
      sayItemByDma(a, 0x20, 36);
      sayMrtd(a);
    });
    const bytes = await said(firmware, { engine });
    let at = 0;
    const take = (count: number) => {
      at += count;
      return bytes.slice(at - count, at);
    };
    expect(String.fromCharCode(...take(4))).toBe("QEMU");
    expect(parseTdHob(0x80_9000, take(56 + 5 * 48 + 8))).toEqual([
      { start: 0, length: 0x80_9000, accepted: false },
      { start: 0x80_9000, length: 0x1000, accepted: true },
      { start: 0x80_a000, length: 0x6000, accepted: false },
      { start: 0x81_0000, length: 0x1000, accepted: true },
      { start: 0x81_1000, length: MEMORY - 0x81_1000, accepted: false },
    ]);
    const directory = files(take(DIRECTORY));
    expect([...directory.keys()].sort()).toEqual([RSDP, TABLES, LOADER]);
    expect(directory.get(RSDP as string)).toEqual({ item: 0x20, size: 36 });
    expect(String.fromCharCode(...take(8), ...take(28).subarray(28))).toBe("RSD PTR ");
    const mrtd = take(48);
    expect(mrtd).toEqual(measureFirmware(firmware).mrtd);
    expect(at).toBe(bytes.length);
  });

  it("has zeros where an item is not, and an error where DMA is to go to memory that it has not shared", async () => {
    const firmware = tinyFirmware((a) => {
      share(a);
      sayItemByDma(a, 0x3fff, 4);
      sayItemByDma(a, FwCfgItem.Signature, 4, 0x81_0000);
      sayItemByDma(a, FwCfgItem.Signature, 4);
    });
    expect(await said(firmware, { engine })).toEqual(Uint8Array.of(0, 0, 0, 0, 1, 0x51, 0x45, 0x4d, 0x55));
  });
});

describe("a TD that firmware starts", () => {
  const firmware = tinyFirmware(sayMrtd);
  const { mrtd } = measureFirmware(firmware);

  it("is measured to what its firmware says, whatever else it has, and with its variables or without", async () => {
    const cases: readonly (readonly [TdxOptions, MachineOptions])[] = [
      [{}, {}],
      [{ secureBoot: false }, { memory: 2 * MEMORY }],
      [{ shim: new Uint8Array(5) }, { kernel: unstartedKernel(), initrd: new Uint8Array(5), commandLine: "quiet" }],
    ];
    for (const [td, options] of cases) {
      const { mrtd: measured } = await measureTd({
        ...{ memory: MEMORY, ...options },
        plugins: [tdx({ firmware, ...td })],
      });
      expect(measured).toEqual(mrtd);
      expect(await said(firmware, options, td)).toEqual(mrtd);
    }
  });

  it("has its variables, or has them erased", async () => {
    const first = async (secureBoot: boolean) => {
      const { image } = await told({ firmware, secureBoot }, {});
      return image.runs.find(({ gpa }) => gpa === 0xffff_9000)?.bytes;
    };
    expect((await first(true))?.subarray(0x64, 0x848)).toEqual(new Uint8Array(0x848 - 0x64));
    expect((await first(false))?.subarray(0x64, 0x848)).toEqual(new Uint8Array(0x848 - 0x64).fill(0xff));
  });
});

describe("what firmware is told", () => {
  it("is RAM and processors, and by three files the tables of ACPI, with PCI", async () => {
    const { board, start, read, number, names, file } = await told({ firmware: nothing }, { cpus: 2 });
    expect([number(FwCfgItem.RamSize), read(FwCfgItem.Processors, 2)[0]]).toEqual([MEMORY, 2]);
    expect([start.firmware, start.high, names.length]).toEqual([true, 0xffff_9000, 3]);
    const expected = acpiLoaderFiles({ bytes: board.seal({ base: 0 }), rsdp: 0 });
    for (const [name, bytes] of Object.entries(expected)) expect(file(name)).toEqual(bytes);
    expect(String.fromCharCode(...(file(TABLES as string) ?? []))).toContain("MCFG");
    // There is no kernel.
    for (const item of [FwCfgItem.KernelSize, FwCfgItem.SetupSize, FwCfgItem.InitrdSize, FwCfgItem.CommandLineSize])
      expect(number(item)).toBe(0);
  });

  it.each([
    [4, 5 * 512],
    [0, 5 * 512],
    [1, 2 * 512],
    [30, 31 * 512],
  ])("is a kernel with %i sectors of setup, in its two parts, and what goes with it", async (sectors, setup) => {
    const kernel = unstartedKernel(sectors);
    const initrd = Uint8Array.of(1, 2, 3);
    const shim = Uint8Array.of(7, 7);
    const { read, number, file, names } = await told(
      { firmware: nothing, shim },
      { kernel, initrd, commandLine: "quiet ä" },
    );
    expect([number(FwCfgItem.SetupSize), number(FwCfgItem.KernelSize)]).toEqual([setup, kernel.length - setup]);
    expect(read(FwCfgItem.SetupData, setup)).toEqual(kernel.slice(0, setup));
    expect(read(FwCfgItem.KernelData, kernel.length - setup)).toEqual(kernel.slice(setup));
    expect([number(FwCfgItem.InitrdSize), ...read(FwCfgItem.InitrdData, 4)]).toEqual([3, 1, 2, 3, 0]);
    const length = number(FwCfgItem.CommandLineSize);
    const words = new TextDecoder().decode(read(FwCfgItem.CommandLineData, length));
    expect([words.endsWith("\0"), words.includes("quiet ä\0")]).toEqual([true, true]);
    expect([names.length, file("etc/boot/shim")]).toEqual([4, shim]);
  });
});

describe("options that do not go together", () => {
  const refusal = async (td: TdxOptions, options: MachineOptions = {}): Promise<unknown> => {
    const all = { memory: MEMORY, ...options, plugins: [tdx(td)] };
    const outcomes = await Promise.all(
      [createMachine(all), measureTd(all)].map((work) =>
        work.then(
          () => "made",
          (error: unknown) => error,
        ),
      ),
    );
    const [error] = outcomes;
    expect(String(outcomes[1])).toBe(String(error));
    return error instanceof MachineError ? `${error.code}: ${error.message}` : error;
  };
  const withoutStore = nothing.slice().fill(0, 0, 0x48);

  it.each<[string, TdxOptions, MachineOptions, RegExp]>([
    ["an ELF kernel", { firmware: nothing }, { kernel: elfKernel((a) => powerOff(a, 0)) }, /^option: firmware .*ELF/],
    ["no image", { firmware: new Uint8Array(0) }, {}, /^option: firmware: 0 bytes/],
    ["an image that is no firmware", { firmware: new Uint8Array(4096) }, {}, /^option: firmware: .*no TDVF metadata/],
    [
      "secureBoot: false without a store",
      { firmware: withoutStore, secureBoot: false },
      {},
      /^option: firmware: .*store/,
    ],
    ["a shim without a kernel", { firmware: nothing, shim: new Uint8Array(1) }, {}, /^option: .*shim/],
    [
      "a shim without firmware",
      { shim: new Uint8Array(1) },
      { kernel: unstartedKernel() },
      /^option: shim is for firmware/,
    ],
    [
      "secureBoot without firmware",
      { secureBoot: false },
      { kernel: unstartedKernel() },
      /^option: secureBoot is for firmware/,
    ],
    ["devices of old PCs", { firmware: nothing }, { legacyDevices: true }, /^option: legacyDevices/],
    ["neither kernel nor firmware", {}, {}, /^option: .*a kernel or firmware/],
  ])("%s: MachineError", async (_, td, options, words) => expect(await refusal(td, options)).toMatch(words));

  it("a kernel that is none: KernelError", async () => {
    expect(await refusal({ firmware: nothing }, { kernel: new Uint8Array(1000) })).toBeInstanceOf(KernelError);
  });

  it("firmware that wants more memory than there is", async () => {
    const firmware = nothing.slice();
    // The address of the third section, that of temporary memory.
    new DataView(firmware.buffer).setUint32(0xe00 + 16 + 2 * 32 + 8, MEMORY, true);
    expect(await refusal({ firmware })).toMatch(/^option: firmware: section TempMem at 0x1000000 is neither/);
  });
});
