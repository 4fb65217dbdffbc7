import { type Assembler, al, ax, ds, eax, ecx, edi, mem, rax, rdi, rsi, short } from "@vm/asm";
import { describe, expect, it } from "vitest";
import type { Machine, MachineExit, MachineOptions } from "../src/index.js";
import { turn } from "../src/turn.js";
import { machineOf, powerOff } from "./guest.js";

const TRAMPOLINE = 0x6_0000;
/** A byte that says that the second processor may end the machine. */
const GO = 0x9_0000;
const WITHHELD = 0x30_0000;

/** Starts the second processor, in real mode, at `second`. */
function startSecond(a: Assembler, second: (a: Assembler) => void): void {
  const [trampoline, after] = [a.label("trampoline"), a.label("after")];
  a.lea(rsi, mem(trampoline)).mov(edi, TRAMPOLINE).mov(ecx, 128).rep().movsb();
  for (const command of [0x4500, 0x4600 | (TRAMPOLINE >> 12)]) {
    a.mov(eax, 0xfee0_0000);
    a.mov(mem(rax, { disp: 0x310, size: 4 }), 1 << 24);
    a.mov(mem(rax, { disp: 0x300, size: 4 }), command);
  }
  a.jmp(after);
  a.bits = 16;
  a.bind(trampoline);
  second(a);
  a.bits = 64;
  a.bind(after);
}

/** Real mode: waits until the byte at `GO` is set, then powers off. */
function endWhenTold(a: Assembler): void {
  a.mov(ax, GO >> 4).mov(ds, ax);
  const wait = a.here("wait");
  // mov al, [0]; test al, al
  a.emit([0xa0, 0, 0, 0x84, 0xc0]).je(short(wait));
  powerOff(a);
}

/** Two processors; the first touches a page that is withheld, and the second ends the machine when it is told. */
async function withExit(options: MachineOptions = {}): Promise<Machine> {
  const machine = await machineOf(
    (a) => {
      startSecond(a, endWhenTold);
      a.mov(edi, WITHHELD).mov(al, mem(rdi, { size: 1 }));
      const self = a.here("self");
      a.jmp(short(self));
    },
    { cpus: 2, ...options },
  );
  machine.memory.withhold(WITHHELD / 4096, 1);
  return machine;
}

/** Resolves when the machine has asked what to do about its exit. */
function asked(machine: Machine, answer: Promise<boolean>): Promise<void> {
  return new Promise((resolve) => {
    machine.exits.on((exit) => {
      if (exit.reason !== "memory-fault") return false;
      resolve();
      return answer;
    });
  });
}

const never = new Promise<boolean>(() => undefined);

describe("an exit whose answer takes its time", () => {
  it("keeps its own processor from running, and no other", async () => {
    const machine = await withExit();
    void asked(machine, never).then(() => machine.memory.writeU8(GO, 1));
    expect((await machine.run()).reason).toBe("power-off");
  });

  it.each(["host", "icount"] as const)("keeps nobody from pausing or stopping the machine (%s)", async (clock) => {
    const machine = await withExit({ clock });
    const exit = asked(machine, never);
    const end = machine.run();
    await exit;
    await machine.pause();
    machine.resume();
    machine.stop();
    expect((await end).reason).toBe("stopped");
  });

  it("that fails ends the machine, not the program", async () => {
    const machine = await withExit();
    const error = new Error("no");
    machine.exits.on(() => Promise.reject(error));
    expect(await machine.run()).toEqual({ reason: "internal-error", vcpu: 0, error });
  });

  it("with icount is not seen by the guest, however long it takes", async () => {
    const ran = async (turns: number): Promise<unknown> => {
      const machine = await withExit({ clock: "icount" });
      machine.exits.on(async (exit) => {
        if (exit.reason !== "memory-fault") return false;
        for (let k = 0; k < turns; k++) await turn();
        machine.memory.release(exit.gfn, 1);
        machine.memory.writeU8(GO, 1);
        return true;
      });
      const { reason } = await machine.run();
      return [reason, machine.clock.now(), ...machine.vcpus.map(({ cpu }) => cpu.retired)];
    };
    expect(await ran(100)).toEqual(await ran(0));
  });

  it("asks the handlers behind it only if it is no", async () => {
    const machine = await withExit();
    const seen: string[] = [];
    machine.exits.on(async () => {
      seen.push("first");
      return false;
    });
    machine.exits.on(() => {
      seen.push("second");
      machine.memory.release(WITHHELD / 4096, 1);
      machine.memory.writeU8(GO, 1);
      return true;
    });
    machine.exits.on(() => {
      seen.push("third");
      return true;
    });
    expect((await machine.run()).reason).toBe("power-off");
    expect(seen).toEqual(["first", "second"]);
  });
});

/** Two processors that do nothing but what leaves generated code; the first ends the machine after a while. */
function costly(options: MachineOptions): Promise<Machine> {
  return machineOf(
    (a) => {
      startSecond(a, (b) => {
        const again = b.here("again");
        b.emit([0x0f, 0xa2]).jmp(short(again));
      });
      a.mov(edi, 20_000);
      const again = a.here("again");
      a.mov(eax, 1).emit([0x0f, 0xa2]).dec(edi).jne(again);
      powerOff(a);
    },
    { cpus: 2, ...options },
  );
}

describe("a guest whose every instruction is dear", () => {
  /** How a machine ran whose event loop wants its turn every `ms`, and how many turns it got. */
  async function run(clock: "host" | "icount", ms: number): Promise<{ ran: unknown; turns: number }> {
    const machine = await costly({ clock });
    machine.attentive(ms);
    let turns = 0;
    let exit: MachineExit | null = null;
    const end = machine.run().then((reason) => {
      exit = reason;
    });
    while (exit === null) {
      await turn();
      turns++;
    }
    await end;
    return { ran: [exit, machine.clock.now(), ...machine.vcpus.map(({ cpu }) => cpu.retired)], turns };
  }

  it.each(["host", "icount"] as const)("leaves the event loop its turns within a slice (%s)", async (clock) => {
    // 20,000 CPUIDs; a look every 16 of them, each of which finds that the event loop wants a turn.
    expect((await run(clock, 0)).turns).toBeGreaterThan(200);
  });

  it("with icount does the same whether its slices are cut or not", async () => {
    expect((await run("icount", 0)).ran).toEqual((await run("icount", 1e9)).ran);
  });
});
