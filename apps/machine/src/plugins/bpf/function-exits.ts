import type { Disposer } from "../../emitter.js";
import type { VcpuHandle } from "../../vcpu-handle.js";
import { functionArguments } from "./shadow.js";

/** Calls of a function that have begun and not ended, at most: of those beyond it nobody hears. */
const CALLS_MOST = 4096;

/** A call that has begun: where its stack is, and what it was given. */
interface Call {
  readonly stack: bigint;
  readonly words: readonly bigint[];
}

/**
 * Calls `ended` when a function returns, with the arguments that it was called with. A call is known again by the place of its return address on the
 * stack, which is its task's: a task may be scheduled away within it, and go on on another processor.
 */
export function functionExits(
  vcpus: readonly VcpuHandle[],
  address: bigint,
  ended: (vcpu: VcpuHandle, words: readonly bigint[]) => void,
): Disposer {
  /** By return address. */
  const returns = new Map<bigint, { readonly calls: Map<bigint, Call>; readonly end: Disposer }>();
  let open = 0;

  const returned = (vcpu: VcpuHandle, to: bigint): void => {
    const place = returns.get(to);
    // RET has taken the return address.
    const stack = vcpu.registers.rsp - 8n;
    const call = place?.calls.get(stack);
    if (place === undefined || call === undefined) return;
    place.calls.delete(stack);
    open--;
    if (place.calls.size === 0) {
      place.end();
      returns.delete(to);
    }
    ended(vcpu, call.words);
  };

  const began = (vcpu: VcpuHandle): void => {
    const stack = vcpu.registers.rsp;
    const to = vcpu.memory.readU64(stack);
    if (to === null || open === CALLS_MOST) return;
    let place = returns.get(to);
    if (place === undefined) {
      const ends = vcpus.map((each) => each.breakpoint(to, () => returned(each, to)));
      place = {
        calls: new Map(),
        end: () => {
          for (const end of ends) end();
        },
      };
      returns.set(to, place);
    }
    if (!place.calls.has(stack)) open++;
    place.calls.set(stack, { stack, words: functionArguments(vcpu.cpu) });
  };

  const entries = vcpus.map((vcpu) => vcpu.breakpoint(address, () => began(vcpu)));
  return () => {
    for (const end of entries) end();
    for (const { end } of returns.values()) end();
  };
}
