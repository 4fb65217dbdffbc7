/**
 * What really can happen: every interleaving of a few tasks, each of which runs a fixed program over fair locks. Modes as in `Mode`: a shared
 * taker waits behind everybody who waits, a recursive one for a writer that has the lock only.
 */
import type { Mode } from "../src/index.js";

export type Op = { readonly lock: number; readonly take: Mode } | { readonly lock: number; readonly take: undefined };

/** Takes `locks` one in the other and gives them back, innermost first. */
export function nest(locks: readonly { readonly lock: number; readonly mode: Mode }[]): Op[] {
  const takes = locks.map(({ lock, mode }): Op => ({ lock, take: mode }));
  const gives = locks.map(({ lock }): Op => ({ lock, take: undefined })).reverse();
  return [...takes, ...gives];
}

interface State {
  /** Next operation of each task. */
  readonly at: number[];
  /** For each lock who has it, in which mode, and who waits. */
  readonly held: [task: number, mode: Mode][][];
  readonly queue: [task: number, mode: Mode][][];
}

const copy = ({ at, held, queue }: State): State => ({
  at: [...at],
  held: held.map((list) => [...list]),
  queue: queue.map((list) => [...list]),
});

function free({ held, queue }: State, lock: number, mode: Mode, ahead: number): boolean {
  const holders = held[lock] ?? [];
  if (mode === 0) return holders.length === 0 && ahead === 0;
  if (holders.some(([, other]) => other === 0)) return false;
  return mode === 2 || (queue[lock] ?? []).slice(0, ahead).length === 0;
}

/** Gives the lock to those of its queue who can have it now. */
function grant(state: State, lock: number): void {
  const queue = state.queue[lock] ?? [];
  for (let k = 0; k < queue.length; ) {
    const [task, mode] = queue[k] as [number, Mode];
    if (!free(state, lock, mode, k)) {
      k++;
      continue;
    }
    queue.splice(k, 1);
    state.held[lock]?.push([task, mode]);
  }
}

/** Whether some interleaving ends with tasks that wait and none that can go on. */
export function canDeadlock(programs: readonly (readonly Op[])[], locks: number): boolean {
  const empty = (): [number, Mode][][] => Array.from({ length: locks }, () => []);
  const todo: State[] = [{ at: programs.map(() => 0), held: empty(), queue: empty() }];
  const known = new Set<string>();
  for (let state = todo.pop(); state !== undefined; state = todo.pop()) {
    const waits = (task: number): boolean => state?.queue.some((list) => list.some(([who]) => who === task)) ?? false;
    let moved = false;
    let waiting = false;
    for (const [task, program] of programs.entries()) {
      if (waits(task)) waiting = true;
      const op = program[state.at[task] as number];
      if (op === undefined || waits(task)) continue;
      moved = true;
      const next = copy(state);
      next.at[task] = (next.at[task] as number) + 1;
      const { lock } = op;
      if (op.take === undefined) {
        const holders = next.held[lock] ?? [];
        const mine = holders.map(([who]) => who).lastIndexOf(task);
        holders.splice(mine, 1);
      } else next.queue[lock]?.push([task, op.take]);
      grant(next, lock);
      const name = JSON.stringify(next);
      if (!known.has(name)) {
        known.add(name);
        todo.push(next);
      }
    }
    if (!moved && waiting) return true;
  }
  return false;
}
