/** Real programs on a Debian root, here and in QEMU's TCG, by the CPU time of all threads. */
import { bootOurs, bootTcg, type Command, type MachineName, type Root } from "./program-machines.js";
import { programData, programText } from "./program-report.js";
import { runPrograms, runToLogin } from "./program-run.js";
import { PROGRAMS } from "./programs.js";
import type { Report } from "./report.js";
import type { CpuSpan } from "./threads.js";
import { QEMU, versionOf } from "./tools.js";

type Say = (text: string) => void;

/** What to run. */
export interface ProgramOptions {
  readonly repetitions: number;
  /** Programs and boots to measure. */
  readonly names: readonly string[];
  /** Further flags of `vm boot`. */
  readonly flags: readonly string[];
}

/** Collects what was measured, and what was not as it has to be. */
class Results {
  readonly runs = new Map<MachineName, Map<string, CpuSpan[]>>();
  readonly problems: string[] = [];
  private readonly outputs = new Map<string, string>();

  add(machine: MachineName, name: string, span: CpuSpan): void {
    const programs = this.runs.get(machine) ?? new Map<string, CpuSpan[]>();
    this.runs.set(machine, programs);
    programs.set(name, [...(programs.get(name) ?? []), { busiest: span.busiest, all: span.all }]);
  }

  /** Every run has to succeed and to print what the first one did. */
  check(machine: MachineName, name: string, { status, output }: { status: number; output: string }): void {
    if (status !== 0) this.problem(`${name} ended with ${status} (${machine})`);
    const known = this.outputs.get(name);
    if (known === undefined) this.outputs.set(name, output);
    else if (known !== output) this.problem(`${name} printed something else than in the first run (${machine})`);
  }

  private problem(text: string): void {
    if (!this.problems.includes(text)) this.problems.push(text);
  }
}

async function repetition(
  machines: ReadonlyMap<MachineName, Command>,
  root: Root,
  names: readonly string[],
  results: Results,
  say: Say,
): Promise<void> {
  const programs = PROGRAMS.map(({ name }) => name).filter((name) => names.includes(name));
  for (const [machine, command] of machines) {
    if (programs.length > 0 || names.includes("boot")) {
      say(`  ${machine}: programs`);
      const ran = await runPrograms(command, root, programs, say);
      if (names.includes("boot")) results.add(machine, "boot", ran.boot);
      for (const [name, run] of ran.programs) {
        results.add(machine, name, run);
        results.check(machine, name, run);
      }
    }
    if (!names.includes("login")) continue;
    say(`  ${machine}: systemd to the login`);
    results.add(machine, "login", await runToLogin(command, root));
  }
}

/** Runs the programs and returns the report. Repetitions alternate, so that a busy spell of the host hits both sides. */
export async function benchPrograms(
  root: Root,
  { repetitions, names, flags }: ProgramOptions,
  say: Say,
): Promise<Report> {
  const machines = new Map<MachineName, Command>([["ours", bootOurs(flags)]]);
  const qemu = await versionOf(QEMU);
  if (qemu === undefined) say(`${QEMU} is not installed: no baseline`);
  else machines.set("tcg", bootTcg);
  const results = new Results();
  for (let run = 1; run <= repetitions; run++) {
    say(`programs, repetition ${run} of ${repetitions}`);
    await repetition(machines, root, names, results, say);
  }
  const titles = { ours: `vm boot ${flags.join(" ")}`.trim(), ...(qemu === undefined ? {} : { tcg: qemu }) };
  const data = programData(results.runs, repetitions, titles);
  return { text: programText(data), data, problems: results.problems };
}
