import { dx, eax, ebx, short } from "@vm/asm";
import { describe, expect, it } from "vitest";
import { readImage } from "../src/boot/image.js";
import { BootError, createBareMachine, KernelError, type Machine } from "../src/index.js";
import { assemble, debugExit, elf, elfNote, multiboot, multibootHeader, ORG, pvhNote } from "./bare-images.js";

const MEMORY = 16 << 20;
const exit7 = assemble(32, (a) => debugExit(a, 7));
const exit7long = assemble(64, (a) => debugExit(a, 7));
const EAX = 0;
const EBX = 3;
const RSP = 4;
const RDI = 7;

const text = (machine: Machine, at: number): string => {
  let value = "";
  for (let k = at; machine.memory.readU8(k) !== 0; k++) value += String.fromCharCode(machine.memory.readU8(k));
  return value;
};
const cpuOf = (machine: Machine) => (machine.vcpus[0] as Machine["vcpus"][number]).cpu;
const changed = (file: Uint8Array, at: number, ...bytes: number[]): Uint8Array => {
  const copy = file.slice();
  copy.set(bytes, at);
  return copy;
};

describe("how an image is entered", () => {
  const header = multibootHeader();
  const note = pvhNote(ORG);
  it("by its multiboot header, whatever else it has", () => {
    expect(readImage(elf({ bits: 32, code: exit7, header, note }))).toMatchObject({
      protocol: "multiboot",
      entry: ORG,
    });
    expect(readImage(elf({ bits: 64, code: exit7, header }))).toMatchObject({ protocol: "multiboot", entry: ORG });
  });

  it.each([4, 8] as const)("else by a PVH note of %i bytes, whose address is the entry", (size) => {
    const notes = new Uint8Array([...elfNote("GNU", 18, Uint8Array.of(9, 9, 9, 9, 9)), ...pvhNote(ORG + 16, size)]);
    for (const bits of [32, 64] as const)
      expect(readImage(elf({ bits, code: exit7, note: notes }))).toMatchObject({ protocol: "pvh", entry: ORG + 16 });
  });

  it("else as a 64-bit program", () => {
    const gnu = elfNote("GNU", 5, new Uint8Array(16));
    expect(readImage(elf({ bits: 64, code: exit7long, note: gnu }))).toMatchObject({ protocol: "elf64", entry: ORG });
  });

  it("the header is found at any multiple of 4 in the first 8 KiB, and nowhere else", () => {
    const plain = elf({ bits: 32, code: new Uint8Array(8192) });
    const withHeader = (at: number): Uint8Array => changed(plain, at, ...header);
    expect(readImage(withHeader(8192 - 12)).protocol).toBe("multiboot");
    for (const at of [8192 - 8, 8190, 4098]) expect(() => readImage(withHeader(at))).toThrow("32-bit ELF file without");
    expect(() => readImage(changed(withHeader(4096), 4104, 1))).toThrow("32-bit ELF file without");
  });

  it("a multiboot header with addresses loads a file of any format (Multiboot 0.6.96, 3.1.3)", () => {
    const LOAD = 0x200000;
    const file = new Uint8Array(64);
    file.set(multibootHeader(1 << 16), 8);
    const view = new DataView(file.buffer);
    [LOAD + 4, LOAD, LOAD + 40, LOAD + 100, LOAD + 32].forEach((value, k) => {
      view.setUint32(20 + 4 * k, value, true);
    });
    const { entry, segments } = readImage(file);
    expect(entry).toBe(LOAD + 32);
    expect(segments).toEqual([{ address: LOAD, bytes: file.subarray(4, 44), size: 100 }]);
    view.setUint32(28, LOAD + 61, true);
    expect(() => readImage(file)).toThrow("cut short");
    view.setUint32(24, LOAD + 8, true);
    expect(() => readImage(file)).toThrow("contradict");
  });
});

describe("what cannot be loaded", () => {
  const good = multiboot((a) => debugExit(a, 0));
  it.each<[string, Uint8Array, string]>([
    ["text", new TextEncoder().encode("#!/bin/sh\n".repeat(100)), "neither an ELF file nor a multiboot image"],
    ["an empty file", new Uint8Array(0), "neither"],
    ["a multiboot header alone", multibootHeader(), "is no ELF file"],
    ["addresses cut off", multibootHeader(1 << 16), "header is cut short"],
    ["a video mode", multiboot((a) => debugExit(a, 0), 4), "requires flags 0x4"],
    ["unknown required flags", multiboot((a) => debugExit(a, 0), 0x8003), "requires flags 0x8000"],
    ["a 32-bit ELF file with neither", elf({ bits: 32, code: exit7 }), "without a multiboot header or a PVH note"],
    ["a 64-bit ELF file for another processor", elf({ bits: 64, code: exit7, machine: 183 }), "another processor"],
    ["a multiboot image for another processor", changed(good, 18, 40), "another processor"],
    ["an image cut short", good.subarray(0, good.length - 1), "cut short"],
    ["an ELF header cut short", good.subarray(0, 40), "neither|cut short"],
    ["a program with an interpreter", changed(good, 52, 3), "ELF program"],
    ["a file without segments", changed(good, 44, 0), "nothing to load"],
    ["a segment larger in the file than in memory", changed(good, 52 + 20, 1, 0, 0), "larger in the file"],
    ["a PVH note of 2 bytes", elf({ bits: 32, code: exit7, note: elfNote("Xen", 18, new Uint8Array(2)) }), "2 bytes"],
  ])("%s", async (_, image, message) => {
    const refusal = createBareMachine({ image, memory: MEMORY });
    await expect(refusal).rejects.toThrow(KernelError);
    await expect(refusal).rejects.toThrow(new RegExp(message));
  });

  it("an image outside the memory", async () => {
    const image = elf({ bits: 32, code: exit7, address: 0xfff000, header: multibootHeader() });
    await expect(createBareMachine({ image, memory: MEMORY })).rejects.toThrow(
      "from 0xfff000 to 0x100000a, outside the 16 MiB of memory",
    );
  });

  it("a module for which there is no room", async () => {
    const modules = [{ text: "m", bytes: new Uint8Array(15 << 20) }];
    const refusal = createBareMachine({ image: good, modules, memory: MEMORY });
    await expect(refusal).rejects.toThrow(BootError);
    await expect(refusal).rejects.toThrow("image and module need 17 MiB");
  });

  it("a text longer than 65535 bytes, wherever it stands", async () => {
    const long = "x".repeat(125_000);
    const pvh = elf({ bits: 32, code: exit7, note: pvhNote(ORG) });
    const modules = [{ text: long, bytes: new Uint8Array(1) }];
    for (const image of [good, pvh, elf({ bits: 64, code: exit7long })]) {
      await expect(createBareMachine({ image, commandLine: long, memory: MEMORY })).rejects.toThrow(BootError);
      await expect(createBareMachine({ image, modules, memory: MEMORY })).rejects.toThrow(
        "the text of a module has 125000 bytes; at most 65535 are possible",
      );
    }
  });

  it("more texts than there is low memory for", async () => {
    const modules = Array.from({ length: 11 }, () => ({ text: "x".repeat(60_000), bytes: new Uint8Array(1) }));
    await expect(createBareMachine({ image: good, modules, memory: MEMORY })).rejects.toThrow("no room below 640 KiB");
  });

  it("an image that fills low memory", async () => {
    const image = elf({ bits: 32, code: exit7, address: 0x1000, bss: 0xa0000, header: multibootHeader() });
    await expect(createBareMachine({ image, memory: MEMORY })).rejects.toThrow("no room below 640 KiB");
  });
});

/** A 64-bit ELF file of these program headers: type, offset, virtual and physical address, bytes in the file and in memory. */
function headers(
  entry: bigint,
  ...rows: readonly (readonly [number, bigint, bigint, bigint, bigint, bigint])[]
): Uint8Array {
  const file = new Uint8Array(64 + 56 * rows.length + 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, entry, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, rows.length, true);
  rows.forEach(([type, ...fields], k) => {
    view.setUint32(64 + 56 * k, type, true);
    fields.forEach((value, field) => {
      view.setBigUint64(64 + 56 * k + 8 + 8 * field, value, true);
    });
  });
  return file;
}

describe("an ELF file that means harm", () => {
  const MiB = 1n << 20n;
  const row = (address: bigint, bytes: bigint, size: bigint) => [1, 0n, address, address, bytes, size] as const;
  it.each([
    ["a segment of 2^63 bytes", headers(MiB, row(MiB, 1n, 1n << 63n)), "outside the 16 MiB"],
    ["a segment whose end wraps", headers(MiB, row((1n << 64n) - 4096n, 1n, 8192n)), "lies outside of what it loads"],
    ["bytes past the end of the file", headers(MiB, row(MiB, 1n << 40n, 1n << 40n)), "cut short"],
    ["bytes whose end wraps", headers(MiB, [1, (1n << 64n) - 1n, MiB, MiB, 2n, 2n]), "cut short"],
    [
      "segments over each other that are larger than the memory together",
      headers(MiB, ...Array.from({ length: 20_000 }, () => row(MiB, 64n, 15n * MiB))),
      "larger than the 16 MiB of memory together",
    ],
    ["an entry point outside", headers(2n * MiB, row(MiB, 1n, 4096n)), "entry point 0x200000 lies outside"],
    [
      "notes without end",
      headers(MiB, row(MiB, 1n, 1n), ...Array.from({ length: 20_000 }, () => [4, 0n, 0n, 0n, 64n, 0n] as const)),
      "1 MiB of notes",
    ],
    [
      "as many headers as can be told",
      changed(headers(MiB, row(MiB, 1n, 1n)), 56, 0xff, 0xff),
      "65535 program headers",
    ],
  ])("%s", async (_, image, message) => {
    const refusal = createBareMachine({ image, memory: MEMORY });
    await expect(refusal).rejects.toThrow(KernelError);
    await expect(refusal).rejects.toThrow(message);
  });

  it("tens of thousands of segments are placed, and what they are told beside them", async () => {
    const rows = Array.from({ length: 60_000 }, (_, k) => row(0x1000n + 8n * BigInt(k), 1n, 4n));
    const machine = await createBareMachine({
      image: headers(0x1000n, ...rows),
      commandLine: "beside",
      memory: MEMORY,
    });
    const info = cpuOf(machine).regLo(RDI);
    expect(info).toBeGreaterThan(0x1000 + 8 * 60_000);
    expect(text(machine, machine.memory.readU32(info + 16))).toBe("image beside");
  });

  it("notes of impossible lengths are passed by", () => {
    for (const [name, size] of [
      [0xffffffff, 4],
      [4, 0xffffffff],
      [0xffffffff, 0xffffffff],
    ] as const) {
      const note = pvhNote(ORG);
      new DataView(note.buffer).setUint32(0, name, true);
      new DataView(note.buffer).setUint32(4, size, true);
      expect(readImage(elf({ bits: 64, code: exit7long, note })).protocol).toBe("elf64");
    }
  });

  it("an entry point in the upper half is exact to the byte", () => {
    const upper = 0xffffffff81000000n;
    const image = headers(upper + 0x123n, [1, 0n, upper, MiB, 64n, 4096n]);
    expect(readImage(image).entry).toBe(0x100123);
  });
});

describe("multiboot (0.6.96, 3.2 and 3.3)", () => {
  const image = multiboot((a) => debugExit(a, 7));

  it("is entered in 32-bit protected mode with flat segments, paging and interrupts off", async () => {
    const cpu = cpuOf(await createBareMachine({ image, memory: MEMORY }));
    expect(cpu.regLo(EAX) >>> 0).toBe(0x2badb002);
    expect([cpu.mode, cpu.cpl, cpu.cr0 & 0x8000_0001, cpu.flags & 0x200, cpu.efer]).toEqual([32, 0, 1, 0, 0]);
    for (const segment of cpu.segments) expect(segment).toMatchObject({ baseLo: 0, limit: 0xffffffff });
  });

  it("tells memory, command line, module and memory map", async () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, k) => k & 0xff);
    const modules = [{ text: "env", bytes }];
    const machine = await createBareMachine({ image, name: "tool", commandLine: "a b", modules, memory: MEMORY });
    const { memory } = machine;
    const info = cpuOf(machine).regLo(EBX);
    const field = (at: number): number => memory.readU32(info + at);
    expect(field(0) & 0b1001001101).toBe(0b1001001101);
    expect([field(4), field(8)]).toEqual([639, 15 * 1024]);
    expect(text(machine, field(16))).toBe("tool a b");
    expect(text(machine, field(64))).toBe("vm");
    expect(field(20)).toBe(1);
    const [start, end, name] = [0, 4, 8].map((at) => memory.readU32(field(24) + at)) as [number, number, number];
    expect([start % 4096, end - start, text(machine, name)]).toEqual([0, 5000, "env"]);
    const copy = new Uint8Array(5000);
    memory.read(start, copy);
    expect(copy).toEqual(bytes);
    const ranges: number[][] = [];
    for (let at = field(48); at < field(48) + field(44); at += memory.readU32(at) + 4)
      ranges.push([memory.readU32(at + 4), memory.readU32(at + 12), memory.readU32(at + 20)]);
    expect(ranges).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0x400, 2],
      [0xe0000, 0x20000, 2],
      [0x100000, 15 << 20, 1],
    ]);
  });

  it("hands over modules in their order, each with its words", async () => {
    const modules = [1, 2, 3].map((k) => ({ text: `m${k} a=${k}`, bytes: new Uint8Array(5000).fill(k) }));
    const machine = await createBareMachine({ image, modules, memory: MEMORY });
    const { memory } = machine;
    const info = cpuOf(machine).regLo(EBX);
    expect(memory.readU32(info + 20)).toBe(3);
    const list = memory.readU32(info + 24);
    modules.forEach((module, k) => {
      const [start, end, name] = [0, 4, 8].map((at) => memory.readU32(list + 16 * k + at)) as [number, number, number];
      expect([start % 4096, end - start, memory.readU8(start), text(machine, name)]).toEqual([
        0,
        5000,
        k + 1,
        module.text,
      ]);
    });
  });

  it("a BIOS's words say where conventional memory ends, and what is behind", async () => {
    const { memory } = await createBareMachine({ image, memory: MEMORY });
    const word = (at: number): number => memory.readU8(at) + 256 * memory.readU8(at + 1);
    expect([word(0x40e), word(0x413), memory.readU8(0x9fc00)]).toEqual([0x9fc0, 639, 1]);
  });

  it("nothing the guest is told lies in the image, wherever that is", async () => {
    const at = 0x8000;
    const low = elf({ bits: 32, code: new Uint8Array(0x90000), address: at, header: multibootHeader() });
    const machine = await createBareMachine({ image: low, memory: MEMORY, commandLine: "x".repeat(3000) });
    const image = new Uint8Array(0x91000);
    machine.memory.read(at, image);
    expect(image.every((byte) => byte === 0)).toBe(true);
    const info = cpuOf(machine).regLo(EBX);
    expect(info === 0 || (info >= at && info < at + 0x91000)).toBe(false);
  });

  it("runs, and its code ends the machine", async () => {
    const machine = await createBareMachine({ image, memory: MEMORY });
    expect(await machine.run()).toEqual({ reason: "debug-exit", code: 7 });
  });
});

describe("PVH (Xen docs/misc/pvh.pandoc)", () => {
  it("is entered in 32-bit protected mode with hvm_start_info in EBX", async () => {
    const image = elf({ bits: 64, code: exit7, note: pvhNote(ORG) });
    const modules = [{ text: "ramdisk", bytes: Uint8Array.of(1, 2, 3) }];
    const machine = await createBareMachine({ image, modules, commandLine: "a b", memory: MEMORY });
    const { memory } = machine;
    const cpu = cpuOf(machine);
    expect([cpu.mode, cpu.cr0 & 0x8000_0001, cpu.tr.limit, cpu.cr4]).toEqual([32, 1, 0x67, 0]);
    const info = cpu.regLo(EBX);
    const field = (at: number): number => memory.readU32(info + at);
    expect([field(0) >>> 0, field(4), field(8), field(12)]).toEqual([0x336ec578, 1, 0, 1]);
    expect(text(machine, field(24))).toBe("a b");
    expect(text(machine, field(32)).startsWith("RSD PTR ")).toBe(true);
    const list = field(16);
    expect([memory.readU8(memory.readU32(list) + 2), memory.readU32(list + 8)]).toEqual([3, 3]);
    expect(text(machine, memory.readU32(list + 16))).toBe("ramdisk");
    expect(field(48)).toBe(4);
    const last = field(40) + 3 * 24;
    expect([0, 8, 16].map((at) => memory.readU32(last + at))).toEqual([0x100000, 15 << 20, 1]);
    expect(await machine.run()).toEqual({ reason: "debug-exit", code: 7 });
  });
});

describe("plain ELF64", () => {
  it("is entered in 64-bit mode with 5 GiB mapped, a stack, and the multiboot information in RDI", async () => {
    const code = assemble(64, (a) => {
      const fail = a.label("fail");
      // The last 2 MiB page below 5 GiB is mapped: nothing is there, so it reads as ones.
      a.emit([0x48, 0xb8, 0xf8, 0xff, 0xff, 0x3f, 1, 0, 0, 0, 0x8b, 0x18]);
      a.cmp(ebx, -1).jne(short(fail));
      a.emit([0x50, 0x58]);
      debugExit(a, 7);
      a.bind(fail);
      debugExit(a, 1);
    });
    const machine = await createBareMachine({ image: elf({ bits: 64, code }), commandLine: "a", memory: MEMORY });
    const cpu = cpuOf(machine);
    expect(cpu.mode).toBe(64);
    expect(cpu.regLo(RSP) % 16).toBe(8);
    expect(text(machine, machine.memory.readU32(cpu.regLo(RDI) + 16))).toBe("image a");
    expect(await machine.run()).toEqual({ reason: "debug-exit", code: 7 });
  });
});

describe("the devices of test programs", () => {
  it("fw_cfg tells processors and memory", async () => {
    const code = assemble(32, (a) => {
      a.emit([0x66, 0xba, 0x10, 0x05, 0x66, 0xb8, 5, 0, 0x66, 0xef, 0x66, 0x42, 0xec]);
      a.emit([0x0f, 0xb6, 0xc0]).mov(dx, 0xf4).out(dx, eax);
    });
    const image = elf({ bits: 32, code, header: multibootHeader() });
    expect(await (await createBareMachine({ image, cpus: 3, memory: MEMORY })).run()).toEqual({
      reason: "debug-exit",
      code: 3,
    });
  });

  it("a byte written to the debug exit is a code as well, and the shutdown port powers off", async () => {
    const byte = multiboot((a) => a.emit([0xb0, 0x21, 0xe6, 0xf4]));
    expect(await (await createBareMachine({ image: byte, memory: MEMORY })).run()).toEqual({
      reason: "debug-exit",
      code: 0x21,
    });
    const shutdown = multiboot((a) => {
      a.emit([0x66, 0xba, 0x00, 0x89]);
      for (const letter of "ShutShutdown") a.emit([0xb0, letter.charCodeAt(0), 0xee]);
    });
    expect(await (await createBareMachine({ image: shutdown, memory: MEMORY })).run()).toEqual({
      reason: "power-off",
      status: null,
    });
  });
});
