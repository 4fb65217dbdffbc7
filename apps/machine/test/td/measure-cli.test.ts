import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  EventLogWriter,
  encodeQuote,
  type LogEvent,
  measureFirmware,
  parseEventLog,
  replayEventLog,
  writeCcel,
} from "@vm/tdx";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "./in-process.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-td-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const td = (...args: string[]) => run("td", ...args);

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** An image with one section of code, found by the offset 32 bytes before its end. */
function firmware(): Uint8Array {
  const image = new Uint8Array(0x2000).fill(0x90);
  const view = new DataView(image.buffer);
  for (const [k, value] of [0x46564454, 48, 1, 1, 0x1000, 0x1000, 0xffff_f000, 0, 0x1000, 0, 0, 1].entries())
    view.setUint32(0x100 + 4 * k, value, true);
  view.setUint32(0x2000 - 32, 0x100, true);
  return image;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
/** EV_POST_CODE, whose digest need not be of its data. */
const event = (mrIndex: number, data: string): LogEvent => ({
  mrIndex,
  type: 1,
  digest: new Uint8Array(48).fill(mrIndex),
  data: text(data),
});

function log(...events: LogEvent[]): Uint8Array {
  const area = new Uint8Array(4096);
  const writer = EventLogWriter.create(area);
  for (const one of events) writer.measure(one, () => undefined);
  return area;
}

/** A quote with the registers that a log leads to, signed by nobody. */
function quoteOf(area: Uint8Array): Uint8Array {
  const { rtmrs } = replayEventLog(parseEventLog(area));
  const zeros = (length: number) => new Uint8Array(length);
  const registers = ["mrTd", "mrConfigId", "mrOwner", "mrOwnerConfig", "mrSeam", "mrSignerSeam"] as const;
  const zero = Object.fromEntries(registers.map((name) => [name, zeros(48)])) as Record<
    (typeof registers)[number],
    Uint8Array
  >;
  return encodeQuote({
    header: {
      version: 4,
      attestationKeyType: 2,
      teeType: 0x81,
      qeSvn: 0,
      pceSvn: 0,
      qeVendorId: zeros(16),
      userData: zeros(20),
    },
    body: {
      type: 2,
      report: {
        ...zero,
        teeTcbSvn: zeros(16),
        seamAttributes: 0n,
        tdAttributes: 0n,
        xfam: 0n,
        rtMr0: rtmrs.get(0),
        rtMr1: rtmrs.get(1),
        rtMr2: rtmrs.get(2),
        rtMr3: rtmrs.get(3),
        reportData: zeros(64),
      },
    },
    signature: {
      signature: zeros(64),
      attestationKey: zeros(64),
      qeReport: {
        cpuSvn: zeros(16),
        miscSelect: 0,
        reserved1: zeros(12),
        isvExtProdId: zeros(16),
        attributes: zeros(16),
        mrEnclave: zeros(32),
        reserved2: zeros(32),
        mrSigner: zeros(32),
        reserved3: zeros(32),
        configId: zeros(64),
        isvProdId: 0,
        isvSvn: 0,
        configSvn: 0,
        reserved4: zeros(42),
        isvFamilyId: zeros(16),
        reportData: zeros(64),
      },
      qeReportSignature: zeros(64),
      qeAuthData: zeros(32),
      certification: { type: 5, data: zeros(0) },
    },
  });
}

describe("vm td measure", () => {
  test("prints MRTD in 96 digits and a line feed, for one pass and two", async () => {
    const image = firmware();
    const path = file("firmware", image);
    for (const passes of [1, 2] as const) {
      const { status, stdout, stderr } = await td("measure", path, "--passes", `${passes}`);
      expect([status, stdout, stderr]).toEqual([0, `${hex(measureFirmware(image, passes).mrtd)}\n`, ""]);
    }
    expect(hex(measureFirmware(image).mrtd)).toMatch(/^[0-9a-f]{96}$/);
  });

  test("--events and --json say what was measured", async () => {
    const path = file("firmware", firmware());
    const { stdout } = await td("measure", path, "--events");
    expect(stdout).toMatch(/^[0-9a-f]{96}\nBFV +0xfffff000-0x100000000 +1 pages added, 1 measured\n$/);
    expect(JSON.parse((await td("measure", path, "--json")).stdout)).toMatchObject({
      mrtd: stdout.slice(0, 96),
      passes: 1,
      sections: [{ type: "BFV", memoryAddress: 0xffff_f000, pagesAdded: 1, pagesMeasured: 1 }],
    });
  });

  test("refuses in one sentence, with status 2, what is neither firmware for TDX nor a kernel", async () => {
    const kernel = new Uint8Array(0x1000);
    kernel.set(text("HdrS"), 0x202);
    const broken = firmware();
    broken[0x108] = 2;
    const cases: readonly (readonly [string, RegExp])[] = [
      [file("nothing", new Uint8Array(4096)), /the image has no TDVF metadata.* nor is it a kernel/],
      [file("kernel", kernel), /kernel: it is a zImage, .* a bzImage is needed/],
      [file("broken", broken), /TDVF metadata of version 2; 1 is defined/],
      [join(folder, "absent"), /no such file/],
    ];
    for (const [path, words] of cases) {
      const { status, stdout, stderr } = await td("measure", path);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(words);
      expect(stderr).toMatch(/^vm: .*\n$/);
    }
    expect((await td("measure", file("firmware", firmware()), "--passes", "3")).status).toBe(2);
  });
});

describe("vm td replay", () => {
  test("prints the events and the registers that they lead to", async () => {
    const blob = { ...event(4, `\x08\x1b[31mred${"\0".repeat(16)}`), type: 0x8000_000a };
    const area = log(event(1, "first"), blob, { ...event(0, "said"), type: 3 });
    const { rtmrs } = replayEventLog(parseEventLog(area));
    const { status, stdout, stderr } = await td("replay", file("log", area));
    const registers = ([0, 1, 2, 3] as const).map((k) => `RTMR${k} ${hex(rtmrs.get(k))}`);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "   0  RTMR0 EV_POST_CODE                   0101010101010101 first",
      "   1  RTMR3 EV_EFI_PLATFORM_FIRMWARE_BLOB2 0404040404040404 \\x1b[31mred, 0 bytes at 0x0",
      "   2  -     EV_NO_ACTION                   0000000000000000 said",
      ...registers,
    ]);
  });

  test("compares with a quote, in bytes or in hexadecimal: status 0, or 1 and which registers differ", async () => {
    const area = log(event(1, "first"), event(2, "second"));
    const path = file("log", area);
    const quote = quoteOf(area);
    for (const [name, bytes] of [
      ["quote", quote],
      ["quote.hex", `0x${hex(quote)}\n`],
    ] as const) {
      const { status, stdout } = await td("replay", path, "--quote", file(name, bytes));
      expect([status, stdout.match(/as in the quote/g)?.length]).toEqual([0, 4]);
    }
    const other = file("other", quoteOf(log(event(1, "first"), event(2, "second"), event(2, "third"))));
    const { status, stdout, stderr } = await td("replay", path, "--quote", other);
    expect([status, stderr]).toEqual([1, "vm: the quote has another RTMR1 than the log leads to\n"]);
    expect(stdout).toMatch(/RTMR1 [0-9a-f]{96} the quote has [0-9a-f]{96}\n/);
    const json = JSON.parse((await td("replay", path, "--quote", other, "--json")).stdout);
    expect(json.rtmrs.map(({ matches }: { matches: boolean }) => matches)).toEqual([true, false, true, true]);
    expect(json.events[0]).toMatchObject({ rtmr: 0, typeName: "EV_POST_CODE", text: "first", digestOfData: "unknown" });
  });

  test("says so if the quote has a register of which the log has no event", async () => {
    const quote = file("quote", quoteOf(log(event(1, "first"), event(4, "at run time"))));
    const { status, stderr } = await td("replay", file("log", log(event(1, "first"))), "--quote", quote);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^vm: the quote has an RTMR3 that was extended, and the log has no event of it: .*\n$/);
  });

  test("marks an event whose data is not what was measured: status 1", async () => {
    const path = file("log", log({ ...event(1, "Exit Boot Services"), type: 0x8000_0007 }));
    const { status, stdout, stderr } = await td("replay", path);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^ {3}0! RTMR0 EV_EFI_ACTION/);
    expect(stderr).toBe("vm: event 0: its digest is not that of its data, so something else was measured\n");
  });

  test("checks the log against its table", async () => {
    const path = file("log", log(event(1, "first")));
    const names = { oemId: "VM", oemTableId: "TD", oemRevision: 1, logAreaStart: 0x1000n };
    const fits = file("fits", writeCcel({ ...names, logAreaLength: 4096n }));
    expect((await td("replay", path, "--table", fits)).status).toBe(0);
    const short = file("short", writeCcel({ ...names, logAreaLength: 100n }));
    const { status, stderr } = await td("replay", path, "--table", short);
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/the log's area has 100 bytes; the log has \d+, so it is another's\n$/),
    ]);
    expect((await td("replay", fits)).stderr).toMatch(/this is the ACPI table; the log is what it points to/);
  });

  test("refuses in one sentence, with status 2, what it cannot use", async () => {
    const path = file("log", log(event(1, "first")));
    const noise = file(
      "noise",
      Uint8Array.from({ length: 500 }, (_, k) => (k * 37) & 0xff),
    );
    for (const args of [[noise], [join(folder, "absent")], [path, "--quote", noise], [path, "--table", noise]]) {
      const { status, stdout, stderr } = await td("replay", ...args);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(/^vm: .*\n$/);
    }
  });
});

test("vm td --help names its commands", async () => {
  const { status, stdout } = await td("--help");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/measure .*replay /s)]);
});
