import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CODE_PAGE, initialState } from "../replay/initial-state.js";
import type { Executor } from "../replay/replay.js";
import { parseVector, type Vector } from "../replay/vector.js";
import type { Vendor } from "../replay/vendors.js";
import { overridesOf, vectorOf } from "../replay/write-vector.js";
import { type Case, encodeCases } from "./case.js";
import { hostProcessor } from "./host.js";

/** Runs cases and tells what they left. */
export interface Recorder {
  record(cases: readonly Case[]): Promise<readonly Vector[]>;
}

/** A live differential is not possible here, for the reason in the message. */
export class NoOracleError extends Error {
  override readonly name = "NoOracleError";
}

const FLAGS = ["-O2", "-fno-stack-protector", "-fcf-protection=none", "-mno-avx"];

/** Runs cases on the processor of this machine. */
export class HostRecorder implements Recorder {
  readonly #directory: string;
  readonly #program: string;
  readonly #mark: Pick<Vector, "p">;

  /**
   * Builds the recorder.
   * @param source path of recorder.c
   * @param vendor of this machine's processor, noted in every vector
   * @throws NoOracleError
   */
  constructor(source: string, vendor: Vendor = hostProcessor().vendor) {
    if (process.platform !== "linux" || process.arch !== "x64")
      throw new NoOracleError(
        `instructions can be recorded on x86-64 Linux only; this is ${process.arch} ${process.platform}`,
      );
    this.#mark = vendor === "intel" ? {} : { p: vendor };
    this.#directory = mkdtempSync(join(tmpdir(), "vm-oracle-"));
    this.#program = join(this.#directory, "recorder");
    // A static program has fewer surprises, and one that can lie anywhere does not lie where 32-bit code may look; not every system has a
    // static C library.
    const built = [["-static-pie", "-fPIE"], ["-static"], []].map(
      (more) => () => spawnSync("gcc", [...FLAGS, ...more, "-o", this.#program, source], { encoding: "utf8" }),
    );
    let complaint = "";
    for (const build of built) {
      const { status, error, stderr } = build();
      if (error !== undefined) complaint = `gcc cannot be run (${error.message}); install it to record instructions`;
      else if (status === 0) return;
      else complaint = `gcc cannot build ${source}:\n${stderr}`;
    }
    this.dispose();
    throw new NoOracleError(complaint);
  }

  record(cases: readonly Case[]): Promise<readonly Vector[]> {
    return new Promise((resolve, reject) => {
      // In a process group of its own, so that Ctrl-C leaves it the time to finish.
      const child = spawn(this.#program, { stdio: ["pipe", "pipe", "inherit"], detached: true });
      let text = "";
      child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk;
      });
      child.on("error", reject);
      child.on("close", (status, signal) => {
        const lines = text.split("\n").filter((line) => line !== "");
        if (status !== 0 || lines.length !== cases.length)
          reject(
            new Error(
              `the recorder ended with ${signal ?? `status ${status}`} after ${lines.length} of ${cases.length} cases`,
            ),
          );
        else resolve(lines.map((line, k) => ({ ...parseVector(line, k + 1), ...this.#mark })));
      });
      child.stdin.end(encodeCases(cases));
    });
  }

  /** Whether the kernel lets segments be described that are not flat. */
  hasSegments(): Promise<boolean> {
    const code = { base: CODE_PAGE, limit: 0xfff, attributes: 0xfb };
    return this.#executes({ bits: 16, segments: new Map([[1, code]]) });
  }

  /** Whether the kernel has a segment for code of 32 bits: some let 64-bit code run only. */
  has32Bits(): Promise<boolean> {
    return this.#executes({ bits: 32 });
  }

  #executes(how: Pick<Case, "bits" | "segments">): Promise<boolean> {
    const nop: Case = {
      ...{ id: 0, seed: "1", code: Uint8Array.of(0x90), instructions: 1, overrides: new Map() },
      ...how,
    };
    return this.record([nop]).then(
      ([vector]) => vector?.x === undefined,
      () => false,
    );
  }

  dispose(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Records what an executor does. */
export class ExecutorRecorder implements Recorder {
  readonly #executor: Executor;

  constructor(executor: Executor) {
    this.#executor = executor;
  }

  async record(cases: readonly Case[]): Promise<readonly Vector[]> {
    return cases.map((c) => {
      const overrides = overridesOf(c.overrides);
      const { instructions, bits, code, segments } = c;
      const before = initialState(c.seed, overrides, bits, segments);
      const outcome = this.#executor.execute(code, before, {
        bits,
        instructions,
        ...(segments === undefined ? {} : { segments }),
        ...(instructions > 1 ? { until: code.length } : {}),
      });
      return vectorOf({ ...c, overrides }, before, outcome);
    });
  }
}
