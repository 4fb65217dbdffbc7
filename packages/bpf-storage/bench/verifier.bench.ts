/**
 * How long it takes to verify the programs of objects here, and how long the running kernel takes for the same, as it says itself: the ratio
 * of both sums, over all programs that both accept. VM_BPF_SELFTESTS names a folder of objects (the BPF selftests of Linux 6.1, compiled
 * by clang); it takes root, `cc` and libbpf with its headers. With --names it says which programs were left out, and why.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { VerifyRequest } from "../src/verifier/request.js";
import { verify } from "../src/verifier/verify.js";
import { type Kernel, type ObjectCase, objectCases, readKernel } from "../test/verifier/objects.js";

const FOLDER = process.env.VM_BPF_SELFTESTS ?? "";
const TYPES = "/sys/kernel/btf/vmlinux";
const LIBRARY = ["/usr/lib/x86_64-linux-gnu/libbpf.a", "/usr/lib64/libbpf.a"].find((path) => existsSync(path));
const SOURCE = join("bench", "native", "verification-time.c");
/** Objects that one process asks the kernel about. */
const BATCH = 20;

/** Microseconds, or why the kernel told none. */
type Answer = number | string;

/** What the kernel says of each program, by object and name. */
function askKernel(files: readonly string[]): Map<string, Answer> {
  if (LIBRARY === undefined) throw new Error("libbpf.a is not here");
  const folder = mkdtempSync(join(tmpdir(), "vm-bpf-bench-"));
  try {
    const program = join(folder, "verification-time");
    execFileSync("cc", ["-O1", "-o", program, SOURCE, LIBRARY, "-lelf", "-lz"], { stdio: "pipe" });
    const answers = new Map<string, Answer>();
    for (let k = 0; k < files.length; k += BATCH) {
      const paths = files.slice(k, k + BATCH).map((file) => join(FOLDER, file));
      const text = execFileSync(program, paths, { encoding: "utf8", maxBuffer: 1 << 26 });
      for (const line of text.trimEnd().split("\n")) {
        const [path = "", name = "", what = ""] = line.split("\t");
        answers.set(`${basename(path)} ${name}`, /^\d+$/.test(what) ? Number(what) : what);
      }
    }
    return answers;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function casesOf(kernel: Kernel, file: string): readonly ObjectCase[] | string {
  try {
    return objectCases(kernel, new Uint8Array(readFileSync(join(FOLDER, file))));
  } catch (error) {
    return String(error);
  }
}

interface Measured {
  readonly name: string;
  readonly kernel: number;
  /** Microseconds. */
  readonly ours: number;
  /** Of that, microseconds of the processor: less where others use it too. */
  readonly cpu: number;
}

/** Reasons without the numbers and names in them. */
const kind = (why: string): string => why.replace(/'[^']*'|\b\d+\b|0x[0-9a-f]+/g, "N").slice(0, 100);

function main(): void {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".o"));
  const kernel = readKernel(TYPES);
  const answers = askKernel(files);
  const measured: Measured[] = [];
  const left = new Map<string, string[]>();
  const leave = (why: string, name: string): void => void left.set(kind(why), [...(left.get(kind(why)) ?? []), name]);
  const time = (request: VerifyRequest) => {
    const from = performance.now();
    const before = process.cpuUsage();
    const { accepted, log } = verify(request);
    const { user, system } = process.cpuUsage(before);
    return { accepted, log, ours: 1000 * (performance.now() - from), cpu: user + system };
  };
  for (const file of files) {
    const cases = casesOf(kernel, file);
    if (typeof cases === "string") {
      leave(`here: ${cases}`, file);
      continue;
    }
    for (const { name: program, request, why } of cases) {
      const name = `${file} ${program}`;
      const answer = answers.get(name) ?? "the object is refused";
      if (typeof answer === "string") leave(`kernel: ${answer}`, name);
      else if (request === undefined) leave(`here: ${why}`, name);
      else {
        const { accepted, log, ours, cpu } = time(request);
        if (accepted) measured.push({ name, kernel: answer, ours, cpu });
        else leave(`here: ${log.trimEnd().split("\n").at(-2) ?? log}`, name);
      }
    }
  }
  const sum = (of: keyof Omit<Measured, "name">): number => measured.reduce((all, each) => all + each[of], 0);
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  write("left out:");
  for (const [why, names] of [...left].sort((a, b) => b[1].length - a[1].length)) {
    write(`  ${String(names.length).padStart(4)}  ${why}`);
    if (process.argv.includes("--names")) for (const name of names) write(`          ${name}`);
  }
  write("longest, ms here and in the kernel:");
  for (const { name, ours, kernel: theirs } of [...measured].sort((a, b) => b.ours - a.ours).slice(0, 10))
    write(`  ${(ours / 1000).toFixed(1).padStart(8)} ${(theirs / 1000).toFixed(1).padStart(8)}  ${name}`);
  const [ours, theirs, cpu] = [sum("ours"), sum("kernel"), sum("cpu")].map((usec) => (usec / 1e6).toFixed(3));
  write(
    `${measured.length} programs that both accept: ${ours} s here (${cpu} s of the processor), ${theirs} s in the kernel`,
  );
  write(`ratio ${(sum("ours") / sum("kernel")).toFixed(2)}`);
}

if (FOLDER === "") process.stdout.write("VM_BPF_SELFTESTS names no folder of compiled BPF selftests: nothing to do\n");
else main();
