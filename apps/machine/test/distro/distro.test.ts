import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Distro, findDistro } from "@vm/guests";
import { afterAll, describe, expect, it } from "vitest";
import { bootFlags, guests } from "../boot/debian.js";
import { type Running, run, vm } from "../cli.js";

/** The Debian root, if it has been made: `npm run test:distro` makes it and runs all of this, every other run what takes seconds. */
const distro = await findDistro();
const full = process.env.VM_DISTRO === "full";
if (distro === undefined)
  process.stderr.write("no Debian root is in the cache, so none is booted; npm run test:distro makes it\n");

const dir = mkdtempSync(join(tmpdir(), "vm-distro-"));
afterAll(() => rmSync(dir, { recursive: true }));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** A copy of the image that may be written to. */
function copy(name: string): string {
  const image = join(dir, name);
  execFileSync("cp", ["--sparse=always", "--reflink=auto", made().image, image]);
  return image;
}

function made(): Distro {
  if (distro === undefined) throw new Error("there is no Debian root");
  return distro;
}

/** Looks for what would need repair. @throws if there is something */
const fsck = (image: string): void => void execFileSync("e2fsck", ["-fn", image], { env, stdio: "pipe" });

describe.skipIf(distro === undefined || guests === null)("a Debian root on a disk", () => {
  it("runs a command with our kernel and ram disk, which goes to it", async () => {
    const disk = ["--disk", `${made().image}:overlay`];
    const ended = await run(...bootFlags("6.1"), ...disk, "--exec", `python3 -c "print(1)"; exit 3`);
    expect(ended).toEqual({ status: 3, signal: null, stdout: "1\n", stderr: "" });
  });
});

/** For what hangs: compilers alone take four minutes on a quiet machine. */
const WHOLE_MS = 3_600_000;

/** Programs, each in a line, and what they must print. */
const PROGRAMS: readonly (readonly [string, RegExp])[] = [
  [`printf '#include <stdio.h>\\nint main(){printf("%%d\\\\n",6*7);return 0;}' >a.c; gcc -O2 a.c -o a && ./a`, /^42$/m],
  [
    "git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m first; git --no-pager log --format=%s; cd ..",
    /^first$/m,
  ],
  [`python3 -c 'import json, ssl, sqlite3; print(json.dumps(sum(range(1000))))'`, /^499500$/m],
  ["sqlite3 db 'create table t(a); insert into t values(1),(2); select sum(a) from t'", /^3$/m],
  ["printf hello | openssl dgst -sha256", /2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824/],
  [`perl -e 'print join(",", map { $_ ** 2 } 1 .. 5), "\\n"'`, /^1,4,9,16,25$/m],
  [`node -e 'console.log([1, 2, 3].map((x) => x * 2).join())'`, /^2,4,6$/m],
  [
    `printf 'class A { public static void main(String[] a) { System.out.println(6 * 7); } }' >A.java; java A.java`,
    /^42$/m,
  ],
  [`printf 'package main\\nfunc main() { println(6 * 7) }\\n' >a.go; go build -o ago a.go && ./ago`, /^42$/m],
  ["systemctl --failed --no-pager --plain --no-legend | wc -l", /^0$/m],
];

/** Types a line to a shell. Returns what was printed before the status, which must be 0. */
async function type(running: Running, line: string): Promise<string> {
  const from = running.stdout.length;
  running.type(`${line}; echo "<$?>"\r`);
  const seen = (await running.until(/<\d+>\r?\n/, from)).replaceAll("\r", "");
  expect(/<(\d+)>\n/.exec(seen)?.[1], seen).toBe("0");
  return seen;
}

describe.skipIf(!full || distro === undefined || guests === null)("the whole of it", () => {
  it("runs a command with Debian's own kernel and ram disk", async () => {
    const { kernel, initrd, image } = made();
    const boot = [
      "boot",
      "--kernel",
      kernel,
      "--initrd",
      initrd,
      "--append",
      "root=LABEL=debian ro",
      "--timeout",
      "600",
    ];
    const command = "touch /file 2>/dev/null || echo read-only; cat; exit 9";
    const running = vm(...boot, "--disk", `${image}:overlay`, "--exec", command);
    running.process.stdin.end("typed\n");
    expect(await running.ended).toMatchObject({ status: 9, stdout: "read-only\ntyped\n", stderr: "" });
  });

  it("boots to its login through systemd, where real programs run, and powers off, leaving nothing to repair", {
    timeout: WHOLE_MS,
  }, async () => {
    const image = copy("debian.img");
    const running = vm(...bootFlags("6.1").slice(0, -2), "--memory", "1G", "--disk", image);
    await running.until(/login: $/);
    running.type("root\r");
    await running.until(/# $/);
    await type(running, "bind 'set enable-bracketed-paste off'; PS1=; cd");
    for (const [line, answer] of PROGRAMS) {
      const began = performance.now();
      expect(await type(running, line)).toMatch(answer);
      process.stderr.write(`${((performance.now() - began) / 1000).toFixed(1)} s: ${line}\n`);
    }
    running.type("poweroff\r");
    expect(await running.ended).toMatchObject({ status: 0, signal: null });
    fsck(image);
  });

  it("keeps what was synced when the program is killed in the middle of writes", async () => {
    const image = copy("killed.img");
    const writer = [
      "import os",
      "f = open('/root/records', 'ab')",
      "i = 0",
      "while True:",
      "  for k in range(20):",
      "    f.write(b'%08d\\n' % i); i += 1",
      "  f.flush(); os.fsync(f.fileno()); print(i, flush=True)",
    ];
    const running = vm(...bootFlags("6.1"), "--disk", image, "--exec", `python3 -c "${writer.join("\n")}"`);
    await running.until(/\n600\n/);
    running.process.kill("SIGKILL");
    const { stdout } = await running.ended;
    const told = Number(/(\d+)\n[^\n]*$/.exec(stdout)?.[1]);
    expect(told).toBeGreaterThanOrEqual(600);
    // The journal is written back first, as the next mount would; status 1 says that this was done.
    expect([0, 1]).toContain(spawnSync("e2fsck", ["-p", image], { env }).status);
    fsck(image);
    const records = execFileSync("debugfs", ["-R", "cat /root/records", image], {
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const expected = Array.from({ length: told }, (_, k) => `${String(k).padStart(8, "0")}\n`).join("");
    expect(records.toString().startsWith(expected)).toBe(true);
  });
});
