import type { EventSpec } from "../dialect/dialect.js";
import * as L from "../dialect/layouts.js";
import type { PageVerdict, Verdict } from "../ports.js";

/** Actions of an event reply. */
export const Action = { Continue: 0, Retry: 1, Crash: 2 } as const;

/** Bytes that a reply to PF can have read instead of memory. */
const MAX_CONTEXT = 256;

/** What came back for an event: the action, and the specific part if there is one. */
export interface Reply {
  readonly action: number;
  /** Zero-filled to the expected size. Null: no reply will come, go on as if there had been no event. */
  readonly specific: DataView | null;
}

/** The tool is gone. */
export const LOST: Reply = { action: Action.Continue, specific: null };

/** The specific part of a reply to `spec`, as long as it should be. Null: it is not valid. */
export function readSpecific({ name, reply }: EventSpec, bytes: Uint8Array): DataView | null {
  const size = reply?.size ?? 0;
  if (bytes.length > size) return null;
  const whole = new Uint8Array(size);
  whole.set(bytes);
  const view = new DataView(whole.buffer);
  const valid =
    name !== "pf" || size === 0 || (L.pfReply.clean(view, 0) && L.pfReply.read(view, 0).ctx_size <= MAX_CONTEXT);
  return valid ? view : null;
}

/** Anything but CONTINUE lets the instruction start over. */
export const verdict = ({ action }: Reply): Verdict => (action === Action.Continue ? "continue" : "retry");

/** The value to write; null if the write does not happen. Without a reply the guest's own value stands. */
export function replacement({ action, specific }: Reply, own: bigint): bigint | null {
  if (specific === null) return own;
  return action === Action.Continue ? L.newValue.read(specific, 0).new_val : null;
}

export function pageVerdict(reply: Reply): PageVerdict {
  const { specific } = reply;
  const action = verdict(reply);
  if (specific === null || specific.byteLength === 0) return { action, context: null, repComplete: false };
  const { ctx_addr, ctx_size, rep_complete, ctx_data } = L.pfReply.read(specific, 0);
  return {
    action,
    context: ctx_size === 0 ? null : { address: ctx_addr, data: ctx_data.subarray(0, ctx_size) },
    repComplete: rep_complete !== 0,
  };
}
