import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decompress as decompressPaced } from "../src/boot/decompress.js";
import { readKernel as readKernelPaced } from "../src/boot/kernel.js";
import { createMachine, KernelError, type Unpack } from "../src/index.js";
import { Pace } from "../src/pace.js";
import { elfKernel, LOAD, machineOf, powerOff } from "./guest.js";

const elf = elfKernel(powerOff);
const readKernel = (file: Uint8Array, unpack: Unpack = "host") =>
  readKernelPaced(file, { unpack, ram: 16 << 20, pace: new Pace() });
const decompress = (data: Uint8Array, size: number) => decompressPaced(data, size, new Pace());

/** A bzImage around `payload`: two sectors, setup header of protocol 2.15. */
function bzImage(payload: Uint8Array, unpacked: number): Uint8Array {
  const file = new Uint8Array(1024 + payload.length + 4);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fffffff, true);
  view.setUint16(0x236, 1, true);
  view.setUint32(0x24c, payload.length + 4, true);
  file.set(payload, 1024);
  view.setUint32(1024 + payload.length, unpacked, true);
  return file;
}

const changed = (file: Uint8Array, at: number, ...bytes: number[]): Uint8Array => {
  const copy = file.slice();
  copy.set(bytes, at);
  return copy;
};

describe("readKernel", () => {
  it("takes an ELF kernel as it is: its segments, its entry, no setup header", async () => {
    const { segments, entry, setupHeader } = await readKernel(elf);
    expect(segments).toEqual([{ address: LOAD, bytes: elf.subarray(128), size: elf.length - 128 + 4096 }]);
    expect(entry).toBe(LOAD);
    expect(setupHeader).toBeNull();
  });

  it("unpacks a bzImage and keeps its setup header", async () => {
    const kernel = await readKernel(bzImage(gzipSync(elf), elf.length));
    expect(kernel.entry).toBe(LOAD);
    expect(kernel.setupHeader?.length).toBe(0x202 + 0x6a - 0x1f1);
    expect(kernel.initrdMax).toBe(0x7fffffff);
  });

  it("translates an entry point that is a virtual address by its segment", async () => {
    const high = changed(changed(elf, 27, 0x80), 83, 0x80);
    expect((await readKernel(high)).entry).toBe(LOAD);
  });

  const image = bzImage(gzipSync(elf), elf.length);
  it.each([
    ["text", new TextEncoder().encode("#!/bin/sh\n".repeat(100)), /neither a Linux bzImage nor an x86-64 ELF kernel/],
    ["an empty file", new Uint8Array(0), /neither/],
    ["a bzImage cut short", image.subarray(0, image.length - 8), /cut short: \d+ bytes of at least \d+/],
    ["a zImage", changed(image, 0x211, 0), /zImage/],
    ["an old boot protocol, which does not tell of a payload", changed(image, 0x206, 0x04, 0x02), /no 64-bit entry/],
    ["a 32-bit kernel", changed(image, 0x236, 0), /no 64-bit entry/],
    ["an unknown compression", changed(image, 1024, 0xab), /format other than lz4, zstd, xz, gzip/],
    ["a damaged payload", changed(image, 1040, 1, 2, 3, 4, 5, 6), /gzip payload is damaged/],
    ["too large an unpacked size", bzImage(gzipSync(elf), elf.length + 1), /unpacks to \d+ bytes instead of/],
    ["too small an unpacked size", bzImage(gzipSync(elf), elf.length - 1), /unpacks to more than the \d+ bytes/],
    ["an unpacked size larger than the memory", bzImage(gzipSync(elf), 17 << 20), /17 MiB, more than the 16 MiB/],
    ["a payload of no bytes", changed(image, 0x24c, 4, 0, 0, 0), /holds nothing/],
    ["a payload that is no ELF", bzImage(gzipSync(new Uint8Array(200)), 200), /not an ELF/],
    ["an ELF for AArch64", changed(elf, 18, 183), /another processor/],
    ["a 32-bit ELF", changed(elf, 4, 1), /another processor/],
    ["an ELF cut short", elf.subarray(0, 130), /cut short/],
    ["an ELF header alone", elf.subarray(0, 40), /cut short/],
    ["an ELF without segments", changed(elf, 64, 4), /nothing to load/],
    ["a program", changed(elf, 64, 3), /a program|ELF program/],
  ])("refuses %s", async (_, file, message) => {
    const refusal = readKernel(file);
    await expect(refusal).rejects.toThrow(KernelError);
    await expect(refusal).rejects.toThrow(message);
  });
});

describe("decompress", () => {
  /** What the compressed texts below say: made by lz4 -l, zstd and xz --check=crc32. */
  const plain = Uint8Array.from({ length: 512 }, (_, k) => (((k % 64) ** 2) >> 3) & 0xff);
  const packed = {
    lz4: "AiFMGEwAAAD/MQAAAAECAwQGCAoMDxIVGBwgJCgtMjc8QkhOVFtiaXB4gIiQmaKrtL7I0tzn8v0IFCAsOEVSX2x6iJaks8LR4PBAAP+pULPC0eDw",
    zstd: "KLUv/WAAAU0CAAQEAAAAAQIDBAYICgwPEhUYHCAkKC0yNzxCSE5UW2JpcHiAiJCZoqu0vsjS3Ofy/QgUICw4RVJfbHqIlqSzwtHg8AEAQO+ghig=",
    xz: "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AH/AEtdAABn/qBOr++dSKrVDBBc9D5dj4ion/Iqz9tpyMJ/qa5IK4zAEmUWfMXqWVMpr02TVwx2X8mhA8KV0hwh06xzTxbGYrxx2rGJsjsAAAAAjN1MoQABY4AEAAAA7I6xcz4wDYsCAAAAAAFZWg==",
  };
  it.each(Object.entries(packed))("unpacks %s", async (_, text) => {
    expect(await decompress(Buffer.from(text, "base64"), plain.length)).toEqual(plain);
  });

  it.each(Object.entries(packed))("refuses %s that is cut short", async (_, text) => {
    await expect(decompress(Buffer.from(text, "base64").subarray(0, 60), plain.length)).rejects.toThrow(KernelError);
  });

  it("passes an ELF that is not compressed", async () => {
    expect(await decompress(elf, elf.length)).toBe(elf);
  });
});

describe("loading", () => {
  it("gives the guest the zero page, the command line and the ram disk (boot.rst)", async () => {
    const initrd = Uint8Array.from({ length: 5000 }, (_, k) => k & 0xff);
    const machine = await machineOf(powerOff, { initrd, commandLine: "last" });
    const { memory } = machine;
    const zero = 0x7000;
    expect(memory.readU32(zero + 0x202)).toBe(0x53726448);
    expect(memory.readU8(zero + 0x210)).toBe(0xff);
    const at = memory.readU32(zero + 0x218);
    expect(at % 4096).toBe(0);
    const copy = new Uint8Array(initrd.length);
    memory.read(at, copy);
    expect(copy).toEqual(initrd);
    expect(memory.readU32(zero + 0x21c)).toBe(initrd.length);
    const line = new Uint8Array(200);
    memory.read(memory.readU32(zero + 0x228), line);
    expect(new TextDecoder().decode(line)).toMatch(/^console=ttyS0 .* last\0/);
    expect(memory.readU8(zero + 0x1e8)).toBe(4);
    const rsdp = new Uint8Array(8);
    memory.read(memory.readU32(zero + 0x70), rsdp);
    expect(new TextDecoder().decode(rsdp)).toBe("RSD PTR ");
  });

  it("says how much memory kernel and ram disk need", async () => {
    const initrd = new Uint8Array(20 << 20);
    await expect(machineOf(powerOff, { initrd })).rejects.toThrow("16 MiB of memory are too little");
  });

  it("refuses a command line longer than the kernel takes", async () => {
    await expect(createMachine({ memory: 16 << 20, commandLine: "x".repeat(2047) })).rejects.toThrow("at most 2047");
  });

  it("refuses a kernel below 1 MiB", async () => {
    const low = changed(elf, 88, 0, 0, 0);
    await expect(createMachine({ memory: 16 << 20, kernel: low })).rejects.toThrow(KernelError);
  });
});
