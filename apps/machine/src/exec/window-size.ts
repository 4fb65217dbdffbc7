import { FIRST_TAG, Say } from "./agent-abi.js";
import { FrameReader } from "./agent-frames.js";
import { plainSyscall, type Script, syscall } from "./agent-script.js";
import { Nr, O_CLOEXEC } from "./guest-syscalls.js";

const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const TIOCSWINSZ = 0x5414;
/** Time after which a key tells the size again, ms. */
const AGAIN_MS = 1000;

/** Rows and columns of a terminal. */
export interface Size {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Keeps the size of the guest's console, ttyS0, that of the terminal it is shown on, through an agent that waits for requests. Linux
 * forgets the size of a serial line which nobody has open, and a getty then sets 24 rows and 80 columns: so a key tells it again, if
 * the last one was more than a second ago.
 */
export class WindowSize {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #size: () => Size;
  readonly #now: () => number;
  readonly #frames = new FrameReader(new TextEncoder().encode(FIRST_TAG));
  #script: Script<void> | null = null;
  #present: boolean;
  #again = false;
  #toldAt = Number.NEGATIVE_INFINITY;

  /**
   * @param send puts bytes on the line to the agent
   * @param now ms
   * @param present the agent has told that it is there: the guest was saved since
   */
  constructor(send: (bytes: Uint8Array) => void, size: () => Size, now: () => number, present = false) {
    this.#present = present;
    this.#send = send;
    this.#size = size;
    this.#now = now;
  }

  /** Whether the agent is there. */
  get present(): boolean {
    return this.#present;
  }

  /** The guest sent a byte. */
  push(byte: number): void {
    const frame = this.#frames.push(byte);
    if (frame?.type === Say.Hello) {
      this.#present = true;
      this.#script = null;
      this.tell();
    } else if (frame?.type === Say.Reply) this.#go(frame.data);
  }

  /** The size has changed. */
  tell(): void {
    if (!this.#present) return;
    this.#again = this.#script !== null;
    if (this.#again) return;
    this.#toldAt = this.#now();
    this.#script = this.#set(this.#size());
    this.#go(new Uint8Array(0));
  }

  /** A key was pressed. */
  typed(): void {
    if (this.#now() - this.#toldAt > AGAIN_MS) this.tell();
  }

  *#set({ rows, columns }: Size): Script<void> {
    const fd = yield* syscall(Nr.open, "/dev/ttyS0", O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    // struct winsize: rows, columns, and two numbers nobody uses.
    yield* syscall(Nr.ioctl, fd, TIOCSWINSZ, new Uint8Array(Uint16Array.of(rows, columns, 0, 0).buffer));
    yield* plainSyscall(Nr.close, fd);
  }

  #go(reply: Uint8Array): void {
    if (this.#script === null) return;
    const { done, value } = this.#script.next(reply);
    if (done !== true) {
      this.#send(value);
      return;
    }
    this.#script = null;
    if (this.#again) this.tell();
  }
}
