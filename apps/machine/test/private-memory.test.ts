import { type Assembler, eax, ecx, edx, mem, r14, rbp, short } from "@vm/asm";
import { MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK } from "@vm/devices";
import { DIALECTS, Errno, KvmiClient, transportPair } from "@vm/kvmi";
import { ExitFlag, Licence } from "@vm/mmu";
import { describe, expect, it } from "vitest";
import * as L from "../src/layout.js";
import { kvmi } from "../src/plugins/kvmi/plugin.js";
import { LOAD } from "./guest.js";
import { privateMachine } from "./private.js";

const PAGE = 4096;
const RESULT = 0x200000;
/** A queue at the start of a page and its used ring in the next; and a buffer. */
const QUEUE = 0x210000;
const BUFFER = 0x220000;
/** The same, never private. */
const OTHER_QUEUE = 0x230000;
const OTHER_BUFFER = 0x240000;

const BLK = L.VIRTIO;
const RNG = L.VIRTIO + L.VIRTIO_STRIDE;
const [STATUS, INTERRUPT_STATUS] = [0x70, 0x60];
const [DRIVER_OK, NEEDS_RESET] = [0x0f, 0x40];

/** Stores EAX as the next result; R14 points there. */
const keep = (a: Assembler): Assembler => a.mov(mem(r14), eax).add(r14, 4);

const store = (a: Assembler, gpa: number, value: number): Assembler =>
  a.mov(rbp, gpa).mov(mem(rbp, { size: 4 }), value);

const keepRegister = (a: Assembler, gpa: number): Assembler => keep(a.mov(rbp, gpa).mov(eax, mem(rbp)));

/** Resets a device and sets up its queue 0 (virtio 1.2, 3.1). */
function start(a: Assembler, device: number, queue: number): void {
  for (const [register, value] of [
    [STATUS, 0],
    [STATUS, 1],
    [STATUS, 3],
    [0x24, 1],
    [0x20, 1],
    [STATUS, 0x0b],
    [0x30, 0],
    [0x38, 8],
    [0x80, queue],
    [0x90, queue + 0x400],
    [0xa0, queue + PAGE],
    [0x44, 1],
    [STATUS, DRIVER_OK],
  ] as const)
    store(a, device + register, value);
}

/** Offers one chain; a buffer is an address, a length and whether the device writes it. */
function submit(
  a: Assembler,
  device: number,
  queue: number,
  ...buffers: readonly (readonly [number, number, boolean])[]
) {
  buffers.forEach(([gpa, length, write], k) => {
    const more = k < buffers.length - 1;
    store(a, queue + 16 * k, gpa);
    store(a, queue + 16 * k + 8, length);
    store(a, queue + 16 * k + 12, (write ? 2 : 0) | (more ? 1 | ((k + 1) << 16) : 0));
  });
  store(a, queue + 0x404, 0);
  store(a, queue + 0x400, 1 << 16);
  store(a, device + 0x50, 0);
}

/** The first `count` results. */
const results = (memory: { readU32(gpa: number): number }, count: number): number[] =>
  Array.from({ length: count }, (_, k) => memory.readU32(RESULT + 4 * k));

const disk = (read: (sector: number, dst: Uint8Array) => void | Promise<void>) => ({
  sectors: 8,
  readonly: true,
  read,
  write: () => undefined,
  flush: () => undefined,
});

describe("a device that is pointed at private memory", () => {
  it.each([
    ["descriptors and available ring", QUEUE],
    ["used ring", QUEUE + PAGE],
    ["buffer", BUFFER],
  ])("%s: DEVICE_NEEDS_RESET and a configuration interrupt; after a reset it works", async (_what, gpa) => {
    const { machine, hide } = await privateMachine(
      (a) => {
        a.mov(r14, RESULT);
        start(a, RNG, QUEUE);
        submit(a, RNG, QUEUE, [BUFFER, 64, true]);
        keepRegister(a, RNG + STATUS);
        keepRegister(a, RNG + INTERRUPT_STATUS);
        keepRegister(a, QUEUE + PAGE);
        start(a, RNG, OTHER_QUEUE);
        submit(a, RNG, OTHER_QUEUE, [OTHER_BUFFER, 64, true]);
        keepRegister(a, RNG + STATUS);
        keepRegister(a, RNG + INTERRUPT_STATUS);
        keepRegister(a, OTHER_QUEUE + PAGE);
      },
      { disks: [disk(() => undefined)] },
    );
    await hide(gpa);
    expect(await machine.run()).toEqual({ reason: "power-off", status: null });
    expect(results(machine.memory, 6)).toEqual([DRIVER_OK | NEEDS_RESET, 2, 0, DRIVER_OK, 1, 1 << 16]);
    const random = new Uint8Array(64);
    machine.memory.read(OTHER_BUFFER, random);
    expect(new Set(random).size).toBeGreaterThan(16);
  });

  it("a buffer that becomes private while the disk is at it: the same, and the program goes on", async () => {
    let landed = (): void => undefined;
    const reading = new Promise<void>((resolve) => {
      landed = resolve;
    });
    let finish = (): void => undefined;
    const { machine, hide } = await privateMachine(
      (a) => {
        const wait = a.label("wait");
        a.mov(r14, RESULT);
        start(a, BLK, QUEUE);
        submit(a, BLK, QUEUE, [OTHER_BUFFER, 16, false], [BUFFER, 512, true], [OTHER_BUFFER + 16, 1, true]);
        a.mov(rbp, BLK + INTERRUPT_STATUS);
        a.bind(wait).mov(eax, mem(rbp)).test(eax, eax).jz(short(wait));
        keep(a);
        keepRegister(a, BLK + STATUS);
        keepRegister(a, QUEUE + PAGE);
      },
      {
        disks: [
          disk((_sector, dst) => {
            landed();
            dst.fill(7);
            return new Promise((resolve) => {
              finish = resolve;
            });
          }),
        ],
      },
    );
    const ended = machine.run();
    await reading;
    await hide(BUFFER);
    finish();
    expect(await ended).toEqual({ reason: "power-off", status: null });
    expect(results(machine.memory, 3)).toEqual([2, DRIVER_OK | NEEDS_RESET, 0]);
  });

  it("KVM's clock there is not written, and the guest goes on", async () => {
    const at = (msr: number, gpa: number) => (a: Assembler) => a.mov(ecx, msr).mov(eax, gpa).mov(edx, 0).wrmsr();
    const { machine, hide } = await privateMachine(
      (a) => {
        a.mov(r14, RESULT);
        at(MSR_KVM_SYSTEM_TIME, BUFFER | 1)(a);
        at(MSR_KVM_WALL_CLOCK, BUFFER + 64)(a);
        keepRegister(a, BUFFER);
        keepRegister(a, BUFFER + 64);
        at(MSR_KVM_SYSTEM_TIME, OTHER_BUFFER | 1)(a);
        keepRegister(a, OTHER_BUFFER);
      },
      { kvmClock: true },
    );
    await hide(BUFFER);
    expect(await machine.run()).toEqual({ reason: "power-off", status: null });
    const [systemTime, wallClock, version] = results(machine.memory, 3);
    expect([systemTime, wallClock]).toEqual([0, 0]);
    expect(version).toBeGreaterThan(0);
  });
});

describe("a guest", () => {
  it("runs with page tables and code in private memory", async () => {
    const { machine, hide } = await privateMachine((a) => {
      a.mov(r14, RESULT).mov(eax, 5);
      keep(a);
    });
    await hide(LOAD, ...Array.from({ length: 6 }, (_, k) => L.BOOT_PAGE_TABLES + k * PAGE));
    expect(await machine.run()).toEqual({ reason: "power-off", status: null });
    expect(results(machine.memory, 1)).toEqual([5]);
  });

  it("whose page tables are shared where its address means private memory ends by memory-fault", async () => {
    const external = {
      linkSpt: () => null,
      setSpte: () => null,
      removeSpte: () => undefined,
      freeSpt: () => undefined,
    };
    const { machine } = await privateMachine((a) => a.hlt(), {}, { external, sharedFrom: 2 ** 27 });
    const access = Licence.Read | ExitFlag.Private | ExitFlag.Absent;
    const gfn = L.BOOT_PAGE_TABLES / PAGE;
    expect(await machine.run()).toEqual({ reason: "memory-fault", vcpu: 0, gfn, access });
  });
});

it("a machine whose external page tables are always busy can be paused and stopped", async () => {
  let asked = 0;
  const linkSpt = (): "EBUSY" => {
    asked++;
    return "EBUSY";
  };
  const external = { linkSpt, setSpte: () => null, removeSpte: () => undefined, freeSpt: () => undefined };
  const { machine, hide } = await privateMachine((a) => a.hlt(), {}, { external, sharedFrom: 2 ** 27 });
  await hide(L.BOOT_PAGE_TABLES);
  const ended = machine.run();
  await machine.pause();
  expect(asked).toBeGreaterThan(0);
  expect([machine.ended, machine.stats().instructions]).toEqual([null, 0]);
  machine.resume();
  machine.stop();
  expect(await ended).toEqual({ reason: "stopped" });
});

describe("introspection of private memory", () => {
  const GO = 0x250000;

  async function introspected(write: (a: Assembler) => void) {
    const [near, far] = transportPair();
    const plugins = [kvmi({ open: () => far, dialect: "libkvmi", name: "test" })];
    const guest = await privateMachine(
      (a) => {
        const wait = a.label("wait");
        a.mov(rbp, GO).bind(wait).mov(eax, mem(rbp)).test(eax, eax).jz(short(wait));
        a.mov(r14, RESULT);
        write(a);
      },
      { plugins },
    );
    const client = await KvmiClient.accept(near, { dialect: DIALECTS.libkvmi });
    const ended = guest.machine.run();
    return { ...guest, client, ended, go: () => client.writePhysical(GO, Uint8Array.of(1)) };
  }

  it("READ_PHYSICAL and WRITE_PHYSICAL answer ENOENT, and change nothing", async () => {
    const { client, hide, go, ended, machine } = await introspected((a) => void keepRegister(a, BUFFER));
    await client.writePhysical(BUFFER, Uint8Array.of(1, 2, 3, 4));
    await hide(BUFFER);
    await expect(client.readPhysical(BUFFER, 4)).rejects.toMatchObject({ errno: Errno.ENOENT });
    await expect(client.writePhysical(BUFFER, Uint8Array.of(9))).rejects.toMatchObject({ errno: Errno.ENOENT });
    expect(await client.readPhysical(BUFFER + PAGE, 1)).toEqual(Uint8Array.of(0));
    await go();
    expect(await ended).toEqual({ reason: "power-off", status: null });
    expect(results(machine.memory, 1)).toEqual([0x04030201]);
  });

  it("a page fault event there can be answered, with bytes to be shown instead too: they are not", async () => {
    const { client, hide, go, ended, machine } = await introspected((a) => void keepRegister(a, BUFFER));
    await client.writePhysical(BUFFER, Uint8Array.of(1, 2, 3, 4));
    await hide(BUFFER);
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[BUFFER, 0]]));
    await go();
    const { value: event } = await client.events.next();
    expect(event?.name).toBe("pf");
    event?.reply({ context: { address: BigInt(BUFFER), data: Uint8Array.of(9, 9) } });
    expect(await ended).toEqual({ reason: "power-off", status: null });
    expect(results(machine.memory, 1)).toEqual([0x04030201]);
  });
});
