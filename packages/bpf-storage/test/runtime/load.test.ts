import { describe, expect, test } from "vitest";
import { BpfRuntime, type Btf, coreTarget, loadInTurns, loadInto, loadObject } from "../../src/index.js";
import { object } from "./little-kernel.js";

const host = { tasks: { cell: () => 0, live: () => true, fromFd: () => 0 } };
const system = (types: string) => ({
  types: coreTarget(loadObject(object(types)).btf as Btf),
  kconfig: () => undefined,
  symbol: () => undefined,
});

describe("loading an object", () => {
  test("in turns of the event loop gives what loading at once gives", async () => {
    const [once, turns] = [new BpfRuntime({ host }), new BpfRuntime({ host })];
    const whole = loadInto(once, object("recursion"), system("kernel-types"));
    const pieces = await loadInTurns(turns, object("recursion"), system("kernel-types"));
    expect(pieces.programs.map(({ from }) => from.section)).toEqual(whole.programs.map(({ from }) => from.section));
    expect([...pieces.maps.keys()]).toEqual([...whole.maps.keys()]);
  });

  test("that is refused leaves nothing", async () => {
    const runtime = new BpfRuntime({ host });
    loadInto(runtime, object("sums"));
    const [used, maps] = [runtime.arena.used, runtime.maps.size];
    // Its own types are not the kernel's: there is no tracepoint of that name.
    expect(() => loadInto(runtime, object("enter-exit"), system("sums"))).toThrow(/has no/);
    await expect(loadInTurns(runtime, object("enter-exit"), system("sums"))).rejects.toThrow(/has no/);
    expect([runtime.arena.used, runtime.maps.size]).toEqual([used, maps]);
  });
});
