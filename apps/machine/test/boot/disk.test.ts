import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { vm } from "../cli.js";
import { check, hasQemuImg, qemuImg } from "../disk/qemu-img.js";
import { bootFlags, guests } from "./debian.js";

const dir = mkdtempSync(join(tmpdir(), "vm-disks-"));
afterAll(() => rmSync(dir, { recursive: true }));
const MIB = 2 ** 20;
/** mke2fs and debugfs are not on every user's path. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

const numbers = (last: number): string => Array.from({ length: last }, (_, k) => `${k + 1}\n`).join("");

describe.skipIf(guests === null)("disks of Debian's 6.1 kernel", () => {
  it("an ext4 image mounts, writes persist; what the guest was told of survives SIGKILL; :ro cannot be written", async () => {
    const [ext4, raw, fixed] = ["ext4.img", "raw.img", "fixed.img"].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const path of [ext4, raw]) writeFileSync(path, new Uint8Array(8 * MIB));
    writeFileSync(fixed, new Uint8Array(MIB).fill(0x2e));
    execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", ext4], { env });
    const steps = [
      "mkdir /m; mount -t ext4 /dev/vda /m && seq 1 20000 >/m/numbers && umount /m && echo unmounted",
      "seq 1 100000 | dd of=/dev/vdb bs=64k conv=fsync 2>/dev/null && echo written",
      "echo x 2>/dev/null >/dev/vdc || echo refused",
      "head -c 3 /dev/vdc; echo; sleep 1000",
    ];
    const disks = ["--disk", ext4, "--disk", raw, "--disk", `${fixed}:ro`];
    const running = vm(...bootFlags("6.1"), ...disks, "--exec", steps.join("; "));
    const seen = await running.until("...\n");
    running.process.kill("SIGKILL");
    expect(seen).toContain("unmounted\nwritten\n");
    expect(seen).toContain("refused\n");
    await running.ended;

    const file = execFileSync("debugfs", ["-R", "cat /numbers", ext4], { env, stdio: ["ignore", "pipe", "ignore"] });
    expect(file.toString()).toBe(numbers(20000));
    const expected = Buffer.from(numbers(100000));
    const written = Buffer.alloc(expected.length);
    readSync(openSync(raw, "r"), written, 0, written.length, 0);
    expect(written.equals(expected)).toBe(true);
    expect(readFileSync(fixed).every((byte) => byte === 0x2e)).toBe(true);
  });

  it.skipIf(!hasQemuImg)(
    "a qcow2 image over another mounts and is written; after SIGKILL qemu-img and e2fsck find nothing; an overlay leaves it alone",
    async () => {
      const [raw, base, top, copy] = ["flat.img", "base.qcow2", "top.qcow2", "copy.img"].map((name) =>
        join(dir, name),
      ) as [string, string, string, string];
      writeFileSync(raw, new Uint8Array(16 * MIB));
      execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", raw], { env });
      qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", raw, base);
      qemuImg("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top);
      const steps = [
        "mkdir /m; mount -t ext4 /dev/vda /m && seq 1 50000 >/m/numbers && sync && echo synced",
        "while :; do seq 1 9999 >/m/more; rm /m/more; done",
      ];
      const running = vm(...bootFlags("6.1"), "--disk", top, "--exec", steps.join("; "));
      await running.until("synced\n");
      running.process.kill("SIGKILL");
      await running.ended;

      expect(check(top)).toMatchObject({ errors: 0, corruptions: 0 });
      qemuImg("convert", "-f", "qcow2", "-O", "raw", top, copy);
      // The journal of a file system that was not unmounted is replayed, and what was being deleted is; behind that there is nothing to repair.
      expect(spawnSync("e2fsck", ["-fp", copy], { env }).status).toBeLessThanOrEqual(1);
      execFileSync("e2fsck", ["-fn", copy], { env, stdio: "ignore" });
      const file = execFileSync("debugfs", ["-R", "cat /numbers", copy], { env, stdio: ["ignore", "pipe", "ignore"] });
      expect(file.toString()).toBe(numbers(50000));

      const before = readFileSync(top);
      const change = "mkdir /m; mount -t ext4 /dev/vda /m && rm /m/numbers && sync && ls /m | grep -c numbers";
      const ended = await vm(...bootFlags("6.1"), "--disk", `${top}:overlay`, "--exec", change).ended;
      expect(ended.stdout).toBe("0\n");
      expect(readFileSync(top).equals(before)).toBe(true);
    },
  );
});
