/** What the validator found, in the words of the kernel's own reports (kernel/locking/lockdep.c, print_*). */
import type { ClassNode, Edge, Step } from "./graph.js";
import type { LockMap } from "./lock-map.js";
import { EXCLUSIVE, spins } from "./mode.js";
import type { Stack } from "./stack.js";
import type { HeldLock, Task } from "./task.js";

export type ReportKind =
  | "circular"
  | "recursive"
  | "wait-context"
  | "nest-lock-not-held"
  | "unlock-balance"
  | "held-lock-freed"
  | "exit-with-locks"
  | "atomic-sleep";

export interface Report {
  readonly kind: ReportKind;
  /** One line. */
  readonly title: string;
  /** The whole report, without the blank line the kernel starts it with. */
  readonly text: string;
  readonly task: Task;
  /** The lock it is about. */
  readonly lock: LockMap | undefined;
}

/** How reports look where kernels differ. */
export interface ReportStyle {
  /** Line below the title: in the kernel its release and taint. Empty for none. */
  readonly identity: string;
  /** Lines between `stack backtrace:` and the call trace: in the kernel CPU, taint and hardware. */
  readonly machine: readonly string[];
  /** Header of the list of held locks: that of kernels up to 6.17, or that of 7.3. */
  readonly heldHeader: "6.17" | "7.3";
}

export const DEFAULT_STYLE: ReportStyle = { identity: "", machine: [], heldHeader: "6.17" };

/** `name#2/1`: class, number among the classes of its name, subclass. */
export function className(node: ClassNode): string {
  const version = node.version > 1 ? `#${node.version}` : "";
  const subclass = node.subclass > 0 ? `/${node.subclass}` : "";
  return `${node.lockClass.name}${version}${subclass}`;
}

/**
 * ` (name){++++}-{4:4}`: the signs are for use exclusively in hard irqs, shared there, and the same for soft irqs; a task is not an interrupt,
 * so use means + (with interrupts on). Then outer and inner wait type.
 */
function classText(node: ClassNode): string {
  const exclusive = node.usedExclusive ? "+" : ".";
  const shared = node.usedShared ? "+" : ".";
  return ` (${className(node)}){${exclusive}${shared}${exclusive}${shared}}-{${node.wait.outer}:${node.wait.inner}}`;
}

const lockText = (held: HeldLock): string =>
  `${held.lock.id.toString(16).padStart(16, "0")}${classText(held.node)}, at: ${held.stack?.site ?? "(not recorded)"}`;

const indented = (stack: Stack | undefined): string[] => (stack?.frames ?? []).map((frame) => `      ${frame}`);

function heldText(task: Task, style: ReportStyle): string[] {
  const count = task.held.length;
  const lines = task.held.map((held, k) => ` #${k}: ${lockText(held)}`);
  if (style.heldHeader === "7.3") return [`locks held by ${task}: ${count}, on CPU#0:`, ...lines];
  if (count === 0) return [`no locks held by ${task}.`];
  return [`${count} lock${count > 1 ? "s" : ""} held by ${task}:`, ...lines];
}

const backtrace = (stack: Stack | undefined, style: ReportStyle): string[] => [
  "stack backtrace:",
  ...style.machine,
  ...(stack?.dump ?? ["Call Trace:", " <TASK>", ...(stack?.frames ?? []).map((frame) => ` ${frame}`), " </TASK>"]),
];

const withIdentity = (style: ReportStyle): string[] => (style.identity === "" ? [] : [style.identity]);

function framed(title: string, width: number, style: ReportStyle): string[] {
  return ["=".repeat(width), title, ...withIdentity(style), "-".repeat(width)];
}

const lock = (held: HeldLock): string => (held.mode === EXCLUSIVE ? "lock" : "rlock");

function scenario(next: HeldLock, held: HeldLock, before: ClassNode): string[] {
  const chain =
    before === next.node
      ? []
      : ["Chain exists of:", `  ${className(next.node)} --> ${className(before)} --> ${className(held.node)}`, ""];
  return [
    ...chain,
    " Possible unsafe locking scenario:",
    "",
    "       CPU0                    CPU1",
    "       ----                    ----",
    `  ${lock(held)}(${className(held.node)});`,
    `                               lock(${className(before)});`,
    `                               lock(${className(held.node)});`,
    `  ${lock(next)}(${className(next.node)});`,
    "",
    " *** DEADLOCK ***",
    "",
  ];
}

/** `next` is taken while `held` is held, and the graph leads from `next` to `held`, `path` being how. */
export function circular(task: Task, next: HeldLock, held: HeldLock, path: Step, style: ReportStyle): Report {
  const steps: Step[] = [];
  for (let step: Step | undefined = path; step !== undefined; step = step.parent) steps.push(step);
  const chain = steps.flatMap(({ node, edge }, k) => {
    const stack = (edge as Edge | undefined)?.stack ?? next.stack;
    return ["", `-> #${steps.length - 1 - k}${classText(node)}:`, ...indented(stack)];
  });
  const title = "WARNING: possible circular locking dependency detected";
  const text = [
    ...framed(title, 54, style),
    `${task} is trying to acquire lock:`,
    lockText(next),
    "",
    "but task is already holding lock:",
    lockText(held),
    "",
    "which lock already depends on the new lock.",
    "",
    "",
    "the existing dependency chain (in reverse order) is:",
    ...chain,
    "",
    "other info that might help us debug this:",
    "",
    ...scenario(next, held, path.parent?.node ?? next.node),
    ...heldText(task, style),
    "",
    ...backtrace(next.stack, style),
  ];
  return { kind: "circular", title, text: text.join("\n"), task, lock: next.lock };
}

export function recursive(task: Task, next: HeldLock, held: HeldLock, style: ReportStyle): Report {
  const title = "WARNING: possible recursive locking detected";
  const order = next.node.lockClass.order?.(held.lock, next.lock);
  const text = [
    ...framed(title, 44, style),
    `${task} is trying to acquire lock:`,
    lockText(next),
    "",
    "but task is already holding lock:",
    lockText(held),
    ...(order === undefined ? [] : [`and the lock comparison function returns ${order}:`]),
    "",
    "other info that might help us debug this:",
    " Possible unsafe locking scenario:",
    "",
    "       CPU0",
    "       ----",
    `  lock(${className(held.node)});`,
    `  lock(${className(next.node)});`,
    "",
    " *** DEADLOCK ***",
    "",
    " May be due to missing lock nesting notation",
    "",
    ...heldText(task, style),
    "",
    ...backtrace(next.stack, style),
  ];
  return { kind: "recursive", title, text: text.join("\n"), task, lock: next.lock };
}

export function waitContext(task: Task, next: HeldLock, style: ReportStyle): Report {
  const title = "[ BUG: Invalid wait context ]";
  const text = [
    ...framed(title, 29, style),
    `${task} is trying to lock:`,
    lockText(next),
    "other info that might help us debug this:",
    "context-{5:5}",
    ...heldText(task, style),
    ...backtrace(next.stack, style),
  ];
  return { kind: "wait-context", title, text: text.join("\n"), task, lock: next.lock };
}

export function nestLockNotHeld(task: Task, next: HeldLock, nest: LockMap, style: ReportStyle): Report {
  const title = "WARNING: Nested lock was not taken";
  const text = [
    ...framed(title, 34, style),
    `${task} is trying to lock:`,
    lockText(next),
    "",
    "but this task is not holding:",
    nest.lockClass.name,
    "",
    ...backtrace(next.stack, style),
    "",
    "other info that might help us debug this:",
    ...heldText(task, style),
  ];
  return { kind: "nest-lock-not-held", title, text: text.join("\n"), task, lock: next.lock };
}

export function unlockBalance(task: Task, map: LockMap, stack: Stack, style: ReportStyle): Report {
  const title = "WARNING: bad unlock balance detected!";
  const text = [
    ...framed(title, 37, style),
    `${task} is trying to release lock (${map.lockClass.name}) at:`,
    stack.site,
    "but there are no more locks to release!",
    "",
    "other info that might help us debug this:",
    ...heldText(task, style),
    "",
    ...backtrace(stack, style),
  ];
  return { kind: "unlock-balance", title, text: text.join("\n"), task, lock: map };
}

/** `holders` hold the lock that `task` gives up; it may be one of them. */
export function heldLockFreed(
  task: Task,
  map: LockMap,
  holders: readonly Task[],
  stack: Stack,
  style: ReportStyle,
): Report {
  const title = "WARNING: held lock freed!";
  const text = [
    ...framed(title, 25, style),
    `${task} is freeing ${map.lockdep.describe(map)}, still held by ${holders.join(", ")}!`,
    "other info that might help us debug this:",
    ...heldText(task, style),
    "",
    ...backtrace(stack, style),
  ];
  return { kind: "held-lock-freed", title, text: text.join("\n"), task, lock: map };
}

export function exitWithLocks(task: Task, stack: Stack, style: ReportStyle): Report {
  const title = `WARNING: ${task} still has locks held!`;
  const text = [...framed(title, 36, style), ...heldText(task, style), "", ...backtrace(stack, style)];
  return { kind: "exit-with-locks", title, text: text.join("\n"), task, lock: task.held[0]?.lock };
}

/** `task` awaits, or is about to, with a spin-type lock held; `stack` is where, if that is known. */
export function atomicSleep(task: Task, stack: Stack | undefined, style: ReportStyle): Report {
  const title =
    stack === undefined
      ? `BUG: scheduling while atomic: ${task}`
      : `BUG: sleeping function called from invalid context at ${stack.site}`;
  const text = [
    title,
    ...withIdentity(style),
    ...heldText(task, style),
    ...(stack === undefined ? [] : backtrace(stack, style)),
  ];
  const spin = task.held.findLast((held) => spins(held.node.wait));
  return { kind: "atomic-sleep", title, text: text.join("\n"), task, lock: spin?.lock };
}
