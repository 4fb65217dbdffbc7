import { LinuxError } from "../errors.js";
import { proxyOf } from "./calls.js";
import { parseOffsets } from "./offsets.js";
import type { Cred, Task } from "./ports.js";

/** Permissions of the file: everybody may read, its owner may write. */
export const TIMENS_OFFSETS_MODE = 0o644;

/** Places that lseek(2) counts from. */
export enum Whence {
  Set = 0,
  Cur = 1,
}

/**
 * `/proc/PID/timens_offsets`, opened: offsets of the namespace that children of a task will be in (`fs/proc/base.c`). A write does not move the position, so that
 * the next one is at the beginning too.
 */
export class TimensOffsetsFile {
  readonly #task: Task;
  readonly #opener: Cred;
  #position = 0;
  /** Made when it is read from the beginning. */
  #text = "";

  /** @param opener whose capabilities count, whoever writes */
  constructor(task: Task, opener: Cred) {
    this.#task = task;
    this.#opener = opener;
  }

  /** read(2) of at most `count` bytes: none at the end, and of a task that is gone. */
  read(count: number): string {
    const text = this.pread(count, this.#position);
    this.#position += text.length;
    return text;
  }

  pread(count: number, position: number): string {
    if (position === 0) this.#text = this.#task.nsproxy?.timeNsForChildren.readOffsets() ?? "";
    return this.#text.slice(position, position + count);
  }

  /** lseek(2). @param whence {@link Whence} @returns the position @throws LinuxError EINVAL: before the beginning, or from the end */
  lseek(offset: number, whence: number): number {
    const position = whence === Whence.Cur ? this.#position + offset : offset;
    if (!(whence in Whence) || position < 0)
      throw new LinuxError("EINVAL", `lseek to ${offset} from ${whence}: expected SEEK_SET or SEEK_CUR, not before 0`);
    this.#position = position;
    return position;
  }

  /**
   * write(2).
   * @param text one character a byte
   * @returns bytes that were taken, at most two lines
   * @throws LinuxError EINVAL, ESRCH: the task is gone, EPERM, ERANGE, EACCES, in this order; nothing has changed
   */
  write(text: string): number {
    if (this.#position !== 0)
      throw new LinuxError("EINVAL", `write at ${this.#position}: expected the beginning of the file`);
    const { lines, consumed } = parseOffsets(text);
    proxyOf(this.#task).timeNsForChildren.setOffsets(this.#opener, lines);
    return consumed;
  }

  /** pwrite(2). @throws LinuxError ESPIPE, always */
  pwrite(): never {
    throw new LinuxError("ESPIPE", "timens_offsets is written with write(2)");
  }
}
