import { afterEach, describe, expect, it } from "vitest";
import { builtinGuest, ValueError } from "../src/index.js";
import { decode } from "./iced.js";
import { hasQemu, QemuRun } from "./qemu.js";

describe("builtinGuest()", () => {
  it("is a few KiB at 1 MiB, entered at its first byte with interrupts turned off", () => {
    const { image, loadAddress, entry, end } = builtinGuest();
    expect(loadAddress).toBe(0x10_0000);
    expect(entry).toBe(loadAddress);
    expect(decode(image, 64).mnemonic).toBe("cli");
    expect(image.length).toBeGreaterThan(2048);
    expect(image.length).toBeLessThan(8192);
    expect(end).toBeGreaterThan(loadAddress + image.length);
  });

  it("is the same bytes every time", () => {
    expect(builtinGuest().image).toEqual(builtinGuest().image);
  });

  it("holds the ports it is given", () => {
    const withPort = (image: Uint8Array, low: number): boolean =>
      Buffer.from(image).includes(Buffer.from([0x66, 0xba, low, 0xb0]));
    expect(withPort(builtinGuest({ sleepPort: 0xb0cd }).image, 0xcd)).toBe(true);
    expect(withPort(builtinGuest().image, 0xcd)).toBe(false);
  });

  it.each([
    { loadAddress: 0x1001 },
    { loadAddress: 0x1_0800 },
    { loadAddress: 2 ** 31 },
    { sleepPort: 0x1_0000 },
    { sleepValue: 256 },
    { statusPort: -1 },
    { apicHz: 0.5 },
    { tscHz: 1e12 },
    { timerHz: 0 },
  ])("refuses %o", (options) => {
    expect(() => builtinGuest(options)).toThrow(ValueError);
  });
});

describe.skipIf(!hasQemu)("the built-in guest under QEMU", () => {
  let run: QemuRun | undefined;
  afterEach(() => run?.kill());

  it("runs its monitor", async () => {
    run = new QemuRun(builtinGuest(), "");
    await run.waitFor("Built-in guest");
    await run.waitFor("\nvm> ");
    expect(await run.type("help\r")).toContain("provoke a page fault and survive it");

    const ticks = async (): Promise<number> =>
      Number(/(\d+) timer interrupts/.exec((await run?.type("ticks\r")) ?? "")?.[1]);
    const before = await ticks();
    let after = before;
    while (after === before) after = await ticks(); // ends only if the timer interrupts
    expect(after).toBeGreaterThan(before);

    const [, tsc, seconds] = /tsc (\d+) = (\d+\.\d{9}) s/.exec(await run.type("time\n")) ?? [];
    expect(BigInt(tsc ?? 0)).toBe(BigInt((seconds ?? "").replace(".", "")));

    expect(await run.type("cpuid\r\n")).toMatch(/vendor \w{12}\r\nbrand {2}.+\r\nhypervisor TCGTCGTCGTCG\r\n/);
    expect(await run.type("cpuid 0x80000000\r")).toMatch(/eax 0x000000008000\w{4}\r\n/);

    await run.type("poke 0x110fff 0xFEDCBA9876543210\r");
    expect(await run.type("peek 0x110fff\r")).toContain("0xfedcba9876543210");

    expect(await run.type("fault\r")).toMatch(
      /page fault: cr2 0x0000008000001000 error 0x0000000000000002 rip 0x\w{16}/,
    );
    expect(await run.type("peek 0x800000000000\r")).toContain("exception 13: error 0x0000000000000000");
    expect(await run.type("peek 0x8000000000\r")).toMatch(/\r\n0x\w{16}\r\n/);
    expect(await run.type("poke 1\r")).toContain("bad arguments");
    expect(await run.type("helper\r")).toContain("unknown command: helper");
    expect(await run.type("echX\x7fo  a b\r")).toBe("echX\b \bo  a b\r\na b\r\nvm> ");
    expect(await run.type("garbage\x03")).toBe("garbage^C\r\nvm> ");
    expect(await run.type(`${"x".repeat(300)}\r`)).toContain(`unknown command: ${"x".repeat(255)}\r\n`);

    run.send("exit 7\r");
    expect((await run.exited).status).toBe(7);
  });

  it("wakes for a received byte by interrupt, not only by the timer", async () => {
    run = new QemuRun(builtinGuest({ timerHz: 1, apicHz: 0xffff_ffff }), "");
    await run.waitFor("vm> ");
    const ticks = async (): Promise<string | undefined> => /(\d+) timer/.exec((await run?.type("ticks\r")) ?? "")?.[1];
    let before = await ticks();
    // A monitor that only polls at timer ticks needs one for every line: this would not end.
    for (let after = await ticks(); after !== before; after = await ticks()) before = after;
    expect(before).toMatch(/^\d+$/);
  });

  it('runs exec="..." of the command line, prints nothing else and powers off with its status', async () => {
    run = new QemuRun(builtinGuest(), 'console=ttyS0 xexec="no" exec="echo hello  world"');
    expect((await run.exited).status).toBe(0);
    expect(run.output).toBe("hello  world\r\n");
  });

  it.each([
    ["exit 42", 42],
    ["halt", 0],
    ["peek 0xffff000000000000", 1],
    ["peek", 2],
    ["nonsense", 127],
  ])("exits with the status of %s", async (command, status) => {
    run = new QemuRun(builtinGuest(), `exec="${command}"`);
    expect((await run.exited).status).toBe(status);
  });

  it("powers off through the sleep control register", async () => {
    // ICH9 has its reset control at 0xcf9: a write of 6 there ends QEMU with -no-reboot, as power-off would
    run = new QemuRun(builtinGuest({ statusPort: 0x80, sleepPort: 0xcf9, sleepValue: 6 }), 'exec="halt"');
    expect((await run.exited).code).toBe(0);
  });

  it("resets by a triple fault when nothing answers at the reset register", async () => {
    run = new QemuRun(builtinGuest(), 'exec="reboot"');
    expect((await run.exited).code).toBe(0);
  });

  it("reports an exception it does not expect and powers off with status 1", async () => {
    const guest = builtinGuest();
    const skipBlanks = guest.loadAddress + Buffer.from(guest.image).indexOf(Buffer.from([0x80, 0x3e, 0x20, 0x75]));
    run = new QemuRun(guest, "");
    await run.waitFor("vm> ");
    await run.type(`poke ${skipBlanks} 0x0b0f\r`); // UD2
    run.send("help\r");
    expect((await run.exited).status).toBe(1);
    expect(run.output).toContain(
      `exception 6: error 0x0000000000000000 rip 0x${skipBlanks.toString(16).padStart(16, "0")}\r\n`,
    );
  });

  it("runs wherever it is loaded", async () => {
    run = new QemuRun(builtinGuest({ loadAddress: 0x40_0000 }), 'exec="echo relocated"');
    expect((await run.exited).status).toBe(0);
    expect(run.output).toBe("relocated\r\n");
  });
});
