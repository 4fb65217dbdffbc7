import { closeSync, openSync, writeSync } from "node:fs";
import type { Disposer } from "../../emitter.js";
import type { MachineHandle, Plugin } from "../../index.js";
import { Outlet } from "../outlet.js";

/** Where lines go while a machine runs, of which it is a plugin: a reader that is slow holds the machine. */
export interface Lines extends Plugin {
  /** Never throws. */
  write(text: string): void;
  /** Resolves when all has been taken, with what went wrong. */
  close(): Promise<unknown>;
}

/** On stdout, between what the guest prints. What is not taken while the machine is still being made is kept. */
export class StdoutLines implements Lines {
  readonly name = "tdx-trace";
  #machine: MachineHandle | null = null;
  readonly #outlet = new Outlet(process.stdout, () => this.#hold());

  install(machine: MachineHandle): void {
    this.#machine = machine;
  }

  #hold(): Disposer {
    const holds = (this.#machine?.vcpus ?? []).map((vcpu) => vcpu.hold());
    return () => {
      for (const release of holds) release();
    };
  }

  write(text: string): void {
    this.#outlet.write(text);
  }

  async close(): Promise<null> {
    await this.#outlet.flushed();
    return null;
  }
}

const CHUNK = 1 << 16;

/** In a file, written when so much has come together. */
export class FileLines implements Lines {
  readonly name = "tdx-trace";
  readonly #fd: number;
  #kept = "";
  #error: unknown = null;
  #machine: MachineHandle | null = null;

  /** @throws what opening it does */
  constructor(path: string) {
    this.#fd = openSync(path, "w");
  }

  install(machine: MachineHandle): void {
    this.#machine = machine;
  }

  write(text: string): void {
    this.#kept += text;
    if (this.#kept.length >= CHUNK) this.#flush();
  }

  /** One that cannot be written ends the machine: there is no use in going on. */
  #flush(): void {
    const bytes = Buffer.from(this.#kept);
    this.#kept = "";
    if (this.#error !== null) return;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.#error = error;
      this.#machine?.stop();
    }
  }

  async close(): Promise<unknown> {
    this.#flush();
    closeSync(this.#fd);
    return this.#error;
  }
}
