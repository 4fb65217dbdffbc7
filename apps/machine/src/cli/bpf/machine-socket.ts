import { existsSync, lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { basename, dirname } from "node:path";
import { SOCKET_PATH_MAX } from "@vm/kvmi/node";
import type { Plugin } from "../../index.js";
import type { AttachedBpf } from "../../plugins/bpf/plugin.js";
import { reason, UsageError } from "../errors.js";
import { say } from "../report.js";
import { Inventory, type LoadedSource } from "./inventory/inventory.js";
import { serve } from "./inventory/server.js";

/** Where a machine tells about its programs: it listens as soon as all are attached that can be, until it ends. */
export class MachineSocket {
  readonly plugin: Plugin = { name: "bpf-socket", install: () => () => this.#end() };
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
    const length = Buffer.byteLength(path);
    if (length > SOCKET_PATH_MAX)
      throw new UsageError(
        `--bpf-socket ${path}: the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`,
      );
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      if (!existsSync(dirname(path))) throw new UsageError(`--bpf-socket ${path}: no such directory`);
    } else {
      if (!found.isSocket()) throw new UsageError(`--bpf-socket ${path}: there is a file that is no socket`);
      if (await answers(path)) throw new UsageError(`--bpf-socket ${path}: another program listens there`);
    }
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
      // What a killed program has left.
      if (lstatSync(this.#path, { throwIfNoEntry: false })?.isSocket() === true && !(await answers(this.#path)))
        rmSync(this.#path, { force: true });
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

/** Whether anyone listens at a socket. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const tell = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.once("connect", () => tell(true));
    socket.once("error", () => tell(false));
  });
