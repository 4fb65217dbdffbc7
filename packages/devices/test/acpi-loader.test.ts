import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AcpiDesc, acpiLoaderFiles, buildAcpiTables } from "../src/index.js";

const [RSDP, TABLES, LOADER] = ["etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader"] as const;
const COMMAND = 128;
const RSDP_SIZE = 36;

/** What a machine has whose firmware chooses where its tables lie; the pointers of the loader are offsets from base 0. */
const plain: AcpiDesc = {
  base: 0,
  apicIds: [0, 1, 300],
  localApicAddress: 0xfee00000,
  ioApic: { id: 0, address: 0xfec00000, gsiBase: 0 },
  power: { resetPort: 0xcf9, resetValue: 6 },
  uarts: [{ port: 0x3f8, gsi: 4 }],
  rtcPort: 0x70,
  virtio: [],
  devices: [],
  s5Type: 5,
};
const pci: AcpiDesc["pci"] = {
  ecam: { base: 0xe0000000, size: 2 ** 28 },
  memory: [0x80000000, 0xe0000000],
  interrupts: [{ device: 1, gsi: 16 }],
};
const MACHINES: readonly (readonly [string, AcpiDesc])[] = [
  ["is hardware-reduced", plain],
  ["has fixed hardware", { ...plain, fixedHardware: { basePort: 0x600, sci: 9 } }],
  ["has PCI and fixed hardware", { ...plain, pci, fixedHardware: { basePort: 0x600, sci: 9 } }],
  ["has PCI and a wakeup mailbox", { ...plain, pci, wakeupMailbox: 0x1f000 }],
];

interface Placed {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The loader of a firmware that trusts nothing: what QEMU's hw/acpi/bios-linker-loader.c says of its commands, done to copies of the files. */
class Loader {
  readonly placed = new Map<string, Placed>();
  /** Commands that were done, by number. */
  readonly done: number[] = [];

  constructor(
    readonly files: Readonly<Record<string, Uint8Array>>,
    readonly place: (name: string, alignment: number, zone: number) => number,
  ) {}

  run(script: Uint8Array): this {
    expect(script.length % COMMAND).toBe(0);
    for (let at = 0; at < script.length; at += COMMAND) this.#do(script.slice(at, at + COMMAND));
    return this;
  }

  #do(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer);
    const command = view.getUint32(0, true);
    this.done.push(command);
    const name = this.#name(bytes, 4);
    if (command === 1) this.#allocate(name, view.getUint32(60, true), view.getUint8(64), bytes.subarray(65));
    else if (command === 2) {
      const size = view.getUint8(120);
      this.#point(this.#file(name), this.#file(this.#name(bytes, 60)), view.getUint32(116, true), size);
      expect(bytes.subarray(121)).toEqual(new Uint8Array(7));
    } else if (command === 3) {
      this.#sum(this.#file(name), view.getUint32(60, true), view.getUint32(64, true), view.getUint32(68, true));
      expect(bytes.subarray(72)).toEqual(new Uint8Array(56));
    } else throw new Error(`command ${command}`);
  }

  #name(bytes: Uint8Array, at: number): string {
    const [name, ...rest] = String.fromCharCode(...bytes.subarray(at, at + 56)).split("\0");
    // At least one zero, and nothing behind it.
    expect([rest.length > 0, rest.join("")]).toEqual([true, ""]);
    return name as string;
  }

  #file(name: string): Placed {
    const file = this.placed.get(name);
    if (file === undefined) throw new Error(`${name} has not been allocated`);
    return file;
  }

  #allocate(name: string, alignment: number, zone: number, rest: Uint8Array): void {
    expect(rest).toEqual(new Uint8Array(63));
    expect(this.placed.has(name)).toBe(false);
    const address = this.place(name, alignment, zone);
    expect(address % alignment).toBe(0);
    this.placed.set(name, { address, bytes: (this.files[name] as Uint8Array).slice() });
  }

  #point({ bytes }: Placed, pointee: Placed, offset: number, size: number): void {
    expect([4, 8]).toContain(size);
    let value = 0n;
    for (let k = size - 1; k >= 0; k--) value = value * 256n + BigInt(bytes[offset + k] as number);
    expect(Number(value)).toBeLessThan(pointee.bytes.length);
    value += BigInt(pointee.address);
    expect(value).toBeLessThan(1n << BigInt(8 * size));
    for (let k = 0; k < size; k++) bytes[offset + k] = Number((value >> BigInt(8 * k)) & 0xffn);
  }

  /** As edk2 does it: the byte itself is part of the sum. */
  #sum({ bytes }: Placed, result: number, start: number, length: number): void {
    expect([result >= start, result < start + length, start + length <= bytes.length]).toEqual([true, true, true]);
    bytes[result] = -bytes.subarray(start, start + length).reduce((sum, byte) => sum + byte, 0) & 0xff;
  }
}

const page = fc.integer({ min: 1, max: 0xf_0000 }).map((number) => number * 4096);
const segment = fc.integer({ min: 0xe000, max: 0xffff }).map((number) => number * 16);
const filesOf = (desc: AcpiDesc) => acpiLoaderFiles(buildAcpiTables(desc));

describe.each(MACHINES)("the loader of a machine that %s", (_, desc) => {
  test("gives the tables that are made for where its firmware puts them, checksums included", () => {
    fc.assert(
      fc.property(page, segment, (tables, rsdp) => {
        const files = filesOf(desc);
        const { placed } = new Loader(files, (name) => (name === RSDP ? rsdp : tables)).run(files[LOADER]);
        const expected = buildAcpiTables({ ...desc, base: tables }).bytes;
        expect([...placed.keys()].sort()).toEqual([RSDP, TABLES]);
        expect(placed.get(RSDP)?.bytes).toEqual(expected.slice(0, RSDP_SIZE));
        expect(placed.get(TABLES)?.bytes.subarray(0, RSDP_SIZE)).toEqual(new Uint8Array(RSDP_SIZE));
        expect(placed.get(TABLES)?.bytes.subarray(RSDP_SIZE)).toEqual(expected.subarray(RSDP_SIZE));
      }),
    );
  });

  test("leaves the bytes of checksums 0, so that it does not matter whether they are part of the sum", () => {
    const files = filesOf(desc);
    const script = new DataView(files[LOADER].buffer, files[LOADER].byteOffset);
    let sums = 0;
    for (let at = 0; at < files[LOADER].length; at += COMMAND) {
      if (script.getUint32(at, true) !== 3) continue;
      const name = String.fromCharCode(...files[LOADER].subarray(at + 4, at + 4 + 56)).replace(/\0.*/, "");
      expect(files[name as typeof TABLES][script.getUint32(at + 60, true)]).toBe(0);
      sums++;
    }
    // FADT, XSDT, and the two of the RSDP.
    expect(sums).toBe(4);
  });
});

describe("the loader", () => {
  test("allocates pages anywhere for the tables, and 16-byte blocks of segment F for the root pointer, before all else", () => {
    const asked: unknown[] = [];
    const files = filesOf(plain);
    const place = (...what: unknown[]) => {
      asked.push(what);
      return 0x10_0000;
    };
    const { done } = new Loader(files, place).run(files[LOADER]);
    expect(asked).toEqual([
      [TABLES, 4096, 1],
      [RSDP, 16, 2],
    ]);
    expect(done).toEqual([1, 1, ...done.slice(2).map((command) => Math.max(command, 2))]);
  });

  test("knows the names that firmware looks for, and changes nothing of the tables it is given", () => {
    const image = buildAcpiTables(plain);
    const before = image.bytes.slice();
    expect(Object.keys(acpiLoaderFiles(image)).sort()).toEqual([RSDP, TABLES, LOADER]);
    expect(image.bytes).toEqual(before);
  });
});
