import { describe, expect, it } from "vitest";
import { DIALECTS, type DialectName } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { bytes, le, RawTool, settled } from "./raw-tool.js";

/** A machine whose memory comes when the test says so. */
class LateVm extends FakeVm {
  readonly #waiting: (() => void)[] = [];
  #here = false;
  #lost = false;

  ready(_gpa: number, _size: number, retry: () => void): boolean {
    if (!this.#here) this.#waiting.push(retry);
    return this.#here;
  }

  /** @param lost it cannot be had */
  arrive(lost = false): void {
    this.#here = !lost;
    this.#lost = lost;
    for (const retry of this.#waiting.splice(0)) retry();
  }

  override readPhysical(gpa: number, out: Uint8Array): boolean {
    if (!this.#here) throw new Error(this.#lost ? "the backend is gone" : "it has not arrived");
    return super.readPhysical(gpa, out);
  }
}

const range = (dialect: DialectName, gpa: number, size: number): Uint8Array =>
  bytes(le(8, gpa), dialect === "v12" ? bytes(le(2, size), new Uint8Array(6)) : le(8, size));

describe.each(Object.keys(DIALECTS) as DialectName[])("memory that has not arrived (%s)", (dialect) => {
  it("READ_PHYSICAL and WRITE_PHYSICAL wait for it, and what comes behind them does as well", async () => {
    const vm = new LateVm();
    const tool = await RawTool.hooked(dialect, {}, vm);
    const writing = tool.send(tool.id("writePhysical"), bytes(range(dialect, 0x1000, 2), [5, 6]));
    const reading = tool.send(tool.id("readPhysical"), range(dialect, 0x1000, 2));
    const last = tool.send(tool.id("getInfo"));
    const replies: number[] = [];
    const all = (async () => {
      for (let k = 0; k < 3; k++) {
        const { seq, err, data } = await tool.reply();
        expect(err).toBe(0);
        if (seq === reading) expect(data).toEqual(Uint8Array.of(5, 6));
        replies.push(seq);
      }
    })();
    await settled();
    expect(replies).toEqual([]);
    expect(vm.memory[0x1000]).toBe(0);
    vm.arrive();
    await all;
    expect(replies).toEqual([writing, reading, last]);
  });

  it("one that cannot be had ends the connection, and says why", async () => {
    const vm = new LateVm();
    const tool = await RawTool.hooked(dialect, {}, vm);
    tool.send(tool.id("readPhysical"), range(dialect, 0x1000, 2));
    await settled();
    vm.arrive(true);
    await tool.served;
    expect(tool.log.join("\n")).toContain("the backend is gone");
  });

  it("one that comes when the machine has hung up changes nothing", async () => {
    const vm = new LateVm();
    const tool = await RawTool.hooked(dialect, {}, vm);
    tool.send(tool.id("writePhysical"), bytes(range(dialect, 0x1000, 2), [5, 6]));
    await settled();
    tool.server.disconnect();
    await tool.served;
    vm.arrive();
    expect(vm.memory[0x1000]).toBe(0);
  });
});
