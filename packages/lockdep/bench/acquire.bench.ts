/**
 * Cost of an acquisition and release: with the validator off against a lock of the same kind that knows no tasks, the least there can be,
 * and with it on against off. Uncontended, along the sequence of locks KVM takes to populate guest memory; asynchronous locks are
 * awaited. Prints CPU time per acquisition, best of several rounds, and the ratios.
 */
import { LockClass, Lockdep, Mutex, RwSemaphore, RwSpinLock, Task } from "../src/index.js";

const ROUNDS = 21;

/** What a lock is without tasks, wait-for graph and validator. */
class PlainMutex {
  #taken = false;
  readonly #queue: (() => void)[] = [];

  lock(): Promise<void> {
    if (!this.#taken) {
      this.#taken = true;
      return DONE;
    }
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  unlock(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}

class PlainRwSpinLock {
  #writer = false;
  #readers = 0;

  readLock(): void {
    if (this.#writer) throw new Error("would spin for ever");
    this.#readers++;
  }

  readUnlock(): void {
    this.#readers--;
  }

  writeLock(): void {
    if (this.#writer || this.#readers > 0) throw new Error("would spin for ever");
    this.#writer = true;
  }

  writeUnlock(): void {
    this.#writer = false;
  }
}

const DONE = Promise.resolve();

/** Nanoseconds of CPU time per acquisition, best of the rounds; each calls `round`, which makes `count` acquisitions. */
async function best(count: number, round: () => Promise<void> | void): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.cpuUsage();
    await round();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, ((user + system) * 1000) / count);
  }
  return least;
}

const SPINS = 1_000_000;
const AWAITS = 100_000;

interface Figures {
  readonly write: number;
  readonly read: number;
  readonly mutex: number;
  readonly chain: number;
}

async function plain(): Promise<Figures> {
  const spin = new PlainRwSpinLock();
  const mutexes = Array.from({ length: 4 }, () => new PlainMutex());
  const [first] = mutexes as [PlainMutex, ...PlainMutex[]];
  return {
    write: await best(SPINS, () => {
      for (let k = 0; k < SPINS; k++) {
        spin.writeLock();
        spin.writeUnlock();
      }
    }),
    read: await best(SPINS, () => {
      for (let k = 0; k < SPINS; k++) {
        spin.readLock();
        spin.readUnlock();
      }
    }),
    mutex: await best(AWAITS, async () => {
      for (let k = 0; k < AWAITS; k++) {
        await first.lock();
        first.unlock();
      }
    }),
    chain: await best(AWAITS, async () => {
      for (let k = 0; k < AWAITS; k += 5) {
        for (const mutex of mutexes) await mutex.lock();
        spin.readLock();
        spin.readUnlock();
        for (const mutex of mutexes) mutex.unlock();
      }
    }),
  };
}

async function ours(enabled: boolean): Promise<Figures> {
  const lockdep = new Lockdep({ enabled });
  const task = new Task(lockdep, "bench");
  const spin = new RwSpinLock(lockdep, new LockClass("mmu_lock"));
  const kvm = new Mutex(lockdep, new LockClass("kvm->lock"));
  const vcpu = new Mutex(lockdep, new LockClass("vcpu->mutex"));
  const slots = new Mutex(lockdep, new LockClass("slots_lock"));
  const invalidate = new RwSemaphore(lockdep, new LockClass("invalidate_lock"));
  const figures = {
    write: await best(SPINS, () => {
      for (let k = 0; k < SPINS; k++) {
        spin.writeLock(task);
        spin.writeUnlock(task);
      }
    }),
    read: await best(SPINS, () => {
      for (let k = 0; k < SPINS; k++) {
        spin.readLock(task);
        spin.readUnlock(task);
      }
    }),
    mutex: await best(AWAITS, async () => {
      for (let k = 0; k < AWAITS; k++) {
        await kvm.lock(task);
        kvm.unlock(task);
      }
    }),
    chain: await best(AWAITS, async () => {
      for (let k = 0; k < AWAITS; k += 5) {
        await kvm.lock(task);
        await vcpu.lock(task);
        await slots.lock(task);
        await invalidate.downWrite(task);
        spin.readLock(task);
        spin.readUnlock(task);
        invalidate.upWrite(task);
        slots.unlock(task);
        vcpu.unlock(task);
        kvm.unlock(task);
      }
    }),
  };
  if (lockdep.reports.length > 0) throw new Error("the bench's own order is wrong");
  return figures;
}

// Each is measured in a process of its own life: first off, while no code has been compiled for the validator.
const off = await ours(false);
const least = await plain();
const on = await ours(true);

const row = (name: string, pick: (figures: Figures) => number): string =>
  [
    name.padEnd(30),
    `${pick(least).toFixed(1).padStart(8)}`,
    `${pick(off).toFixed(1).padStart(8)}`,
    `${(pick(off) / pick(least)).toFixed(2).padStart(8)}x`,
    `${pick(on).toFixed(1).padStart(8)}`,
    `${(pick(on) / pick(off)).toFixed(2).padStart(8)}x`,
  ].join("");

console.log(`${"ns per acquisition and release".padEnd(30)}   plain     off    /plain      on     /off`);
console.log(row("rw spin lock, exclusively", ({ write }) => write));
console.log(row("rw spin lock, shared", ({ read }) => read));
console.log(row("mutex, awaited", ({ mutex }) => mutex));
console.log(row("five locks in one another", ({ chain }) => chain));
