import { gzipSync } from "node:zlib";
import { Assembler, eax, short } from "@vm/asm";
import { DEFAULT_CPUID, withFeatures } from "@vm/cpu";
import { describe, expect, it } from "vitest";
import { BootError, createMachine, KernelError, type Machine, type MachineOptions } from "../src/index.js";
import { elfKernel, powerOff } from "./guest.js";

const MEMORY = 32 << 20;
const LOAD = 0x200000;
const ENTRY_64 = 0x200;
const XLF_KERNEL_64 = 1;
const XLF_5LEVEL = 3 << 5;

interface Image {
  /** Protocol; default 2.15. */
  readonly version?: number;
  readonly xloadflags?: number;
  /** What is loaded above 1 MiB; default: code that powers off, at both entries. */
  readonly code?: Uint8Array;
  readonly payload?: Uint8Array;
  /** The unpacked size that is told. */
  readonly unpacked?: number;
  readonly initrdMax?: number;
  readonly commandLineMax?: number;
  readonly initSize?: number;
  readonly load?: number;
}

/** A bzImage of one setup sector (boot.rst, "The Real-Mode Kernel Header"). */
function bzImage(image: Image = {}): Uint8Array {
  const { xloadflags = XLF_KERNEL_64, code = entries(powerOff, powerOff), payload, load = LOAD } = image;
  const trailer = payload === undefined ? 0 : payload.length + 4;
  const file = new Uint8Array(1024 + code.length + trailer);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, image.version ?? 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x214, 0x100000, true);
  view.setUint32(0x22c, image.initrdMax ?? 0x7fffffff, true);
  view.setUint32(0x230, 0x200000, true);
  view.setUint8(0x234, 1);
  view.setUint16(0x236, xloadflags, true);
  view.setUint32(0x238, image.commandLineMax ?? 2047, true);
  view.setUint32(0x248, code.length, true);
  view.setUint32(0x24c, trailer, true);
  view.setUint32(0x258, load, true);
  view.setUint32(0x260, image.initSize ?? 0x10000, true);
  file.set(code, 1024);
  if (payload !== undefined) {
    file.set(payload, 1024 + code.length);
    view.setUint32(file.length - 4, image.unpacked ?? 0, true);
  }
  return file;
}

type Write = (a: Assembler) => void;

/** Code with a 32-bit entry at its start and a 64-bit one 0x200 bytes in. */
function entries(write32: Write, write64: Write, load = LOAD): Uint8Array {
  const [a, b] = [new Assembler({ org: load }), new Assembler({ org: load + ENTRY_64 })];
  a.bits = 32;
  write32(a);
  write64(b);
  const code = new Uint8Array(ENTRY_64 + 0x200);
  code.set(a.assemble());
  code.set(b.assemble(), ENTRY_64);
  return code;
}

const crash: Write = (a) => a.ud2();
const boot = (kernel: Uint8Array, options: MachineOptions = {}): Promise<Machine> =>
  createMachine({ kernel, memory: MEMORY, ...options });
const runOf = async (machine: Promise<Machine>) => (await (await machine).run()).reason;
const cpuOf = (machine: Machine) => (machine.vcpus[0] as Machine["vcpus"][number]).cpu;

/** Powers off if the zero page at RSI has the setup header's magic and its own address in code32_start. */
const checked =
  (load: number): Write =>
  (a) => {
    const wrong = a.label("wrong");
    a.emit([0x8b, 0x86, 0x02, 0x02, 0, 0]);
    a.cmp(eax, 0x53726448).jne(short(wrong));
    a.emit([0x8b, 0x86, 0x14, 0x02, 0, 0]);
    a.cmp(eax, load).jne(short(wrong));
    powerOff(a);
    a.bind(wrong).ud2();
  };

describe("a bzImage that the guest unpacks", () => {
  it("is entered in 64-bit mode 0x200 bytes behind where it wants to be, with the zero page in RSI", async () => {
    const machine = await boot(bzImage({ code: entries(crash, checked(LOAD)) }), { unpack: "guest" });
    expect(cpuOf(machine).mode).toBe(64);
    expect((await machine.run()).reason).toBe("power-off");
  });

  it("is entered at its start in 32-bit mode if it has no 64-bit entry, or a protocol before 2.12", async () => {
    for (const image of [{ xloadflags: 0 }, { version: 0x20a }]) {
      const machine = await boot(bzImage({ ...image, code: entries(checked(LOAD), crash) }));
      expect([cpuOf(machine).mode, cpuOf(machine).cr0 & 0x8000_0001]).toEqual([32, 1]);
      expect((await machine.run()).reason).toBe("power-off");
    }
  });

  it("is loaded at 1 MiB if its protocol knows no preferred address", async () => {
    const code = entries(checked(0x100000), crash, 0x100000);
    expect(await runOf(boot(bzImage({ version: 0x204, code })))).toBe("power-off");
    expect(await runOf(boot(bzImage({ version: 0x207, code })))).toBe("power-off");
    // What later protocols keep in the header is anything in an older one.
    const old = bzImage({ version: 0x207, code });
    old.fill(0xff, 0x248, 0x264);
    expect(await runOf(boot(old))).toBe("power-off");
  });

  it("may be a small program without anything to unpack, which gets the devices of old PCs", async () => {
    const machine = await boot(bzImage());
    expect(machine.devices.ports.read(0x21, 1)).toBe(0);
    const linux = await boot(elfKernel(powerOff));
    expect(linux.devices.ports.read(0x21, 1)).toBe(0xff);
  });

  it("needs as much memory as it says (init_size), and its ram disk lies above that", async () => {
    await expect(boot(bzImage({ initSize: MEMORY }), { unpack: "guest" })).rejects.toThrow("memory are too little");
    const initrd = new Uint8Array(20 << 20);
    const machine = await boot(bzImage({ initSize: 8 << 20 }), { initrd });
    expect(machine.memory.readU32(0x7218)).toBe(12 << 20);
    await expect(boot(bzImage({ initSize: 13 << 20 }), { initrd })).rejects.toThrow(BootError);
  });

  it("keeps its ram disk below the address it names", async () => {
    const initrd = new Uint8Array(4096);
    expect((await boot(bzImage({ initrdMax: 0xffffff }), { initrd })).memory.readU32(0x7218)).toBe(0xfff000);
    await expect(boot(bzImage({ initrdMax: 0x1fffff }), { initrd })).rejects.toThrow("above 0x1fffff");
  });

  it("is refused if its header ends before what every protocol has", async () => {
    const short = bzImage();
    short[0x201] = 0x10;
    await expect(boot(short)).rejects.toThrow("its setup header ends at 0x212");
  });

  it("is refused as a zImage, or if it wants to be where there is no memory", async () => {
    const zImage = bzImage();
    zImage[0x211] = 0;
    await expect(boot(zImage)).rejects.toThrow("it is a zImage");
    await expect(boot(bzImage({ load: 0x1000 }))).rejects.toThrow("below 1 MiB");
    await expect(boot(bzImage({ load: 0xfff00000 }))).rejects.toThrow("memory are too little");
  });
});

describe("who unpacks", () => {
  const vmlinux = elfKernel(powerOff);
  const code = entries(crash, crash);
  const linux = (payload: Uint8Array, unpacked: number): Uint8Array => bzImage({ code, payload, unpacked });

  it("auto: the host what it can, the guest the rest", async () => {
    expect(await runOf(boot(linux(gzipSync(vmlinux), vmlinux.length)))).toBe("power-off");
    for (const [payload, size] of [
      [Uint8Array.of(0x5d, 0, 0, 0, 4, ...new Uint8Array(20)), 100],
      [Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, ...new Uint8Array(20)), 100],
      [new TextEncoder().encode("BZh9 and so on"), 100],
      [gzipSync(new Uint8Array(100)), 100],
    ] as const) {
      const own = bzImage({ payload, unpacked: size });
      expect(await runOf(boot(own))).toBe("power-off");
      await expect(boot(own, { unpack: "host" })).rejects.toThrow(KernelError);
    }
  });

  it("host: an image that only its own code can unpack is refused", async () => {
    await expect(boot(bzImage(), { unpack: "host" })).rejects.toThrow("no compressed payload");
    await expect(boot(bzImage({ xloadflags: 0 }), { unpack: "host" })).rejects.toThrow("no 64-bit entry");
  });

  it("damage is no reason to let the guest try", async () => {
    const packed = gzipSync(vmlinux);
    packed.fill(0, 20, 40);
    await expect(boot(linux(packed, vmlinux.length))).rejects.toThrow("gzip payload is damaged");
    await expect(boot(linux(gzipSync(vmlinux), MEMORY + 1))).rejects.toThrow("more than the 32 MiB of memory");
  });
});

describe("5-level paging", () => {
  const cpuid = withFeatures(DEFAULT_CPUID, "+la57");
  const CR4_LA57 = 1 << 12;
  const vmlinux = elfKernel(powerOff);
  const image = (xloadflags: number): Uint8Array =>
    bzImage({ xloadflags, payload: gzipSync(vmlinux), unpacked: vmlinux.length });
  const levels = async (kernel: Uint8Array, options: MachineOptions): Promise<number> => {
    const machine = await boot(kernel, options);
    const five = (cpuOf(machine).cr4 & CR4_LA57) !== 0;
    expect((await machine.run()).reason).toBe("power-off");
    return five ? 5 : 4;
  };

  it("a kernel unpacked by the host that knows it is entered with it, where the processor has it", async () => {
    const kernel = image(XLF_KERNEL_64 | XLF_5LEVEL);
    expect(await levels(kernel, { cpuid })).toBe(5);
    expect(await levels(kernel, {})).toBe(4);
  });

  it("one that does not know it, is told no, or turns it on itself is entered with 4 levels", async () => {
    expect(await levels(image(XLF_KERNEL_64), { cpuid })).toBe(4);
    expect(await levels(image(XLF_KERNEL_64 | XLF_5LEVEL), { cpuid, commandLine: "quiet no5lvl" })).toBe(4);
    expect(await levels(image(XLF_KERNEL_64 | XLF_5LEVEL), { cpuid, unpack: "guest" })).toBe(4);
  });
});

describe("the command line", () => {
  it("has as many bytes as the kernel says, at most as many as there is room for", async () => {
    const { length } =
      "console=ttyS0 reboot=a panic=-1 cryptomgr.notests tsc=reliable no_timer_check random.trust_cpu=on ";
    const withLine = (commandLineMax: number, bytes: number) =>
      boot(bzImage({ commandLineMax }), { commandLine: "x".repeat(bytes - length) });
    await withLine(4000, 4000);
    await expect(withLine(4000, 4001)).rejects.toThrow("has 4001 bytes; at most 4000 are possible");
    await expect(withLine(150, 151)).rejects.toThrow("at most 150");
    await withLine(0xffffffff, 523_263);
    await expect(withLine(0xffffffff, 523_264)).rejects.toThrow(BootError);
  });

  it("holds no zero", async () => {
    await expect(boot(bzImage(), { commandLine: "quiet\0splash" })).rejects.toThrow("holds a zero");
  });

  it("is counted in bytes, not characters", async () => {
    const commandLine = "ä".repeat(1000);
    await expect(boot(bzImage(), { commandLine })).rejects.toThrow("has 2098 bytes; at most 2047");
  });

  it("nosmp, noapic, nolapic and acpi=off get the devices that are left to the kernel then", async () => {
    for (const word of ["nosmp", "noapic", "nolapic", "acpi=off"]) {
      const machine = await boot(elfKernel(powerOff), { commandLine: `quiet ${word}` });
      expect(machine.devices.ports.read(0x21, 1), word).toBe(0);
    }
    const disk = {
      sectors: 1,
      readonly: true,
      read: async () => undefined,
      write: async () => undefined,
      flush: async () => undefined,
    };
    await expect(boot(elfKernel(powerOff), { commandLine: "acpi=off", disks: [disk] })).rejects.toThrow(BootError);
    const without = await boot(elfKernel(powerOff), { commandLine: "nosmp", legacyDevices: false });
    expect(without.devices.ports.read(0x21, 1)).toBe(0xff);
  });
});
