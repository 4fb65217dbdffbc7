import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Caller } from "./caller.js";
import { DIFFERENCES } from "./kernel-differences.js";
import { GENERATION, KERNEL_CALLS, RUNNER, RunningKernel } from "./running-kernel.js";
import { type Outcome, type Script, ScriptRun, type Step } from "./script.js";
import { ScriptMaker } from "./script-maker.js";

const SEED = Number(process.env.VM_BPF_SEED ?? 1);
const STEPS = 24;
/** Scripts that a kernel is asked about at once: one that is started for that, about all. */
const BATCH = RUNNER === "" ? 200 : 100_000;
/** What has changed since is no excuse for a kernel of a generation that we claim to be. */
const EXPECTED = DIFFERENCES.filter(({ limit }) => RUNNER === "" || limit === true);

describe.skipIf(KERNEL_CALLS === 0)("the running kernel", () => {
  let kernel: RunningKernel;
  beforeAll(() => {
    kernel = new RunningKernel();
  });
  afterAll(() => kernel.dispose());

  const own = (script: Script, cpus: number): Outcome[] =>
    new ScriptRun(new Caller({ generation: GENERATION, cpus, without: ["inodes"] })).run(script);

  /** The first step that comes to something else, if nothing explains it. */
  function differs(script: Script, ours: readonly Outcome[], theirs: readonly Outcome[]): number {
    for (const [k, step] of script.entries()) {
      const [mine, other] = [ours[k] as Outcome, theirs[k] as Outcome];
      if (JSON.stringify(mine) === JSON.stringify(other)) continue;
      if (step.kind === "call" && EXPECTED.some(({ explains }) => explains(script.slice(0, k), step, mine, other))) {
        // What follows may rest on it.
        if (mine.status !== other.status && mine.status > 0 !== other.status > 0) return -1;
        continue;
      }
      return k;
    }
    return -1;
  }

  /** Leaves out steps as long as the last still differs. Numbers of steps stay: what is left out does nothing. */
  function shrunk(script: Script, cpus: number): Script {
    const nothing: Step = {
      kind: "call",
      command: 99,
      size: 8,
      attr: new Uint8Array(8),
      patches: [],
      buffers: [],
      outputs: [],
      about: "",
    };
    let kept = [...script];
    for (let k = kept.length - 2; k >= 0; k--) {
      const fewer = kept.map((step, n) => (n === k ? nothing : step));
      const [theirs = []] = kernel.ask([fewer]);
      if (differs(fewer, own(fewer, cpus), theirs) === kept.length - 1) kept = fewer;
    }
    return kept;
  }

  const told = (script: Script, ours: readonly Outcome[], theirs: readonly Outcome[]): string =>
    script
      .map((step, k) => {
        if (step.kind === "walk") return k === script.length - 1 ? `${k}: walk of step ${step.map}` : "";
        if (step.about === "") return "";
        const words = [...new Uint32Array(step.attr.slice(0, 76).buffer)].map((word) => word.toString(16)).join(" ");
        return `${k}: ${step.about}, ${step.size} bytes: ${words} -> ${ours[k]?.status}`;
      })
      .filter((line) => line !== "")
      .concat(
        `ours   ${JSON.stringify(ours.at(-1)).slice(0, 600)}`,
        `theirs ${JSON.stringify(theirs.at(-1)).slice(0, 600)}`,
      )
      .join("\n");

  test("does the same about every call", { timeout: 600_000 }, () => {
    const { cpus } = kernel;
    const count = Math.ceil(KERNEL_CALLS / STEPS);
    const found: string[] = [];
    for (let first = 0; first < count && found.length < 8; first += BATCH) {
      const scripts = Array.from({ length: Math.min(BATCH, count - first) }, (_, k) =>
        new ScriptMaker(SEED * 1_000_003 + first + k, cpus).make(STEPS),
      );
      const theirs = kernel.ask(scripts);
      for (const [k, script] of scripts.entries()) {
        const place = differs(script, own(script, cpus), theirs[k] as Outcome[]);
        if (place < 0 || found.length >= 8) continue;
        const whole = script.slice(0, place + 1);
        // A kernel that is started for it is not asked again and again.
        const small = RUNNER === "" ? shrunk(whole, cpus) : whole;
        const asked = RUNNER === "" ? kernel.ask([small])[0] : theirs[k]?.slice(0, place + 1);
        found.push(told(small, own(small, cpus), asked as Outcome[]));
      }
    }
    expect(found.join("\n\n")).toBe("");
  });
});
