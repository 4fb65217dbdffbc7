/**
 * Cost of an acquisition and release: with the validator off against a lock of the same kind that knows no tasks, the least there can be,
 * and with it on against off. Uncontended, along the sequence of locks KVM takes to populate guest memory; asynchronous locks are
 * awaited. Prints CPU time per acquisition, best of several rounds in which all take turns, and the ratios.
 */
import { LockClass, Lockdep, Mutex, RwSemaphore, RwSpinLock, Task, throwReport } from "../src/index.js";

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

const SPINS = 500_000;
const AWAITS = 50_000;

/** What is measured: a name, and the same work for each contestant. */
const LOADS = [
  "rw spin lock, exclusively",
  "rw spin lock, shared",
  "mutex, awaited",
  "five locks in one another",
] as const;
type Loads = Readonly<
  Record<(typeof LOADS)[number], { readonly count: number; readonly run: () => Promise<void> | void }>
>;

function plain(): Loads {
  const spin = new PlainRwSpinLock();
  const [first, second, third, fourth] = [new PlainMutex(), new PlainMutex(), new PlainMutex(), new PlainMutex()];
  return {
    "rw spin lock, exclusively": {
      count: SPINS,
      run: () => {
        for (let k = 0; k < SPINS; k++) {
          spin.writeLock();
          spin.writeUnlock();
        }
      },
    },
    "rw spin lock, shared": {
      count: SPINS,
      run: () => {
        for (let k = 0; k < SPINS; k++) {
          spin.readLock();
          spin.readUnlock();
        }
      },
    },
    "mutex, awaited": {
      count: AWAITS,
      run: async () => {
        for (let k = 0; k < AWAITS; k++) {
          await first.lock();
          first.unlock();
        }
      },
    },
    "five locks in one another": {
      count: AWAITS,
      run: async () => {
        for (let k = 0; k < AWAITS; k += 5) {
          await first.lock();
          await second.lock();
          await third.lock();
          await fourth.lock();
          spin.readLock();
          spin.readUnlock();
          fourth.unlock();
          third.unlock();
          second.unlock();
          first.unlock();
        }
      },
    },
  };
}

function ours(enabled: boolean): Loads {
  const lockdep = new Lockdep({ enabled, onReport: throwReport });
  const task = new Task(lockdep, "bench");
  const spin = new RwSpinLock(lockdep, new LockClass("mmu_lock"));
  const kvm = new Mutex(lockdep, new LockClass("kvm->lock"));
  const vcpu = new Mutex(lockdep, new LockClass("vcpu->mutex"));
  const slots = new Mutex(lockdep, new LockClass("slots_lock"));
  const invalidate = new RwSemaphore(lockdep, new LockClass("invalidate_lock"));
  return {
    "rw spin lock, exclusively": {
      count: SPINS,
      run: () => {
        for (let k = 0; k < SPINS; k++) {
          spin.writeLock(task);
          spin.writeUnlock(task);
        }
      },
    },
    "rw spin lock, shared": {
      count: SPINS,
      run: () => {
        for (let k = 0; k < SPINS; k++) {
          spin.readLock(task);
          spin.readUnlock(task);
        }
      },
    },
    "mutex, awaited": {
      count: AWAITS,
      run: async () => {
        for (let k = 0; k < AWAITS; k++) {
          await kvm.lock(task);
          kvm.unlock(task);
        }
      },
    },
    "five locks in one another": {
      count: AWAITS,
      run: async () => {
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
      },
    },
  };
}

const contestants = [plain(), ours(false), ours(true)];
console.log(`${"ns per acquisition and release".padEnd(30)}   plain     off   /plain      on     /off`);
for (const load of LOADS) {
  const least = contestants.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < ROUNDS; round++)
    for (const [k, contestant] of contestants.entries()) {
      const { count, run } = contestant[load];
      const start = process.cpuUsage();
      await run();
      const { user, system } = process.cpuUsage(start);
      least[k] = Math.min(least[k] as number, ((user + system) * 1000) / count);
    }
  const [base, off, on] = least as [number, number, number];
  const ns = (value: number): string => value.toFixed(1).padStart(8);
  const ratio = (value: number): string => `${value.toFixed(2).padStart(8)}x`;
  console.log(load.padEnd(30) + ns(base) + ns(off) + ratio(off / base) + ns(on) + ratio(on / off));
}
