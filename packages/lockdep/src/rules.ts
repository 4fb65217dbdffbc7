/** What is checked when a task holds a sequence of classes nobody has held before (kernel/locking/lockdep.c, validate_chain). */
import { addDependency, findCycle, kindOf } from "./graph.js";
import { EXCLUSIVE, RECURSIVE, WAIT_ANY } from "./mode.js";
import type { Report, ReportStyle } from "./report.js";
import * as reports from "./report.js";
import type { Stack } from "./stack.js";
import type { HeldLock, Task } from "./task.js";

/**
 * Checks `next` against what `task` holds and records the dependencies it makes. A trylock cannot wait, so nothing leads to it; what is
 * taken while it is held depends on it all the same.
 */
export function validate(task: Task, next: HeldLock, style: ReportStyle): Report | undefined {
  if (next.mode === EXCLUSIVE) next.node.usedExclusive = true;
  else next.node.usedShared = true;
  if (next.trylock) return undefined;
  if (waitsInWrongContext(task, next)) return reports.waitContext(task, next, style);
  const conflict = sameClassConflict(task, next);
  if (conflict !== undefined) return reports.recursive(task, next, conflict, style);
  if (!next.linked) return undefined;
  return addDependencies(task, next, style);
}

/** Wait types must not grow on the way in: no mutex below a spin lock, no spin lock below a raw one (check_wait_context). */
function waitsInWrongContext(task: Task, next: HeldLock): boolean {
  if (next.node.wait.inner === 0) return false;
  let allowed = WAIT_ANY;
  for (const { node } of task.held) if (node.wait.inner > 0) allowed = Math.min(allowed, node.wait.inner);
  return next.node.wait.outer > allowed;
}

/**
 * A lock held that is of the class of `next` without anything to say that this is right (check_deadlock): both shared and the new one
 * recursively, ordered by the class, or serialized by a nest lock held; in the last case no dependency leads to `next`.
 */
export function sameClassConflict(task: Task, next: HeldLock): HeldLock | undefined {
  if (next.trylock) return undefined;
  const { order } = next.node.lockClass;
  let nestHeld = false;
  for (const held of task.held) {
    if (held.lock === next.nest) nestHeld = true;
    if (held.node !== next.node) continue;
    if (next.mode === RECURSIVE && held.mode !== EXCLUSIVE) continue;
    if (order !== undefined && order(held.lock, next.lock) < 0) continue;
    if (!nestHeld) return held;
    next.linked = false;
    return undefined;
  }
  return undefined;
}

/**
 * Adds held -> next for the locks held, newest first, up to the first that passes on everything below it: one that could be waited for and is
 * not a recursive reader. (The kernel also stops at a recursive reader, though -(ER)-> -(SN)-> passes nothing on; see the README.)
 */
function addDependencies(task: Task, next: HeldLock, style: ReportStyle): Report | undefined {
  const stack = (): Stack => next.stack as Stack;
  for (let k = task.held.length - 1; k >= 0; k--) {
    const held = task.held[k] as HeldLock;
    if (held.node === next.node) continue;
    const cycle = findCycle(next.node, next.mode, held.node, held.mode);
    if (cycle !== undefined) return reports.circular(task, next, held, cycle, style);
    addDependency(held.node, next.node, kindOf(held.mode, next.mode), stack);
    if (!held.trylock && held.mode !== RECURSIVE && held.linked) return undefined;
  }
  return undefined;
}
