/** What the main thread of a page did, out of a trace of the browser: a task is what nothing else can come between. */

/** An event of Chromium's trace format, as far as it is used here. Times in us. */
export interface TraceEvent {
  readonly name: string;
  /** "X": one that lasts. */
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  /** CPU time of its thread. */
  readonly tdur?: number;
}

/** A part of a page's life, from one mark to another; what began in it belongs to it. */
export interface Phase {
  readonly name: string;
  /** Name of a mark; null is the beginning of the trace. */
  readonly from: string | null;
  readonly to: string;
}

/** The longest task of a phase and how many there were that long. */
export interface Longest {
  readonly ms: number;
  /** Tasks of more than {@link FRAME_MS}. */
  readonly over: number;
  /** What the longest consists of, ms by the trace's names of its parts; what is in another part is not counted again, `other` is in none. */
  readonly parts: Readonly<Record<string, number>>;
}

export interface MainThreadPhase {
  readonly name: string;
  readonly seconds: number;
  readonly tasks: number;
  readonly cpuSeconds: number;
  /** By the clock on the wall: with what the thread waits for a processor, and for other threads. */
  readonly wall: Longest;
  /** By the CPU time of the thread. */
  readonly cpu: Longest;
}

/** A frame at 60 Hz, rounded down: who waits for longer misses one. */
export const FRAME_MS = 16;

const TASK = "ThreadControllerImpl::RunTask";
/** Parts shorter than that are not told. */
const LEAST_PART_MS = 0.5;
/** Wrappers of others that say more. */
const WRAPPERS = new Set([TASK, "Receive mojo message"]);

type Lasting = Required<Pick<TraceEvent, "name" | "ts" | "dur" | "tdur">>;

const end = ({ ts, dur }: Lasting): number => ts + dur;

/** The outermost of events that are sorted by their beginning. */
function outermost(events: readonly Lasting[]): readonly Lasting[] {
  let until = Number.NEGATIVE_INFINITY;
  return events.filter((event) => {
    if (end(event) <= until) return false;
    until = end(event);
    return true;
  });
}

/** Figures of each phase, of the thread that the marks were made on. A phase whose marks are not in the trace is left out. */
export function mainThread(trace: readonly TraceEvent[], phases: readonly Phase[]): readonly MainThreadPhase[] {
  const marks = new Map<string, TraceEvent>();
  const names = new Set(phases.flatMap(({ from, to }) => (from === null ? [to] : [from, to])));
  const last = phases.at(-1)?.to;
  const thread = trace.find(({ name }) => name === last);
  for (const event of trace)
    if (names.has(event.name) && event.pid === thread?.pid && event.tid === thread.tid && !marks.has(event.name))
      marks.set(event.name, event);
  const events = trace
    .filter(({ ph, pid, tid }) => ph === "X" && pid === thread?.pid && tid === thread.tid)
    // The clock of a thread may leap by a tick of the kernel; no thread has used more than the time that has passed.
    .map(({ name, ts, dur = 0, tdur = 0 }): Lasting => ({ name, ts, dur, tdur: Math.min(dur, tdur) }))
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  return phases.flatMap(({ name, from, to }) => {
    const since = from === null ? events[0]?.ts : marks.get(from)?.ts;
    const until = marks.get(to)?.ts;
    if (since === undefined || until === undefined) return [];
    const inside = events.filter(({ ts }) => ts >= since && ts < until);
    return [phaseFigures(name, (until - since) / 1e6, inside)];
  });
}

function phaseFigures(name: string, seconds: number, events: readonly Lasting[]): MainThreadPhase {
  const tasks = outermost(events.filter((event) => event.name === TASK));
  return {
    name,
    seconds,
    tasks: tasks.length,
    cpuSeconds: tasks.reduce((sum, { tdur }) => sum + tdur, 0) / 1e6,
    wall: longest(tasks, events, "dur"),
    cpu: longest(tasks, events, "tdur"),
  };
}

function longest(tasks: readonly Lasting[], events: readonly Lasting[], by: "dur" | "tdur"): Longest {
  const first = tasks[0];
  if (first === undefined) return { ms: 0, over: 0, parts: {} };
  const task = tasks.reduce((most, other) => (other[by] > most[by] ? other : most), first);
  const inside = events.filter((event) => event.ts >= task.ts && end(event) <= end(task) && !WRAPPERS.has(event.name));
  const parts: Record<string, number> = { other: task[by] / 1000 };
  for (const part of outermost(inside)) {
    parts[part.name] = (parts[part.name] ?? 0) + part[by] / 1000;
    parts.other = (parts.other ?? 0) - part[by] / 1000;
  }
  return {
    ms: task[by] / 1000,
    over: tasks.filter((other) => other[by] / 1000 > FRAME_MS).length,
    parts: Object.fromEntries(
      Object.entries(parts)
        .filter(([, ms]) => ms >= LEAST_PART_MS)
        .sort(([, a], [, b]) => b - a),
    ),
  };
}
