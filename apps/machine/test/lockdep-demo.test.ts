/** The judge is the report of a real kernel that @vm/lockdep keeps as data: message aQMi/n9DVyeaWsVH of the kvm list. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { collide, validate } from "../src/cli/lockdep/demo.js";
import { ROLES } from "../src/cli/lockdep/frames.js";
import { onTerminal, run } from "./cli.js";

const DATA = new URL("../../../packages/lockdep/test/data/kernel-report.txt", import.meta.url);

/** Functions of Linux that are shown. */
const shown = new Set(Object.values(ROLES));
const FRAME = /^([\w.]+)\+0x[0-9a-f]+\/0x[0-9a-f]+.*$/;

const comparable = (line: string): string =>
  line
    .replace(/^\[ *\d+\.\d+\]\[ *T\d+\] ?/, "")
    .trim()
    .replace(/\s+/g, " ")
    .replace(/^(#\d+: )?[0-9a-f]{16} /, "$1ADDRESS ")
    .replace(/(, at: \w+)\+0x.*$/, "$1");

/** The kernel's report without offsets, machine, registers, and functions that have no part here. */
function kernelReport(): string[] {
  const lines = readFileSync(DATA, "utf8").trimEnd().split("\n").map(comparable);
  const identity = 2;
  const machine = lines.indexOf("stack backtrace:") + 1;
  const trace = lines.indexOf("Call Trace:");
  return lines
    .filter((_, k) => k !== identity && (k < machine || k >= trace))
    .filter((line) => !/^(\?|RIP:|Code:|RSP:|RAX:|RDX:|RBP:|R10:|R13:)/.test(line))
    .flatMap((line) => {
      const name = FRAME.exec(line)?.[1];
      if (name === undefined) return [line];
      return shown.has(name) ? [name] : [];
    });
}

test("the old order and a fault, one after the other, give the kernel's report, line for line", async () => {
  const report = await validate("old");
  expect(report?.split("\n").map(comparable)).toEqual(kernelReport());
});

test("the fixed order gives none", async () => {
  expect(await validate("fixed")).toBeUndefined();
});

test("without the validator the old order hangs, and the wait-for graph names the tasks", async () => {
  const text = await collide("old");
  expect(text).toContain("populate/");
  expect(text).toContain("fault/");
  expect(text).toContain("DEADLOCK: 3 tasks wait for each other");
});

test("at the same moments the fixed order comes to its end", async () => {
  expect(await collide("fixed")).toBeUndefined();
});

test("vm lockdep-demo: the report on stdout, status 1 if there is one", async () => {
  const old = await run("lockdep-demo");
  expect(old).toMatchObject({ status: 1, stderr: "" });
  expect(old.stdout.trimEnd().split("\n").map(comparable)).toEqual(kernelReport());
  expect(await run("lockdep-demo", "--order", "fixed")).toMatchObject({
    status: 0,
    stdout: "",
    stderr: "vm: no report: one order of locks\n",
  });
  expect(await run("lockdep-demo", "--no-lockdep")).toMatchObject({
    status: 1,
    stdout: expect.stringContaining("DEADLOCK: 3 tasks"),
    stderr: "",
  });
  expect(await run("lockdep-demo", "--no-lockdep", "--order", "fixed")).toMatchObject({ status: 0, stdout: "" });
});

test("vm lockdep-demo: colours on a terminal only; --help; what cannot be used", async () => {
  expect((await run("lockdep-demo")).stdout).not.toContain("\x1b");
  expect((await onTerminal(["lockdep-demo"]).ended).stdout).toContain("\x1b[1;31mWARNING:");
  expect((await run("lockdep-demo", "--help")).stdout).toContain("--order");
  expect(await run("lockdep-demo", "--order", "new")).toMatchObject({ status: 2, stdout: "" });
});
