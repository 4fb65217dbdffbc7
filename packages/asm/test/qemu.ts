import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GuestImage } from "../src/index.js";
import { pvhElf } from "./pvh.js";

const QEMU = "qemu-system-x86_64";
/** Whether the reference machine is installed; the guest's end-to-end tests need it. */
export const hasQemu = spawnSync(QEMU, ["--version"]).status === 0;

/** A guest running under QEMU's TCG, its serial line on pipes. */
export class QemuRun {
  output = "";
  /** Status the guest wrote to port 0xf4, or QEMU's own exit code with `code`. */
  readonly exited: Promise<{ status: number | undefined; code: number | null }>;
  readonly #process: ChildProcess;
  readonly #directory = mkdtempSync(join(tmpdir(), "vm-asm-"));
  readonly #waiters = new Set<() => void>();

  constructor(guest: GuestImage, commandLine: string, extra: readonly string[] = []) {
    const file = join(this.#directory, "guest.elf");
    writeFileSync(file, pvhElf(guest));
    const machine = [
      "-M",
      "q35",
      "-accel",
      "tcg",
      "-m",
      "32",
      "-nodefaults",
      "-display",
      "none",
      "-serial",
      "stdio",
      "-no-reboot",
    ];
    const exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"];
    this.#process = spawn(QEMU, [...machine, ...exit, ...extra, "-kernel", file, "-append", commandLine], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#process.stdout?.setEncoding("latin1").on("data", (text: string) => {
      this.output += text;
      for (const check of this.#waiters) check();
    });
    this.exited = new Promise((resolve) => {
      this.#process.on("exit", (code) => {
        rmSync(this.#directory, { recursive: true });
        // isa-debug-exit ends QEMU with 2 * status + 1
        resolve({ status: code !== null && code & 1 ? code >> 1 : undefined, code });
      });
    });
  }

  /** Resolves when the output from `from` on contains `text`; rejects when the guest ends before. */
  async waitFor(text: string, from = 0): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const check = (): void => {
        if (!this.output.includes(text, from)) return;
        this.#waiters.delete(check);
        resolve();
      };
      this.#waiters.add(check);
      check();
    });
    const gone = this.exited.then(({ code }) => {
      if (!this.output.includes(text, from)) throw new Error(`guest ended (${code}) before "${text}": ${this.output}`);
    });
    await Promise.race([seen, gone]);
  }

  /** Types keys and returns what came back up to the next prompt. */
  async type(keys: string): Promise<string> {
    const from = this.output.length;
    this.#process.stdin?.write(keys);
    await this.waitFor("\nvm> ", from);
    return this.output.slice(from);
  }

  /** Types keys that end the guest. */
  send(keys: string): void {
    this.#process.stdin?.write(keys);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}
