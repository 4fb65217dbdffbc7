import { type Assembler, al, ax, ds, eax, ecx, edx, type Label, mem, rax, rsp } from "@vm/asm";
import { MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT } from "@vm/async-pf";
import { describe, expect, it } from "vitest";
import { createMachine, type MachineSnapshot, type VcpuHandle } from "../src/index.js";
import type { MachineState } from "../src/machine-state.js";
import { AREA, asyncPfGuest, exit, SEND_ALWAYS, VECTOR, wrmsr } from "./async-pf-guest.js";
import { assemble } from "./bare-images.js";
import {
  CHUNK,
  chunksNow,
  chunksOf,
  LATE_OPTIONS,
  Later,
  lateMachine,
  lateSnapshot,
  standing,
  turns,
  withState,
} from "./late-machine.js";

const LATE = 0x1000000;
const [AREA_CHUNK, LATE_CHUNK] = [AREA / CHUNK, LATE / CHUNK];
/** Late as well, and nobody's concern but a snapshot's. */
const UNUSED_CHUNK = LATE_CHUNK - 1;
const TOKEN = AREA + 4;
const MSR_KVM_SYSTEM_TIME = 0x4b564d01;
const ICR = 0x830;

const once = (enable: number) => asyncPfGuest({ enable, body: (a) => void a.mov(rax, mem(LATE)) });
const exitOf = (faults: number, interrupts: number) => ({ reason: "debug-exit", code: faults | (interrupts << 8) });

/** A guest that touches late memory once, at work: its area has come, and the wake-all. */
async function atTheMiss(enable: number) {
  const source = new Later();
  const machine = await lateMachine(source, [AREA_CHUNK, UNUSED_CHUNK, LATE_CHUNK], { kernel: once(enable) });
  const ended = machine.run();
  await source.arrive(AREA_CHUNK);
  await source.asked(LATE_CHUNK);
  return { source, machine, ended };
}

describe("a machine that is paused", () => {
  it("tells its guest of memory that has come when it goes on", async () => {
    const { source, machine, ended } = await atTheMiss(SEND_ALWAYS);
    await machine.pause();
    await source.arrive(LATE_CHUNK);
    expect(machine.stats().lateMemory?.arrived).toBe(2);
    expect(machine.memory.readU32(TOKEN)).toBe(0);
    machine.resume();
    expect(await ended).toEqual(exitOf(1, 2));
  });

  it("does not wake a processor that it has halted on account of a miss", async () => {
    const { source, machine, ended } = await atTheMiss(0);
    await machine.pause();
    await source.arrive(LATE_CHUNK);
    expect(machine.board.vcpus[0].activity).toBe("hlt");
    machine.resume();
    expect(await ended).toEqual(exitOf(0, 1));
  });

  it("switches nothing on, when the area that the guest named has come", async () => {
    const source = new Later();
    const machine = await lateMachine(source, [AREA_CHUNK, LATE_CHUNK], { kernel: once(SEND_ALWAYS) });
    const ended = machine.run();
    await source.asked(AREA_CHUNK);
    expect(machine.vcpus[0]?.state).toBe("held");
    await machine.pause();
    await source.arrive(AREA_CHUNK);
    expect(machine.save().asyncPf?.vcpus[0]?.enable).toEqual([0, 0]);
    machine.resume();
    source.freely();
    expect(await ended).toEqual(exitOf(1, 2));
  });
});

it("a jump of time does not hurry the memory that a guest waits for", async () => {
  const { source, machine, ended } = await atTheMiss(0);
  const before = machine.clock.now();
  const jump = machine.time.jump(3600);
  jump.catch(() => undefined);
  await turns();
  expect(machine.clock.now() - before).toBeLessThan(1800e9);
  await source.arrive(LATE_CHUNK);
  expect(await ended).toEqual(exitOf(0, 1));
  await expect(jump).rejects.toMatchObject({ code: "state" });
});

/** A snapshot of a machine like these, for what is the same in all. */
const anySnapshot = async (kernel: Uint8Array): Promise<MachineSnapshot> =>
  (await createMachine({ ...LATE_OPTIONS, kernel })).snapshot({ stop: true });

describe("a machine that is saved while memory is on its way (statement 26)", () => {
  it.each([
    ["whose processor is halted", 0, exitOf(0, 1), exitOf(0, 2)],
    ["of which the guest was told", SEND_ALWAYS, exitOf(1, 2), exitOf(2, 3)],
  ])("%s: goes on, and so does the one that was saved", async (_, enable, first, second) => {
    const { source, machine, ended } = await atTheMiss(enable);
    const { state, chunks } = await standing(machine, (vm) => ({ state: vm.save(), chunks: chunksNow(vm, new Map()) }));
    // The guest itself halts when it was told.
    if (enable === 0) expect(state.vcpus[0]?.activity).toBe("active");
    await source.arrive(LATE_CHUNK);
    expect(await ended).toEqual(first);
    const again = new Later((chunk) => chunks.get(chunk) as Uint8Array);
    again.freely();
    const snapshot = lateSnapshot(withState(await anySnapshot(once(enable)), state), chunks, again);
    expect(await (await createMachine({ snapshot, ...engineOf() })).run()).toEqual(second);
  });

  it.each([
    ["whose processor is halted", 0, exitOf(0, 1), exitOf(0, 2)],
    ["of which the guest was told", SEND_ALWAYS, exitOf(1, 2), exitOf(1, 2)],
  ])("%s: a snapshot, for which it comes, leaves no trace and has none of it", async (_, enable, first, second) => {
    const { source, machine, ended } = await atTheMiss(enable);
    const taken = machine.snapshot();
    // It stands still.
    await source.asked(UNUSED_CHUNK);
    source.freely();
    const snapshot = await taken;
    const chunks = chunksOf(snapshot);
    expect(chunks.has(LATE_CHUNK)).toBe(false);
    expect(new DataView((chunks.get(AREA_CHUNK) ?? new Uint8Array(CHUNK)).buffer).getUint32(4, true)).toBe(0);
    if (enable === 0) expect((snapshot.state as MachineState).vcpus[0]?.activity).toBe("active");
    expect(await ended).toEqual(first);
    expect(await (await createMachine({ snapshot, ...engineOf() })).run()).toEqual(second);
  });

  it("waits for the area that the guest is naming", async () => {
    const source = new Later();
    const machine = await lateMachine(source, [AREA_CHUNK], { kernel: once(SEND_ALWAYS) });
    const ended = machine.run();
    await source.asked(AREA_CHUNK);
    const taken = machine.snapshot();
    source.freely();
    const { vcpus } = ((await taken).state as MachineState).asyncPf ?? { vcpus: [] };
    expect(vcpus[0]?.enable).toEqual([AREA | 0b1011, 0]);
    expect(await ended).toEqual(exitOf(0, 1));
  });
});

const engineOf = () => ({ engine: LATE_OPTIONS.engine });

describe("an MSR that reaches memory which has not arrived", () => {
  it.each([
    ["with a reserved bit", 0b011001],
    ["for guests of its own, which it cannot have (statement 28)", 0b001101],
  ])("is refused at its instruction if its value is: asynchronous page faults %s", async (_, bits) => {
    let at: Label;
    const kernel = asyncPfGuest({
      enable: null,
      body: (a) => {
        a.mov(ecx, MSR_KVM_ASYNC_PF_EN)
          .mov(eax, AREA | bits)
          .xor(edx, edx);
        at = a.here("refused");
        a.wrmsr();
      },
      protection: (a) => {
        const elsewhere = a.label("elsewhere");
        a.lea(rax, mem(at))
          .cmp(rax, mem(rsp, { disp: 8 }))
          .jne(elsewhere)
          .mov(eax, 1);
        exit(a);
        a.bind(elsewhere);
      },
    });
    const machine = await lateMachine(new Later(), [AREA_CHUNK], { kernel });
    expect(await machine.run()).toEqual({ reason: "debug-exit", code: 1 });
  });

  it("nothing is offered for guests of a guest, as there are none (statement 28)", async () => {
    const { ports } = (await lateMachine(new Later(), [], {})).board.vcpus[0];
    const [VMX, SVM] = [1 << 5, 1 << 2];
    expect(ports.cpuid.query(1, 0).ecx & VMX).toBe(0);
    expect(ports.cpuid.query(0x80000001, 0).ecx & SVM).toBe(0);
    expect(ports.cpuid.query(0x40000001, 0).eax & ((1 << 4) | (1 << 10) | (1 << 14))).toBe((1 << 4) | (1 << 14));
  });

  const clockGuest = asyncPfGuest({
    enable: null,
    body: (a) => {
      wrmsr(a, MSR_KVM_SYSTEM_TIME, LATE | 1);
      a.mov(eax, mem(LATE));
      exit(a);
    },
  });

  it.each(["host", "icount"] as const)("is written before its processor goes on: KVM's clock, %s", async (clock) => {
    const run = async (late: readonly number[]) => {
      const source = new Later();
      const machine = await lateMachine(source, late, { kernel: clockGuest, kvmClock: true, clock });
      const ended = machine.run();
      if (late.length > 0) await source.asked(LATE_CHUNK);
      await source.arrive(LATE_CHUNK);
      return { end: await ended, instructions: machine.stats().instructions };
    };
    const late = await run([LATE_CHUNK]);
    expect(late.end).toEqual({ reason: "debug-exit", code: 2 });
    expect(late).toEqual(await run([]));
  });
});

/** Words that the processors of {@link started} and the test have in common. */
const [STEP, FOUND] = [0x2000, 0x2004];
const LOW_AREA = 0x3000;
/** Memory that a processor in real mode misses. */
const LOW_LATE = 0x50000;

/** Starts another processor at page `vector`. */
function start(a: Assembler, vector: number): void {
  a.mov(ecx, ICR)
    .mov(edx, 1)
    .mov(eax, 0x4600 | vector)
    .wrmsr();
}

function until(a: Assembler, step: number): void {
  const wait = a.here(`until ${step}`);
  a.pause()
    .cmp(mem(STEP, { size: 4 }), step)
    .jne(wait);
}

/** The first processor: starts the other, and once more behind an INIT, when the test lets it. */
const started = asyncPfGuest({
  enable: null,
  body: (a) => {
    start(a, 0x30);
    until(a, 1);
    a.mov(ecx, ICR).mov(edx, 1).mov(eax, 0x4500).wrmsr();
    until(a, 2);
    start(a, 0x31);
    until(a, 3);
  },
});

/** The second one switches asynchronous page faults on, at first, and misses. */
const first = assemble(
  16,
  (a) => {
    wrmsr(a, MSR_KVM_ASYNC_PF_INT, VECTOR);
    wrmsr(a, MSR_KVM_ASYNC_PF_EN, LOW_AREA | 0b1001);
    a.sti()
      .mov(ax, LOW_LATE >> 4)
      .mov(ds, ax)
      .mov(al, mem(0))
      .hlt();
  },
  0,
);
/** And tells then what is left of that. */
const second = assemble(
  16,
  (a) => {
    for (const [k, msr] of [MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT].entries())
      a.mov(ecx, msr)
        .rdmsr()
        .mov(mem(FOUND + 8 * k), eax)
        .mov(mem(FOUND + 8 * k + 4), edx);
    a.mov(mem(STEP, { size: 4 }), 3)
      .cli()
      .hlt();
  },
  0,
);

it("a processor that gets INIT knows nothing of what it was told, and is not halted on account of it (statement 27)", async () => {
  const source = new Later();
  const machine = await lateMachine(source, [LOW_LATE / CHUNK], { kernel: started, cpus: 2 });
  machine.memory.write(0x30000, first);
  machine.memory.write(0x31000, second);
  machine.memory.write(FOUND, new Uint8Array(16).fill(0xee));
  const other = machine.vcpus[1] as VcpuHandle;
  const ended = machine.run();
  await source.asked(LOW_LATE / CHUNK);
  expect(other.state).toBe("halted");
  expect(machine.save().asyncPf?.vcpus[1]).toMatchObject({ enable: [LOW_AREA | 0b1001, 0], vector: VECTOR });
  machine.memory.writeU32(STEP, 1);
  while (other.state !== "wait-for-sipi") await turns();
  expect(machine.save().vcpus[1]?.activity).toBe("wait-for-sipi");
  await source.arrive(LOW_LATE / CHUNK);
  expect(other.state).toBe("wait-for-sipi");
  machine.memory.writeU32(STEP, 2);
  expect(await ended).toEqual(exitOf(0, 0));
  const found = new Uint8Array(16);
  machine.memory.read(FOUND, found);
  expect(found).toEqual(new Uint8Array(16));
});
