import { Errno, type KvmiClient, KvmiError, type KvmiEvent, type LinuxKernel } from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { FunctionTrace } from "../../src/cli/kvmi/functions.js";
import { GuestClock } from "../../src/cli/kvmi/lines.js";

const FUNCTION = 0xffff_ffff_8100_1000n;
const CALLER = 0xffff_ffff_8100_2000n;
const STACK = 0x8000n;

/** A guest whose every word is `word`, and that has a breakpoint wherever one was asked for. */
class Guest {
  readonly breakpoints = new Set<bigint>();
  word = CALLER;
  mapped = true;
  refuses = false;
  readonly client = {
    ask: () => Promise.resolve({ tsc_speed: 1_000_000_000n }),
    registers: () => Promise.resolve({ msrs: new Map([[0x10, 1_500_000_000n]]) }),
    breakpoint: (gva: bigint, on = true) => {
      if (this.refuses) return Promise.reject(new KvmiError("controlCodeBreakpoint", Errno.ENOMEM));
      if (on) this.breakpoints.add(gva);
      else this.breakpoints.delete(gva);
      return Promise.resolve();
    },
    translate: (_: number, gva: bigint) => Promise.resolve(this.mapped ? gva : null),
    readPhysical: (_: bigint, size: number) => {
      const bytes = new DataView(new ArrayBuffer(Math.max(size, 8)));
      bytes.setBigUint64(0, this.word, true);
      return Promise.resolve(new Uint8Array(bytes.buffer, 0, size));
    },
  } as unknown as KvmiClient;

  async trace(returns = true): Promise<FunctionTrace> {
    const kernel = {
      symbols: new Map(),
      symbol: () => 0n,
      types: { member: () => null },
      offset: () => 0,
      prototype: () => null,
    } as unknown as LinuxKernel;
    const trace = new FunctionTrace(this.client, kernel, await GuestClock.of(this.client), returns);
    await trace.watch(FUNCTION, "function");
    return trace;
  }
}

const at = (rip: bigint, rsp = STACK, rax = 0n): KvmiEvent =>
  ({
    name: "breakpoint",
    vcpu: 1,
    state: {
      regs: { rip, rsp, rax, rdi: 1n, rsi: 2n, rdx: 3n },
      sregs: { cs: { selector: 0x10 }, gs: { base: 1n << 63n } },
      msrs: { shadow_gs: 0n },
    },
  }) as unknown as KvmiEvent;
const texts = (lines: readonly { readonly text: string }[]): string[] =>
  lines.map(({ text }) => text.replace(/^.* /, ""));

describe("calls of kernel functions", () => {
  it("are told at once, with the guest's time, if nobody asks for results", async () => {
    const guest = new Guest();
    const trace = await guest.trace(false);
    const [line] = await trace.take(at(FUNCTION));
    expect(line).toMatchObject({
      time: 1.5,
      vcpu: 1,
      text: expect.stringMatching(/ function\(rdi=0x1, rsi=0x2, rdx=0x3, \.\.\.\)$/),
    });
    expect([...guest.breakpoints]).toEqual([FUNCTION]);
  });

  it("are told when they return: to where they came from, with the stack as it was", async () => {
    const guest = new Guest();
    const trace = await guest.trace();
    expect(await trace.take(at(FUNCTION))).toEqual([]);
    expect(await trace.take(at(FUNCTION, STACK - 64n))).toEqual([]);
    expect(guest.breakpoints).toEqual(new Set([FUNCTION, CALLER]));
    expect(await trace.take(at(CALLER, STACK))).toEqual([]);
    expect(texts(await trace.take(at(CALLER, STACK - 56n, 7n)))).toEqual(["0x7"]);
    expect(texts(await trace.take(at(CALLER, STACK + 8n, 8n)))).toEqual(["0x8"]);
    expect(trace.rest()).toEqual([]);
  });

  it("that never return are told when another has their place, or at the end", async () => {
    const trace = await new Guest().trace();
    await trace.take(at(FUNCTION));
    expect(texts(await trace.take(at(FUNCTION)))).toEqual(["?"]);
    expect(texts(trace.rest())).toEqual(["?"]);
  });

  it("whose return cannot be seen are told at once", async () => {
    const guest = new Guest();
    const trace = await guest.trace();
    guest.refuses = true;
    expect(texts(await trace.take(at(FUNCTION)))).toEqual(["?"]);
    guest.refuses = false;
    guest.mapped = false;
    const [line] = await trace.take(at(FUNCTION));
    expect(line?.text).toBe("?[?] function(rdi=0x1, rsi=0x2, rdx=0x3, ...) = ?");
  });

  it("of a guest that invents callers and stacks: both are bounded", async () => {
    const guest = new Guest();
    const trace = await guest.trace();
    for (let k = 0; k < 5000; k++) {
      guest.word = CALLER + BigInt(k);
      await trace.take(at(FUNCTION, STACK + BigInt(8 * k)));
    }
    expect(guest.breakpoints.size).toBe(257);
    expect(guest.breakpoints).toContain(FUNCTION);
    expect(trace.rest().length).toBe(4096);
  });
});
