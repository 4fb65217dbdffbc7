import { basename } from "node:path";
import type { Plugin } from "../../index.js";
import type { AttachedBpf } from "../../plugins/bpf/plugin.js";
import { reason } from "../errors.js";
import { say } from "../report.js";
import { checkSocketPath, removeDeadSocket } from "../socket-path.js";
import { Inventory, type LoadedSource } from "./inventory/inventory.js";
import { serve } from "./inventory/server.js";

/** Where a machine tells about its programs: it listens as soon as all are attached that can be, until it ends. */
export class MachineSocket {
  readonly plugin: Plugin = { name: "bpf-socket", observer: true, install: () => () => this.#end() };
  readonly #path: string;
  readonly #sources: LoadedSource[] = [];
  #awaited: number;
  #ended = false;
  #stop: (() => void) | null = null;

  private constructor(path: string, objects: number) {
    this.#path = path;
    this.#awaited = objects;
  }

  /**
   * @param objects that are to be attached
   * @throws {UsageError} for a path at which nobody can listen
   */
  static async prepare(path: string, objects: number): Promise<MachineSocket> {
    await checkSocketPath("--bpf-socket", path);
    return new MachineSocket(path, objects);
  }

  /** @param place of the object on the command line @param file path of the object */
  attached(place: number, file: string, { runtime, loaded, kernel, taskStorage }: AttachedBpf): void {
    const loadedAt = Math.floor(Date.now() / 1000);
    this.#sources[place] = { file: basename(file), runtime, loaded, kernel, loadedAt, tasks: taskStorage };
    this.#settle();
  }

  /** An object could not be attached. */
  failed(): void {
    this.#settle();
  }

  #settle(): void {
    if (--this.#awaited === 0 && !this.#ended) void this.#listen();
  }

  async #listen(): Promise<void> {
    const sources = this.#sources.filter((source) => source !== undefined);
    if (sources.length === 0) return;
    try {
      await removeDeadSocket(this.#path);
      const stop = await serve(this.#path, new Inventory(sources));
      if (this.#ended) stop();
      else this.#stop = stop;
    } catch (error) {
      say(`--bpf-socket ${this.#path}: ${reason(error)}; the guest goes on without`);
    }
  }

  #end(): void {
    this.#ended = true;
    this.#stop?.();
    this.#stop = null;
  }
}
