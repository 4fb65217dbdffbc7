import { GuestPanic } from "./panic.js";

const HASH_BITS = 8;
/** Linux `include/linux/hash.h`, `GOLDEN_RATIO_32`. */
const GOLDEN_RATIO = 0x61c8_8647;

/** Which of the 256 buckets a token is in (`hash_32`). */
export const bucketOf = (token: number): number => Math.imul(token, GOLDEN_RATIO) >>> (32 - HASH_BITS);

/** A task that waits, or a wake-up that came before its task waited. */
export interface SleepNode<Task> {
  readonly token: number;
  /** Where it was made; a task may wake on another one. */
  readonly cpu: number;
  /** null: a dummy, for a wake-up. */
  readonly task: Task | null;
  /** The CPU halts instead of doing something else. */
  readonly halts: boolean;
  /** It has not been woken yet. */
  readonly hashed: boolean;
}

export type NewNode<Task> = Omit<SleepNode<Task>, "hashed">;

class Node<Task> implements SleepNode<Task> {
  hashed = true;
  readonly token: number;
  readonly cpu: number;
  readonly task: Task | null;
  readonly halts: boolean;

  constructor({ token, cpu, task, halts }: NewNode<Task>) {
    this.token = token;
    this.cpu = cpu;
    this.task = task;
    this.halts = halts;
  }
}

/** Who waits for which token (Linux `arch/x86/kernel/kvm.c`, `async_pf_sleepers`). */
export class Sleepers<Task> {
  readonly #buckets: Node<Task>[][] = Array.from({ length: 1 << HASH_BITS }, () => []);

  /**
   * A task begins to wait.
   * @returns null: the wake-up came before, and is used up
   * @throws GuestPanic "stack-freed": another task waits for the same token
   */
  wait(desc: NewNode<Task>): SleepNode<Task> | null {
    const early = this.find(desc.token);
    if (early === undefined) return this.add(desc);
    this.#unhash(early);
    if (early.task === null) return null;
    throw new GuestPanic("stack-freed", `two tasks wait for token 0x${desc.token.toString(16)}`);
  }

  add(desc: NewNode<Task>): SleepNode<Task> {
    const node = new Node(desc);
    this.#bucket(desc.token).unshift(node);
    return node;
  }

  find(token: number): SleepNode<Task> | undefined {
    return this.#bucket(token).find((node) => node.token === token);
  }

  /** Those that were made on a CPU, bucket by bucket, latest first. */
  of(cpu: number): readonly SleepNode<Task>[] {
    return this.all().filter((node) => node.cpu === cpu);
  }

  all(): readonly SleepNode<Task>[] {
    return this.#buckets.flat();
  }

  remove(node: SleepNode<Task>): void {
    this.#unhash(node);
  }

  clear(): void {
    for (const node of this.all()) this.#unhash(node);
  }

  #bucket(token: number): Node<Task>[] {
    return this.#buckets[bucketOf(token)] as Node<Task>[];
  }

  #unhash(sleeping: SleepNode<Task>): void {
    const bucket = this.#bucket(sleeping.token);
    const node = bucket.find((each) => each === sleeping);
    if (node === undefined) return;
    bucket.splice(bucket.indexOf(node), 1);
    node.hashed = false;
  }
}
