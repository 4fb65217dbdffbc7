import { describe, expect, it } from "vitest";
import { MsrWrites } from "../src/board/msr-writes.js";
import type { VcpuHandle } from "../src/index.js";

/** A processor that writes an MSR, whose memory and turns come when the test says so. */
function setup(mode: "host" | "icount") {
  const log: string[] = [];
  const turns: (() => void)[] = [];
  let retry: (() => void) | null = null;
  const memory = {
    read: () => true,
    write: () => true,
    ready: (gpa: number, size: number, come: () => void) => {
      log.push(`${size} bytes at ${gpa}`);
      retry = come;
      return false;
    },
  };
  const writes = new MsrWrites({
    memory,
    turns: { later: (fn) => void turns.push(fn), begin: () => () => undefined },
    clock: { mode },
  });
  const vcpu = {
    hold: () => {
      log.push("held");
      return () => void log.push("released");
    },
    cpu: { kick: () => void log.push("kicked") },
  } as unknown as VcpuHandle;
  const provider = {
    read: () => 0n,
    write: (_: VcpuHandle, value: bigint) => {
      log.push(`written ${value}`);
      return value !== 3n;
    },
    reaches: (_: VcpuHandle, value: bigint) => (value === 3n ? null : { gpa: 64, size: 8 }),
  };
  const arrive = (): void => {
    retry?.();
    for (const turn of turns.splice(0)) turn();
  };
  return { log, writes, vcpu, provider, arrive };
}

describe("a write of an MSR whose memory has not arrived", () => {
  it("happens when it has, and its processor stands until then", () => {
    const { log, writes, vcpu, provider, arrive } = setup("host");
    expect(writes.write(provider, vcpu, 1n)).toBe(true);
    expect(log).toEqual(["8 bytes at 64", "held", "kicked"]);
    arrive();
    expect(log.slice(3)).toEqual(["released", "written 1"]);
  });

  it("leaves it to the machine to stand still where time is counted", () => {
    const { log, writes, vcpu, provider, arrive } = setup("icount");
    writes.write(provider, vcpu, 1n);
    arrive();
    expect(log).toEqual(["8 bytes at 64", "kicked", "written 1"]);
  });

  it("does not happen behind a reset", () => {
    const { log, writes, vcpu, provider, arrive } = setup("host");
    writes.write(provider, vcpu, 1n);
    writes.reset();
    arrive();
    expect(log.slice(3)).toEqual(["released"]);
  });

  it("is refused at once if its value is", () => {
    const { log, writes, vcpu, provider } = setup("host");
    expect(writes.write(provider, vcpu, 3n)).toBe(false);
    expect(log).toEqual(["written 3"]);
  });
});
