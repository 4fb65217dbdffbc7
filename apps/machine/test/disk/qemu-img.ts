import { execFileSync, spawnSync } from "node:child_process";

/** Whether Debian's qemu-img is here to judge; without it the tests that need it are skipped. */
export const hasQemuImg = spawnSync("qemu-img", ["--version"]).error === undefined;

export function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export interface Checked {
  readonly errors: number;
  readonly corruptions: number;
  readonly leaks: number;
}

/** `qemu-img check`. */
export function check(path: string): Checked {
  const { stdout, stderr } = spawnSync("qemu-img", ["check", "--output=json", path], { encoding: "utf8" });
  const found = JSON.parse(stdout || "{}") as { "check-errors"?: number; corruptions?: number; leaks?: number };
  if (found["check-errors"] === undefined) throw new Error(`qemu-img check: ${stderr}`);
  return { errors: found["check-errors"], corruptions: found.corruptions ?? 0, leaks: found.leaks ?? 0 };
}
