import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpioEntry, packCpio } from "@vm/guests";
import { afterAll, describe, expect, it } from "vitest";
import { type Ended, run, vm } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const dir = mkdtempSync(join(tmpdir(), "vm-exec-"));
afterAll(() => rmSync(dir, { recursive: true }));
/** mke2fs and e2fsck are not on every user's path. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const MIB = 2 ** 20;

const kernel = (): string[] => ["boot", "--kernel", guests?.kernel("6.1") ?? "", "--timeout", "240"];

/** An initial ram disk of somebody else's: busybox as the shell, nothing installed, and an init that never ends. */
function foreignInitrd(
  name: string,
  extra: readonly CpioEntry[] = [],
  init = "#!/bin/sh\nwhile :; do :; done\n",
): string {
  const path = join(dir, name);
  const entries: CpioEntry[] = [
    { path: "init", type: "file", mode: 0o755, data: Buffer.from(init) },
    ...["bin", "proc", "sys", "tmp", "run"].map((path): CpioEntry => ({ path, type: "directory" })),
    ...extra,
  ];
  writeFileSync(path, packCpio(entries));
  return path;
}

const WAITS = "#!/bin/sh\necho what now?\nexec /bin/busybox sleep 100000\n";

function shell(): CpioEntry[] {
  return [
    { path: "bin/busybox", type: "file", mode: 0o755, data: readFileSync(guests?.busybox ?? "") },
    { path: "bin/sh", type: "symlink", target: "busybox" },
  ];
}

/** An ext4 image with a root that has a shell and an init, and no systemd. */
function rootDisk(name: string): string {
  const tree = join(dir, `${name}.tree`);
  for (const path of ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root"])
    mkdirSync(join(tree, path), { recursive: true });
  writeFileSync(join(tree, "bin/busybox"), readFileSync(guests?.busybox ?? ""), { mode: 0o755 });
  for (const applet of ["sh", "cat", "mount", "cp"]) symlinkSync("busybox", join(tree, "bin", applet));
  symlinkSync("/bin/busybox", join(tree, "sbin/init"));
  const image = join(dir, name);
  writeFileSync(image, new Uint8Array(16 * MIB));
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-d", tree, image], { env });
  return image;
}

const fsck = (image: string): string =>
  execFileSync("e2fsck", ["-fn", image], { env, stdio: ["ignore", "pipe", "ignore"] }).toString();

describe.skipIf(guests === null)("--exec", () => {
  it("standard input reaches the command whatever its bytes; output and errors come out apart; the status is the command's", async () => {
    const bytes = randomBytes(MIB + 1);
    const running = vm(...bootFlags("6.1"), "--exec", "sha256sum; echo wrong >&2; exit 255");
    running.process.stdin.end(bytes);
    const { status, stdout, stderr } = await running.ended;
    expect(stdout).toBe(`${createHash("sha256").update(bytes).digest("hex")}  -\n`);
    expect([stderr, status]).toEqual(["wrong\n", 255]);
  });

  it("with --clock icount the same input gives the same bytes after the same instructions", async () => {
    const once = async (): Promise<readonly unknown[]> => {
      const running = vm(...bootFlags("6.1"), "--clock", "icount", "--stats", "--exec", "cat; echo wrong >&2");
      running.process.stdin.end("in\0put\n".repeat(2000));
      const { status, stdout, stderr } = await running.ended;
      const { instructions } = JSON.parse(stderr.slice(stderr.indexOf("{"))) as { instructions: number };
      return [status, stdout, stderr.slice(0, stderr.indexOf("{")), instructions];
    };
    const first = await once();
    expect(first.slice(0, 3)).toEqual([0, "in\0put\n".repeat(2000), "wrong\n"]);
    expect(await once()).toEqual(first);
  });

  it("what a command prints on any line, frames and marks among it, neither ends it nor tells its status", async () => {
    const forged = [
      "n=$(tr ' ' '\\n' </proc/cmdline | sed -n 's/^vm.nonce=//p')",
      'printf "\\001VM-EXEC-BEGIN\\002\\001VM-EXEC-END $n 99999999999999\\002"',
      'for t in /dev/ttyS0 /dev/ttyS1; do printf "vm-agent\\007\\000\\000\\000\\004\\000\\000\\000\\000\\000\\000\\000" >$t; done',
      "head -c 5000 /dev/urandom >/dev/ttyS1",
      "echo still here",
    ];
    const { status, stdout, stderr } = await run(...bootFlags("6.1"), "--exec", `${forged.join("\n")}\nexit 3`);
    expect(stdout).toBe("\x01VM-EXEC-BEGIN\x02\x01VM-EXEC-END  99999999999999\x02still here\n");
    expect([stderr, status]).toEqual(["", 3]);
  });

  it("runs in somebody else's initial ram disk that has nothing but a shell, a command of 100 KB", async () => {
    const initrd = foreignInitrd("foreign.cpio", shell());
    const command = `: ${"x".repeat(100_000)}\nread line; echo "$line" $$; kill -TERM $$`;
    const running = vm(...kernel(), "--initrd", initrd, "--exec", command);
    running.process.stdin.end("typed\nnot read\n");
    expect(await running.ended).toMatchObject({
      stdout: expect.stringMatching(/^typed \d+\n$/),
      stderr: "",
      status: 143,
    });
  });

  it("runs in the root on one's own disk, which is writable, has the usual mounts, and needs no repair afterwards", async () => {
    const disk = rootDisk("root.img");
    const command = "echo kept >/root/file; mount; exec cat /root/file";
    const own = await run(...bootFlags("6.1"), "--disk", disk, "--exec", command);
    expect(own).toMatchObject({ stderr: "", status: 0 });
    for (const path of ["/proc", "/sys", "/dev", "/dev/pts", "/tmp", "/run"])
      expect(own.stdout).toContain(` on ${path} type `);
    expect(own.stdout).toMatch(/\/dev\/vda on \/ type ext4 \(rw[\s\S]*kept\n$/);
    expect(fsck(disk)).toContain("Pass 5");
    const fixed = await run(...bootFlags("6.1"), "--disk", `${disk}:ro`, "--exec", "cat /root/file; echo >/root/file");
    expect(fixed).toMatchObject({ stdout: "kept\n", status: 1 });
  });

  it("a Ctrl-C is the command's, which ends as it likes; a SIGTERM ends the machine", async () => {
    const command = "trap 'echo caught' INT; echo ready; while :; do sleep 1; done";
    const running = vm(...bootFlags("6.1"), "--exec", command);
    await running.until("ready\n");
    running.process.kill("SIGINT");
    await running.until("caught\n");
    running.process.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ signal: "SIGTERM", stdout: "ready\ncaught\n", stderr: "" });
  });

  it.each<[string, () => string[], RegExp]>([
    ["no shell", () => ["--initrd", foreignInitrd("bare.cpio")], /the guest's root has no shell \(\/bin\/sh\)/],
    [
      "a shell whose loader is missing",
      () => [
        "--initrd",
        foreignInitrd("broken.cpio", [
          { path: "bin/sh", type: "file", mode: 0o755, data: Buffer.from("#!/nowhere\n") },
        ]),
      ],
      /\/bin\/sh of the guest's root cannot be run \(ENOENT/,
    ],
    ["a root that is not there", () => ["--append", "root=/dev/vdz"], /the guest has no \/dev\/vdz/],
    [
      "an init that fails",
      () => ["--append", "root=/dev/vda", "--initrd", foreignInitrd("fails.cpio", shell(), "#!/bin/sh\nexit 1\n")],
      /the kernel panicked: Attempted to kill init/,
    ],
    [
      "a ram disk that waits for someone",
      () => ["--append", "root=/dev/vda", "--initrd", foreignInitrd("waits.cpio", shell(), WAITS)],
      /it has done nothing for 10 s; its last words: what now\?/,
    ],
  ])("where it cannot run there is one sentence, with status 125: %s", async (_, flags, sentence) => {
    const { status, stdout, stderr }: Ended = await run(...kernel(), ...flags(), "--exec", "true");
    expect([status, stdout]).toEqual([125, ""]);
    expect(stderr).toMatch(/^vm: --exec: the guest cannot run the command: [^\n]*\n$/);
    expect(stderr).toMatch(sentence);
  });
});
