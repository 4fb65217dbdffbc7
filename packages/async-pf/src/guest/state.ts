import { AsyncPfError } from "../errors.js";
import type { NewNode } from "./sleepers.js";

/** What a snapshot keeps of the guest's side; the areas are in the guest's memory. */
export interface GuestAsyncPfState<Task> {
  readonly nodes: readonly NewNode<Task>[];
  /** CPUs that go round because there is no memory to note a wake-up, and its token. */
  readonly spinning: readonly (readonly [cpu: number, token: number])[];
}

const MAX_CPU = 0xfff;
const MAX_U32 = 0xffff_ffff;

const within = (value: unknown, max: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;

function fail(what: string): never {
  throw new AsyncPfError("state", `state of the guest's side: ${what}`);
}

function checkedNode<Task>(value: unknown, isTask: (task: unknown) => task is Task): NewNode<Task> {
  const { token, cpu, task, halts } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!within(token, MAX_U32)) return fail("tokens of 32 bits");
  if (!within(cpu, MAX_CPU)) return fail("CPUs from 0 to 4095");
  if (typeof halts !== "boolean") return fail("halts, true or false");
  if (task !== null && !isTask(task)) return fail("tasks that are the guest's, or null");
  return { token, cpu, task, halts };
}

function checkedSpin(value: unknown): readonly [number, number] {
  const [cpu, token] = Array.isArray(value) ? value : [];
  if (!within(cpu, MAX_CPU) || !within(token, MAX_U32)) return fail("a CPU and its token");
  return [cpu, token];
}

/** @throws AsyncPfError "state" */
export function checkedGuestState<Task>(
  value: unknown,
  isTask: (task: unknown) => task is Task,
): GuestAsyncPfState<Task> {
  const { nodes, spinning } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(nodes) || !Array.isArray(spinning)) return fail("{ nodes: [...], spinning: [...] }");
  const state = {
    nodes: nodes.map((node: unknown) => checkedNode(node, isTask)),
    spinning: spinning.map(checkedSpin),
  };
  if (new Set(state.nodes.map(({ token }) => token)).size < nodes.length) return fail("one node for a token");
  if (new Set(state.spinning.map(([cpu]) => cpu)).size < spinning.length) return fail("one token for a CPU");
  return state;
}
