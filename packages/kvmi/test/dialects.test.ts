import { describe, expect, it } from "vitest";
import { DIALECTS, DialectIndex } from "../src/index.js";

const names = (dialect: keyof typeof DIALECTS): Record<string, number> =>
  Object.fromEntries(DIALECTS[dialect].commands.map(({ name, id }) => [name, id]));
const events = (dialect: keyof typeof DIALECTS): Record<string, number> =>
  Object.fromEntries(DIALECTS[dialect].events.map(({ name, id }) => [name, id]));

describe("the tables", () => {
  it.each(Object.values(DIALECTS))("of $name have one command an id, and all ids below the limit", (dialect) => {
    const ids = dialect.commands.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(Math.max(...ids)).toBe(dialect.commandLimit - 1);
    const eventIds = dialect.events.map(({ id }) => id);
    expect(new Set(eventIds).size).toBe(eventIds.length);
    expect(Math.max(...eventIds)).toBe(dialect.eventLimit - 1);
  });

  it("are found by id and by name", () => {
    const index = new DialectIndex(DIALECTS.libkvmi);
    expect(index.command(17)?.name).toBe("readPhysical");
    expect(index.command(12)).toBeUndefined();
    expect(index.commandNamed("controlSinglestep")?.id).toBe(63);
    expect(index.event(6)?.name).toBe("pf");
    expect(index.eventNamed("cpuid")?.id).toBe(13);
  });

  it("libkvmi keeps the numbers of v6 and adds 28 to 63", () => {
    expect(names("libkvmi")).toMatchObject({
      getVersion: 2,
      pause: 7,
      vcpuControlEvents: 9,
      getRegisters: 13,
      readPhysical: 17,
      writePhysical: 18,
      setPageAccess: 21,
      controlCmdResponse: 27,
      getMaxGfn: 29,
      translateGva: 35,
      changeGfn: 60,
      controlSinglestep: 63,
    });
    expect(events("libkvmi")).toMatchObject({ unhook: 0, cr: 1, msr: 2, pf: 6, pause: 10, cmdError: 12, cpuid: 13 });
  });

  it("rfc7 counts from 2 to 23", () => {
    expect(Object.values(names("rfc7")).sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, k) => k + 2));
    expect(names("rfc7")).toMatchObject({ readPhysical: 7, pause: 10, controlMsr: 20, translateGva: 23 });
    expect(events("rfc7")).toMatchObject({ pause: 1, cr: 4, trap: 5, pf: 9, singlestep: 10 });
  });

  it("v12 has even numbers for the VM and odd ones for vCPUs", () => {
    for (const { id, runsOn } of DIALECTS.v12.commands) expect(id % 2).toBe(runsOn === "vm" ? 0 : 1);
    for (const { id, scope } of DIALECTS.v12.events) expect(id % 2).toBe(scope === "vm" ? 0 : 1);
    expect(names("v12")).toMatchObject({ pause: 16, controlCleanup: 18, setPageAccess: 20, translateGva: 29 });
  });

  it("every vCPU command starts with the vCPU header; PAUSE too, except in v12", () => {
    for (const dialect of Object.values(DIALECTS))
      for (const { name, runsOn, vcpuHeader } of dialect.commands)
        expect(vcpuHeader).toBe(runsOn === "vcpu" || (name === "pause" && dialect.name !== "v12"));
  });
});
