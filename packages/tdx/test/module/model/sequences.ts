import { checkModule } from "../check-module.js";
import { Random } from "../random.js";
import * as actions from "./actions.js";
import { ModelHost } from "./model-host.js";
import type { ModelTd } from "./model-td.js";

type Action = (host: ModelHost, td: ModelTd, gpa: number) => void;
const enter: Action = (host, td) => actions.enter(host, td, act);

/** What a host does, by the state of the TD; what stands here twice comes twice as often. */
const YOUNG: readonly Action[] = [actions.prepare, actions.prepare, actions.prepare, actions.tearDown];
const BUILDING: readonly Action[] = [
  actions.prepare,
  actions.addVcpu,
  actions.addVcpu,
  actions.addVcpu,
  actions.addTable,
  actions.addTable,
  actions.addPage,
  actions.addPage,
  actions.extend,
  actions.aug,
  actions.block,
  actions.remove,
  actions.zap,
  actions.finalize,
  actions.flush,
];
const RUNNABLE: readonly Action[] = [
  enter,
  enter,
  enter,
  enter,
  actions.aug,
  actions.aug,
  actions.block,
  actions.block,
  actions.track,
  actions.track,
  actions.remove,
  actions.remove,
  actions.unblock,
  actions.relocate,
  actions.move,
  actions.tryZap,
  actions.tryZap,
  actions.zap,
  actions.addTable,
  actions.addPage,
  actions.flush,
];

/** One thing that the host does. */
export function act(host: ModelHost): void {
  const { random, tds } = host;
  if (tds.length < 2 || random.chance(60)) {
    actions.create(host);
    if (tds.length === 0) return;
  }
  const td = random.pick(tds);
  const gpa = actions.someGpa(host, td);
  const ending = !actions.isAlive(td) || random.chance(80);
  if (ending) {
    for (let i = 0; i < 6 && host.tds.includes(td); i++) {
      if (actions.isAlive(td)) actions.flush(host, td);
      actions.tearDown(host, td);
      host.checkStates();
    }
    return;
  }
  const list = td.opState === 2 ? RUNNABLE : td.opState === 1 ? BUILDING : YOUNG;
  random.pick(list)(host, td, gpa);
  host.checkStates();
}

/** Things that a host does in one sequence. */
const LENGTH = 24;
/** Sequences until everything starts anew. */
const WORLD = 250;

export interface Outcome {
  readonly calls: number;
  readonly sequences: number;
  readonly seen: ReadonlySet<string>;
}

/**
 * Runs random sequences and checks the invariants after each.
 * @throws InvariantError with the number of the sequence
 */
export function runSequences(seed: number, count: number): Outcome {
  const random = new Random(seed);
  let host = new ModelHost(random);
  let calls = 0;
  const seen = new Set<string>();
  for (let sequence = 0; sequence < count; sequence++) {
    if (sequence % WORLD === WORLD - 1) {
      calls += host.calls;
      for (const key of host.seen.keys()) seen.add(key);
      host = new ModelHost(random);
    }
    for (let i = 0; i < LENGTH; i++) act(host);
    checkModule(host.module.state);
  }
  for (const key of host.seen.keys()) seen.add(key);
  return { calls: calls + host.calls, sequences: count, seen };
}
