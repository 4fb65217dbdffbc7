import { AsyncPfError } from "../errors.js";
import { MAX_TOKEN_ID } from "./token.js";
import type { VcpuAsyncPfState } from "./vcpu-async-pf.js";

/** Plain data: what a snapshot keeps of a VM. */
export interface VmAsyncPfState {
  readonly vcpus: readonly VcpuAsyncPfState[];
}

const within = (value: unknown, min: number, max: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

function check(what: string, ok: boolean, accepted: string): void {
  if (!ok) throw new AsyncPfError("state", `${what}: ${accepted}`);
}

/** These keys and no others. */
function checkKeys(what: string, value: Readonly<Record<string, unknown>>, keys: readonly string[]): void {
  const isRecord = !Array.isArray(value) && Object.keys(value).length === keys.length;
  check(what, isRecord && keys.every((key) => Object.hasOwn(value, key)), `a record of ${keys.join(", ")}`);
}

function checkedVcpu(value: unknown, id: number): VcpuAsyncPfState {
  const where = `state of vCPU ${id}`;
  if (!isObject(value)) throw new AsyncPfError("state", `${where}: an object`);
  checkKeys(where, value, ["id", "enable", "vector", "nextId", "pageReadyPending"]);
  const { enable, vector, nextId, pageReadyPending } = value;
  check(`${where}, id`, value.id === id, `${id}`);
  const [lo, hi] = Array.isArray(enable) && enable.length === 2 ? enable : [];
  check(`${where}, enable`, within(lo, 0, 0xffff_ffff) && within(hi, 0, 0xffff_ffff), "two integers of 32 bits");
  check(`${where}, vector`, within(vector, 0, 0xff), "0 to 255");
  check(`${where}, nextId`, within(nextId, 1, MAX_TOKEN_ID), `1 to ${MAX_TOKEN_ID}`);
  check(`${where}, pageReadyPending`, typeof pageReadyPending === "boolean", "true or false");
  return {
    id,
    enable: [lo, hi],
    vector: vector as number,
    nextId: nextId as number,
    pageReadyPending: pageReadyPending as boolean,
  };
}

/**
 * The states of these vCPUs, in this order, numbers in range.
 * @throws AsyncPfError "state"
 */
export function checkedState(value: unknown, ids: readonly number[]): readonly VcpuAsyncPfState[] {
  const vcpus = isObject(value) ? value.vcpus : undefined;
  if (!Array.isArray(vcpus)) throw new AsyncPfError("state", "state of asynchronous page faults: { vcpus: [...] }");
  checkKeys("state of asynchronous page faults", value as Readonly<Record<string, unknown>>, ["vcpus"]);
  check("state, vcpus", vcpus.length === ids.length, `${ids.length} of them`);
  return ids.map((id, index) => checkedVcpu(vcpus[index], id));
}
