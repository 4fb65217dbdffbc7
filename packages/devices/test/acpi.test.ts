import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type AcpiDesc, AcpiError, buildAcpiTables } from "../src/index.js";

const BASE = 0xe0000;
const desc: AcpiDesc = {
  base: BASE,
  apicIds: [0, 1],
  localApicAddress: 0xfee00000,
  ioApic: { id: 0, address: 0xfec00000, gsiBase: 0 },
  power: { sleepControlPort: 0x600, sleepStatusPort: 0x601, resetPort: 0x602, resetValue: 1 },
  uarts: [{ port: 0x3f8, gsi: 4 }],
  rtcPort: 0x70,
  virtio: Array.from({ length: 12 }, (_, i) => ({ base: 0xfeb00000 + 0x200 * i, size: 0x200, gsi: 5 + i })),
  devices: [
    { hid: "PNP0A06", ports: [{ base: 0x1000, count: 8 }] },
    { hid: "ACME0001", memory: [{ base: 0xd0000000, size: 4096 }], interrupts: [{ gsi: 20, trigger: "edge" }] },
  ],
  generation: { gpa: 0xfe000, gsi: 13 },
  s5Type: 5,
};

const withPci: AcpiDesc = {
  ...desc,
  virtio: [],
  pci: {
    ecam: { base: 0xe0000000, size: 2 ** 28 },
    memory: [0x80000000, 0xe0000000],
    interrupts: [
      { device: 1, gsi: 16 },
      { device: 2, gsi: 17 },
    ],
  },
};

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const ascii = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/** Finds the tables the way an operating system does: from the RSDP on. */
function parse(from: AcpiDesc) {
  const { bytes, rsdp } = buildAcpiTables(from);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  const table = (gpa: number) => bytes.subarray(gpa - BASE, gpa - BASE + view.getUint32(gpa - BASE + 4, true));
  const xsdt = table(u64(24));
  const at = xsdt.byteOffset;
  const [fadt, madt] = [table(u64(at + 36)), table(u64(at + 44))];
  const mcfg = xsdt.length > 52 ? table(u64(at + 52)) : new Uint8Array(0);
  const dsdt = table(u64(fadt.byteOffset + 140));
  return { bytes, rsdp, xsdt, fadt, madt, mcfg, dsdt, tables: { XSDT: xsdt, FACP: fadt, APIC: madt, DSDT: dsdt } };
}

const gas = (port: number) => [1, 8, 0, 1, port & 0xff, port >> 8, 0, 0, 0, 0, 0, 0];

describe("tables", () => {
  test("the image starts with a revision 2 RSDP whose both checksums hold", () => {
    const { bytes, rsdp } = parse(desc);
    expect([rsdp, ascii(bytes.subarray(0, 8)), bytes[15], bytes[20]]).toEqual([BASE, "RSD PTR ", 2, 36]);
    expect([sum(bytes.subarray(0, 20)), sum(bytes.subarray(0, 36))]).toEqual([0, 0]);
  });

  test("every table has its signature and a checksum that holds, and lies at a multiple of 16", () => {
    for (const [signature, table] of Object.entries(parse(desc).tables)) {
      expect([ascii(table.subarray(0, 4)), sum(table), table.byteOffset % 16]).toEqual([signature, 0, 0]);
    }
  });

  test("FADT: hardware-reduced, with reset, sleep control and sleep status registers as I/O ports", () => {
    const { fadt, dsdt } = parse(desc);
    const view = new DataView(fadt.buffer, fadt.byteOffset);
    const flags = view.getUint32(112, true);
    expect([fadt.length, fadt[8], fadt[131]]).toEqual([276, 6, 5]);
    expect([(flags >> 20) & 1, (flags >> 10) & 1]).toEqual([1, 1]);
    expect([...fadt.subarray(116, 129)]).toEqual([...gas(0x602), 1]);
    expect([...fadt.subarray(244, 268)]).toEqual([...gas(0x600), ...gas(0x601)]);
    expect(view.getUint32(40, true)).toBe(BASE + dsdt.byteOffset);
    expect([fadt[108], view.getUint16(109, true)]).toEqual([0x32, 4]);
  });

  test("FADT without a real-time clock says so", () => {
    const { rtcPort: _, ...without } = desc;
    const { fadt } = parse(without);
    expect([fadt[108], fadt[109]]).toEqual([0, 0x24]);
  });

  describe("with the devices of old PCs", () => {
    const old = { ...desc, fixedHardware: { basePort: 0x640, sci: 9 }, legacyDevices: true };

    test("FADT: not hardware-reduced, PM1a event and control blocks, a timer of 32 bits, legacy devices", () => {
      const { fadt } = parse(old);
      const view = new DataView(fadt.buffer, fadt.byteOffset);
      const flags = view.getUint32(112, true);
      expect([(flags >> 20) & 1, (flags >> 8) & 1, view.getUint16(109, true), view.getUint16(46, true)]).toEqual([
        0, 1, 5, 9,
      ]);
      expect([56, 64, 76].map((at) => view.getUint32(at, true))).toEqual([0x640, 0x644, 0x648]);
      expect([...fadt.subarray(88, 92)]).toEqual([4, 2, 0, 4]);
      expect(sum(fadt)).toBe(0);
    });

    test("FACS: at a multiple of 64, where the FADT says", () => {
      const { fadt, bytes } = parse(old);
      const at = new DataView(fadt.buffer, fadt.byteOffset).getUint32(36, true);
      expect(at % 64).toBe(0);
      expect(ascii(bytes.subarray(at - BASE, at - BASE + 4))).toBe("FACS");
      expect(bytes.length).toBe(at - BASE + 64);
    });

    test("MADT: a pair of 8259A, IRQ 0 at input 2, the SCI active-high and level-triggered", () => {
      const { madt } = parse(old);
      expect(madt[40]).toBe(1);
      const entries = [...madt.subarray(36 + 8 + 16 + 12, -6)];
      expect(entries).toEqual([2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 2, 10, 0, 9, 9, 0, 0, 0, 0b1101, 0]);
    });
  });

  test("with fixed hardware but no old devices: no sleep registers, neither PCAT_COMPAT nor IRQ 0's override, the SCI's alone", () => {
    const power = { resetPort: 0xcf9, resetValue: 6 };
    const { fadt, madt } = parse({ ...desc, power, fixedHardware: { basePort: 0x600, sci: 9 } });
    const view = new DataView(fadt.buffer, fadt.byteOffset);
    expect([(view.getUint32(112, true) >> 20) & 1, view.getUint16(109, true), view.getUint32(76, true)]).toEqual([
      0, 4, 0x608,
    ]);
    expect([...fadt.subarray(116, 129)]).toEqual([...gas(0xcf9), 6]);
    expect([...fadt.subarray(244, 268)].every((byte) => byte === 0)).toBe(true);
    expect(madt[40]).toBe(0);
    expect([...madt.subarray(36 + 8 + 16 + 12, -6)]).toEqual([2, 10, 0, 9, 9, 0, 0, 0, 0b1101, 0]);
  });

  test("MADT: local APICs, IO-APIC and NMI on LINT1, no 8259", () => {
    const { madt } = parse(desc);
    const cpu = (uid: number, id: number) => [0, 8, uid, id, 1, 0, 0, 0];
    expect([...madt.subarray(36)]).toEqual([
      ...[0, 0, 0xe0, 0xfe, 0, 0, 0, 0],
      ...cpu(0, 0),
      ...cpu(1, 1),
      ...[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
      ...[4, 6, 0xff, 0, 0, 1],
    ]);
  });

  test("MADT: where processors wait that no INIT reaches", () => {
    const { madt } = parse({ ...desc, wakeupMailbox: 0x1fff_f000 });
    expect([...madt.subarray(-16)]).toEqual([0x10, 16, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0xff, 0x1f, 0, 0, 0, 0]);
  });

  test("MADT: IDs from 255 up are x2APICs, with an NMI entry of their own", () => {
    const { madt } = parse({ ...desc, apicIds: [0, 300] });
    expect([...madt.subarray(52, 68)]).toEqual([9, 16, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    expect([...madt.subarray(-12)]).toEqual([10, 12, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0]);
  });
});

describe("DSDT", () => {
  const has = (bytes: Uint8Array, part: readonly number[]) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(Buffer.from(part));

  test("PNP0501 with its ports and an edge-triggered interrupt", () => {
    const { dsdt } = parse(desc);
    expect(has(dsdt, [0x0c, 0x41, 0xd0, 0x05, 0x01])).toBe(true);
    expect(has(dsdt, [0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4, 0, 0, 0, 0x79, 0])).toBe(true);
  });

  test("PNP0B00 with its two ports", () => {
    const { dsdt } = parse(desc);
    expect(has(dsdt, [0x0c, 0x41, 0xd0, 0x0b, 0x00])).toBe(true);
    expect(has(dsdt, [0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x79, 0])).toBe(true);
  });

  test("LNRO0005 with its window and a level-triggered, active-high, exclusive interrupt", () => {
    const { dsdt } = parse(desc);
    const resources = [0x86, 9, 0, 1, 0, 2, 0xb0, 0xfe, 0, 2, 0, 0, 0x89, 6, 0, 1, 1, 6, 0, 0, 0, 0x79, 0];
    expect(has(dsdt, [0x0d, ...Buffer.from("LNRO0005"), 0])).toBe(true);
    expect(has(dsdt, resources)).toBe(true);
  });

  test("a generation ID at its address, and a device that notifies of a change of it", () => {
    const { dsdt } = parse(desc);
    expect(has(dsdt, [0x08, ...Buffer.from("ADDR"), 0x12, 8, 2, 0x0c, 0, 0xe0, 0x0f, 0, 0])).toBe(true);
    expect(has(dsdt, [...Buffer.from("_EVT"), 1, 0x86, ...Buffer.from("VGEN"), 0x0a, 0x80])).toBe(true);
    const { generation: _, ...without } = desc;
    expect(has(parse(without).dsdt, [...Buffer.from("VGEN")])).toBe(false);
  });

  describe("with PCI", () => {
    const { dsdt, mcfg } = parse(withPci);

    test("PNP0A08, with the compatible PNP0A03", () => {
      expect(has(dsdt, [0x0c, 0x41, 0xd0, 0x0a, 0x08])).toBe(true);
      expect(has(dsdt, [0x0c, 0x41, 0xd0, 0x0a, 0x03])).toBe(true);
    });

    test("hands on buses 0-255, all ports but those of the configuration mechanism, and memory (6.4.3.5)", () => {
      const buses = [0x88, 13, 0, 2, 12, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 1];
      const own = [0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8];
      const low = [0x88, 13, 0, 1, 12, 3, 0, 0, 0, 0, 0xf7, 0x0c, 0, 0, 0xf8, 0x0c];
      const high = [0x88, 13, 0, 1, 12, 3, 0, 0, 0, 0x0d, 0xff, 0xff, 0, 0, 0, 0xf3];
      const memory = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xdf, 0, 0, 0, 0, 0, 0, 0, 0x60];
      const resources = [...buses, ...own, ...low, ...high, 0x87, 23, 0, 0, 12, 1, ...memory, 0x79, 0];
      expect(has(dsdt, resources)).toBe(true);
    });

    test("_PRT: INTA of each device is its own interrupt", () => {
      const route = (device: number, gsi: number) => [0x12, 11, 4, 0x0c, 0xff, 0xff, device, 0, 0, 0, 0x0a, gsi];
      expect(has(dsdt, [0x12, 26, 2, ...route(1, 16), ...route(2, 17)])).toBe(true);
    });

    test("_OSC grants what the operating system asks for: it returns its fourth argument", () => {
      expect(has(dsdt, [0x14, 8, ...Buffer.from("_OSC"), 4, 0xa4, 0x6b])).toBe(true);
    });

    test("MCFG says where configuration space is mapped, and PNP0C02 reserves it", () => {
      expect([...mcfg.subarray(36)]).toEqual([
        ...[0, 0, 0, 0, 0, 0, 0, 0],
        ...[0, 0, 0, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0],
      ]);
      expect([ascii(mcfg.subarray(0, 4)), sum(mcfg), mcfg.byteOffset % 16]).toEqual(["MCFG", 0, 0]);
      expect(has(dsdt, [0x0c, 0x41, 0xd0, 0x0c, 0x02])).toBe(true);
      expect(has(dsdt, [0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0, 0x10, 0x79, 0])).toBe(true);
    });
  });

  test("\\_S5 is the type the sleep register takes", () => {
    expect([...parse(desc).dsdt.subarray(-14)]).toEqual([
      0x08, 0x5c, 0x5f, 0x53, 0x35, 0x5f, 0x12, 7, 4, 0x0a, 5, 0, 0, 0,
    ]);
  });

  // ACPICA's compiler is the reference; where it is not installed there is nothing to compare with.
  const iasl = spawnSync("iasl", ["-v"]).status === 0;
  test.skipIf(!iasl)("decompiles and compiles again without a complaint", () => {
    const folder = mkdtempSync(join(tmpdir(), "acpi-"));
    try {
      for (const [signature, table] of Object.entries(parse(desc).tables))
        writeFileSync(join(folder, `${signature}.aml`), table);
      writeFileSync(join(folder, "MCFG.aml"), parse(withPci).mcfg);
      const run = (...args: string[]) => spawnSync("iasl", args, { cwd: folder, encoding: "utf8" });
      for (const signature of ["XSDT", "FACP", "APIC", "DSDT", "MCFG"]) {
        const { status, stdout, stderr } = run("-d", `${signature}.aml`);
        expect([signature, status, /warning|error/i.exec(stdout + stderr)]).toEqual([signature, 0, null]);
      }
      expect(run("-p", "again", "DSDT.dsl").stdout).toContain("0 Errors, 0 Warnings");
      const source = readFileSync(join(folder, "DSDT.dsl"), "utf8");
      expect(source.match(/LNRO0005/g)).toHaveLength(12);
      expect(source).toContain('EisaId ("PNP0501")');
      expect(source).toContain('EisaId ("PNP0B00")');
      expect(source).toContain('EisaId ("PNP0A06")');
      expect(source).toContain('Name (_HID, "ACME0001")');
      for (const part of ['Name (_CID, "VM_Gen_Counter")', "Method (_EVT, 1", "Notify (VGEN, 0x80)"])
        expect(source).toContain(part);
      writeFileSync(join(folder, "DSDT.aml"), parse(withPci).dsdt);
      expect(run("-d", "DSDT.aml").status).toBe(0);
      expect(run("-p", "again", "DSDT.dsl").stdout).toContain("0 Errors, 0 Warnings");
      const bridge = readFileSync(join(folder, "DSDT.dsl"), "utf8");
      for (const part of ["WordBusNumber", "WordIO", "DWordMemory", "Method (_OSC, 4", "Return (Arg3)"])
        expect(bridge).toContain(part);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("a machine that cannot be described is refused", () => {
  expect(() => buildAcpiTables({ ...desc, base: 0xe0008 })).toThrow(expect.objectContaining({ code: "base" }));
  expect(() => buildAcpiTables({ ...desc, apicIds: [] })).toThrow(expect.objectContaining({ code: "no-cpu" }));
  expect(() => buildAcpiTables({ ...desc, localApicAddress: 2 ** 32 })).toThrow(AcpiError);
  for (const hid of ["pnp0501", "PNP050", "ACME00012", "A\0CE0001"])
    expect(() => buildAcpiTables({ ...desc, devices: [{ hid }] })).toThrow(expect.objectContaining({ code: "hid" }));
  expect(() => buildAcpiTables({ ...desc, s5Type: -1 })).toThrow(
    expect.objectContaining({ name: "AmlError", code: "integer" }),
  );
});
