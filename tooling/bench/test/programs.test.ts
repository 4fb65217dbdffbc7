import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { programSources } from "../src/paths.js";
import { bootOurs, bootTcg } from "../src/program-machines.js";
import { programData, programText } from "../src/program-report.js";
import { compileWords, guestScript, PROGRAMS, scriptWords } from "../src/programs.js";

const onLinux = it.skipIf(process.platform !== "linux");
/** What the kernel takes (COMMAND_LINE_SIZE), the words that are always there included. */
const COMMAND_LINE = 2048;

onLinux("writes a script that a shell can read, whose programs mark beginning, status and output", () => {
  const script = guestScript([
    { name: "good", before: "echo ready >file", run: "cat file; echo done" },
    { name: "bad", run: "exit 7" },
  ])
    .replace("mount -t tmpfs tmpfs /tmp", `cd "$1" && tmp=$1 && shift`)
    .replace(/^(dmesg|poweroff).*$/gm, ":")
    .replaceAll("/tmp", "$tmp");
  const directory = spawnSync("mktemp", ["-d"], { encoding: "utf8" }).stdout.trim();
  const { stdout, stderr } = spawnSync("sh", ["-c", script, "run.sh", directory, "good", "bad"], { encoding: "utf8" });
  spawnSync("rm", ["-r", directory]);
  const sum = spawnSync("cksum", { input: "ready\ndone\n", encoding: "utf8" }).stdout.trim();
  expect(stdout.split("\n"), stderr).toEqual([
    ...["READY", "B good", "E good 0", `C good ${sum}`],
    ...["B bad", "E bad 7", "C bad 4294967295 0", "ALLDONE", ""],
  ]);
});

it("names every program once, and all of them fit on a kernel's command line", () => {
  const names = PROGRAMS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]+$/);
  expect(scriptWords(names).length).toBeLessThan(COMMAND_LINE - 200);
});

it("has the files that the programs name", () => {
  const files = readdirSync(programSources).map((name) => name.replace(/\.c$/, ""));
  const elsewhere = ["busybox", "lines", "key.pem", "go-work", "work.c"];
  for (const { before = "", run } of PROGRAMS)
    for (const [, name] of `${before} ${run}`.matchAll(/\$bench\/([\w.-]+)/g))
      expect([...files, ...elsewhere]).toContain(name);
  expect(compileWords(2, 64)).toContain("compile-loop.sh 120 64");
  expect(files).toContain("compile-loop.sh");
});

it("boots the same kernel, disks and words in either machine", () => {
  const root = { kernel: "/k", initrd: "/i", disks: ["/d", "/p"] as const };
  for (const command of [bootOurs(["--engine", "jit"])(root, "a b"), bootTcg(root, "a b")])
    for (const word of ["/k", "/i", "/d", "/p", "a b"]) expect(command.join("\n")).toContain(word);
});

it("compares the CPU time of all threads, by medians", () => {
  const runs = (...all: number[]) => all.map((seconds) => ({ busiest: seconds / 2, all: seconds }));
  const data = programData(
    new Map([
      [
        "ours",
        new Map([
          ["sort", runs(1, 2, 90)],
          ["xz", runs(8)],
        ] as const),
      ],
      [
        "tcg",
        new Map([
          ["sort", runs(4)],
          ["xz", runs(1)],
        ] as const),
      ],
    ]),
    3,
    {},
  );
  expect(data).toMatchObject({
    programs: { sort: { ours: 2, oursMainThread: 1, tcg: 4, ratio: 0.5 } },
    geomean: expect.closeTo(2),
    worst: 8,
  });
  expect(programText(data)).toMatch(/^sort +2\.00 +1\.00 +4\.00 +0\.50$/m);
});
