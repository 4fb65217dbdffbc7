import { describe, expect, it, vi } from "vitest";
import type { Line, Start, ToPage, ToWorker } from "../src/protocol.js";
import { download } from "../src/worker/download.js";
import { ending } from "../src/worker/ending.js";
import { sentence } from "../src/worker/errors.js";
import { Meter } from "../src/worker/meter.js";
import { Output } from "../src/worker/output.js";
import { serve } from "../src/worker/serve.js";

const BUILTIN: Start = {
  kind: "start",
  guest: { kind: "builtin" },
  disk: { kind: "none" },
  memory: 2 ** 25,
  cpus: 1,
  words: "",
  dimensions: { rows: 24, columns: 80 },
};

/** The page's end of a line to `serve`, in this thread. */
class Page implements Line<ToPage, ToWorker> {
  readonly heard: ToPage[] = [];
  output = "";
  #listener: (event: MessageEvent<ToWorker>) => void = () => undefined;
  #waiting: (() => void)[] = [];

  constructor() {
    serve(this);
  }

  addEventListener(_: "message", listener: (event: MessageEvent<ToWorker>) => void): void {
    this.#listener = listener;
  }

  postMessage(message: ToPage): void {
    if (message.kind === "output") {
      this.output += new TextDecoder().decode(message.bytes);
      this.send({ kind: "shown", count: message.bytes.length });
    } else this.heard.push(message);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  send(message: ToWorker): void {
    this.#listener({ data: message } as MessageEvent<ToWorker>);
  }

  type(text: string): void {
    this.send({ kind: "input", bytes: new TextEncoder().encode(text) });
  }

  /** Resolves once `is` holds. */
  async until(is: () => boolean): Promise<void> {
    while (!is()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  kinds(): string[] {
    return this.heard.map(({ kind }) => kind).filter((kind) => kind !== "pulse");
  }
}

describe("the Worker's end of the line", () => {
  it("runs a machine: what is typed is answered, each input makes it hungry, its end is told last", async () => {
    const page = new Page();
    page.send(BUILTIN);
    await page.until(() => page.output.endsWith("vm> "));
    page.type("echo hello\r");
    await page.until(() => page.output.includes("\r\nhello\r\n"));
    page.type("exit 3\r");
    await page.until(() => page.heard.some(({ kind }) => kind === "ended"));
    expect(page.kinds()).toEqual(["running", "hungry", "hungry", "ended"]);
    expect(page.heard.at(-1)).toEqual({ kind: "ended", sentence: "The guest powered off with status 3." });
  });

  it("what is said while the machine is made waits for it", async () => {
    const page = new Page();
    page.send(BUILTIN);
    page.send({ kind: "pause" });
    page.send({ kind: "resume" });
    page.send({ kind: "resize", dimensions: { rows: 10, columns: 20 } });
    page.send({ kind: "stop" });
    await page.until(() => page.heard.some(({ kind }) => kind === "ended"));
    expect(page.heard.at(-1)).toEqual({ kind: "ended", sentence: "Stopped." });
  });

  it("a pause holds what is typed until it is over", async () => {
    const page = new Page();
    page.send(BUILTIN);
    await page.until(() => page.output.endsWith("vm> "));
    page.send({ kind: "pause" });
    await page.until(() => page.kinds().includes("paused"));
    page.type("echo later\r");
    await page.until(() => page.kinds().includes("hungry"));
    expect(page.output).not.toContain("later");
    page.send({ kind: "resume" });
    await page.until(() => page.output.includes("\r\nlater\r\n"));
    page.send({ kind: "stop" });
    await page.until(() => page.kinds().includes("ended"));
  });

  it.each([
    ["memory that cannot be", { memory: 4096 }, /^Memory .*a machine can have .*\.$/],
    [
      "a kernel that is none",
      { guest: { kind: "files", kernel: new Blob(["no"]), initrd: null } },
      /^The kernel cannot be used: /,
    ],
    [
      "a ram disk larger than its memory",
      { guest: { kind: "files", kernel: new Blob(["x"]), initrd: new Blob([new Uint8Array(2 ** 26)]) } },
      "The ram disk of 64 MiB does not fit into the machine's memory of 32 MiB.",
    ],
    [
      "an empty image",
      { disk: { kind: "image", file: new File([], "none.img") } },
      "The image none.img cannot be used: it is empty.",
    ],
  ] as const)("says in a sentence why there is no machine with %s", async (_, part, expected) => {
    vi.stubGlobal("navigator", {});
    const page = new Page();
    page.send({ ...BUILTIN, ...part } as Start);
    await page.until(() => page.kinds().includes("failed"));
    const [last] = page.heard.slice(-1);
    expect(last).toMatchObject({ kind: "failed" });
    expect(last?.kind === "failed" && last.sentence).toMatch(expected);
    vi.unstubAllGlobals();
  });

  it("says that a disk is in memory where the browser keeps no files", async () => {
    vi.stubGlobal("navigator", {});
    const page = new Page();
    page.send({ ...BUILTIN, disk: { kind: "kept", bytes: 2 ** 20 } });
    await page.until(() => page.kinds().includes("running"));
    expect(page.heard[0]).toMatchObject({
      kind: "notice",
      sentence: expect.stringMatching(/^This browser keeps no files/),
    });
    page.send({ kind: "stop" });
    await page.until(() => page.kinds().includes("ended"));
    vi.unstubAllGlobals();
  });
});

describe("output on its way to the screen", () => {
  it("is one message a turn, however many pieces the guest writes it in, in their order", async () => {
    const sent: string[] = [];
    const output = new Output(
      (bytes) => sent.push(new TextDecoder().decode(bytes)),
      () => () => undefined,
    );
    for (const text of ["a", "bc", "d"]) output.push(new TextEncoder().encode(text));
    expect(sent).toEqual([]);
    await Promise.resolve();
    output.push(new TextEncoder().encode("e"));
    await Promise.resolve();
    expect(sent).toEqual(["abcd", "e"]);
  });

  it("makes the guest wait at 256 KiB, until no more than 64 are left", () => {
    const log: string[] = [];
    const output = new Output(
      () => undefined,
      () => {
        log.push("held");
        return () => log.push("released");
      },
    );
    for (let k = 0; k < 63; k++) output.push(new Uint8Array(4096));
    expect(log).toEqual([]);
    output.push(new Uint8Array(4096));
    output.push(new Uint8Array(4096));
    expect(log).toEqual(["held"]);
    output.shown(48 * 4096);
    expect(log).toEqual(["held"]);
    output.shown(4096);
    expect(log).toEqual(["held", "released"]);
    output.shown(16 * 4096);
    expect(log).toEqual(["held", "released"]);
  });
});

describe("the meter", () => {
  it("tells what was done since the last look", () => {
    const meter = new Meter(1000);
    const stats = { instructions: 5e6, mips: 100, touchedRamBytes: 7 };
    expect(meter.read(stats, 1000)).toEqual({ mips: 0, speed: 100, touched: 7 });
    expect(meter.read({ ...stats, instructions: 25e6 }, 2000).mips).toBe(20);
    expect(meter.read({ ...stats, instructions: 25e6 }, 3000).mips).toBe(0);
  });
});

describe("sentences", () => {
  it.each([
    [new Error("it is empty"), "It is empty."],
    ["What now?", "What now?"],
    [new Error(""), "Something failed without a reason."],
  ])("of %s", (error, text) => {
    expect(sentence(error)).toBe(text);
  });

  it("say how a machine ended", () => {
    const said = [
      ending({ reason: "power-off", status: null }),
      ending({ reason: "reset" }),
      ending({ reason: "shutdown", vcpu: 0 }),
      ending({ reason: "halted" }),
      ending({ reason: "debug-exit", code: 3 }),
      ending({ reason: "memory-fault", vcpu: 0, gfn: 255, access: 1 }),
      ending({ reason: "internal-error", vcpu: 0, error: new Error("no such thing") }),
    ];
    expect(said.join("\n")).toMatchInlineSnapshot(`
      "The guest powered off.
      The guest restarted: as after a panic, it has to be started again.
      The guest crashed: triple fault.
      The guest halted for good.
      The guest ended with code 3.
      The guest touched memory that is not there, page ff.
      The machine cannot go on: No such thing."
    `);
  });
});

describe("a download", () => {
  const respond = (response: Response | Error): void => {
    vi.stubGlobal("fetch", () => (response instanceof Error ? Promise.reject(response) : Promise.resolve(response)));
  };

  it("tells its progress where the length is known", async () => {
    respond(new Response(new Uint8Array(100).fill(3), { headers: { "content-length": "100" } }));
    const said: string[] = [];
    const bytes = await download("x", "the kernel", (text) => said.push(text));
    expect([bytes.length, bytes[99], said.at(0), said.at(-1)]).toEqual([
      100,
      3,
      "Downloading the kernel …",
      "Downloading the kernel: 100 %",
    ]);
    vi.unstubAllGlobals();
  });

  it.each([
    [new Response(null, { status: 404 }), "The server did not send the kernel: status 404"],
    [new TypeError("network"), "The server did not send the kernel"],
  ])("that fails says what is missing", async (response, text) => {
    respond(response);
    await expect(download("x", "the kernel", () => undefined)).rejects.toThrow(text);
    vi.unstubAllGlobals();
  });
});
