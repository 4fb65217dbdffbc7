import type { ValueOf } from "../codec/struct.js";
import { eventArch, vcpuHeader } from "../codec/wire.js";
import type { EventName, EventSpec } from "../dialect/dialect.js";
import type { DialectIndex } from "../dialect/index.js";
import * as L from "../dialect/layouts.js";
import type { Message } from "../framing.js";

/** What each event tells beyond the state of its vCPU. */
export interface EventData {
  unhook: object;
  cr: { readonly cr: number; readonly old_value: bigint; readonly new_value: bigint };
  msr: ValueOf<typeof L.msrEvent>;
  xsetbv: object;
  breakpoint: ValueOf<typeof L.breakpointEvent>;
  hypercall: object;
  pf: ValueOf<typeof L.pfEvent>;
  trap: ValueOf<typeof L.trapEvent>;
  descriptor: ValueOf<typeof L.descriptorEvent>;
  createVcpu: object;
  pause: object;
  singlestep: ValueOf<typeof L.singlestepEvent>;
  cmdError: ValueOf<typeof L.cmdErrorEvent>;
  cpuid: ValueOf<typeof L.cpuidEvent>;
}

export type VcpuState = ValueOf<typeof eventArch>;

/** What to do about an event. */
export interface EventAnswer {
  /** Default `continue`. `retry`: the instruction starts over at RIP. `crash`: the machine ends. */
  readonly action?: "continue" | "retry" | "crash";
  /** CR and MSR: what is written instead of the guest's value. */
  readonly newValue?: bigint;
  /** PF: what the instruction reads from linear address `address` on, up to 256 bytes. */
  readonly context?: { readonly address: bigint; readonly data: Uint8Array };
  /** PF: do not ask again for this repeated string instruction. */
  readonly repComplete?: boolean;
}

interface Event<K extends EventName> {
  readonly name: K;
  readonly vcpu: number;
  readonly seq: number;
  readonly data: EventData[K];
  /** Registers as they were before the instruction; zeros for what happens to no vCPU. Decoded when asked for. */
  readonly state: VcpuState;
  /** Lets the vCPU go on. Only the first answer counts; events without a reply take none. */
  reply(answer?: EventAnswer): void;
}
export type KvmiEvent = { [K in EventName]: Event<K> }[EventName];

const ACTIONS = { continue: 0, retry: 1, crash: 2 } as const;

/** Bytes in front of the state in the common part of an event. */
const COMMON_HEAD = 8;
const NO_STATE = new DataView(new ArrayBuffer(eventArch.size));

/** Takes an event message apart. @returns what is wrong with it, if it is none of this dialect */
export function readEvent(
  index: DialectIndex,
  message: Message,
  send: (payload: Uint8Array, vcpu: number) => void,
): KvmiEvent | string {
  const { view, seq, size } = message;
  const { vmEventId } = index.dialect.rules;
  const alone = vmEventId !== null && message.id === vmEventId;
  const common = vmEventId === null ? 0 : 8;
  const least = alone ? common : common + COMMON_HEAD + eventArch.size;
  if (size < least) return `an event of ${size} bytes, where ${least} are needed`;
  const id = vmEventId === null ? view.getUint8(4) : view.getUint16(0, true);
  const spec = index.event(id);
  if (spec === undefined) return `event ${id}, which ${index.dialect.name} has not`;
  if (vmEventId !== null && alone !== (spec.scope === "vm"))
    return `event ${spec.name} as a message of ${alone ? "the machine" : "a vCPU"}`;
  const vcpu = alone ? 0 : view.getUint16(common + 2, true);
  const at = alone ? common : common + view.getUint16(common, true);
  if (at < least || at + spec.specific.size > size)
    return `event ${spec.name} of ${size} bytes, whose own part of ${spec.specific.size} begins at ${at}`;
  const data = spec.specific.read(view, at) as object;
  let open = spec.reply !== null;
  let state: VcpuState | null = null;
  return {
    name: spec.name,
    vcpu,
    seq,
    data,
    get state() {
      state ??= alone ? eventArch.read(NO_STATE, 0) : eventArch.read(view, common + COMMON_HEAD);
      return state;
    },
    reply: (answer = {}) => {
      if (!open) return;
      open = false;
      send(encodeReply(spec, vcpu, data, answer), vcpu);
    },
  } as KvmiEvent;
}

/** Payload of an event reply. */
function encodeReply(spec: EventSpec, vcpu: number, data: object, answer: EventAnswer): Uint8Array {
  const at = vcpuHeader.size + L.eventReply.size;
  const payload = new Uint8Array(at + (spec.reply?.size ?? 0));
  const view = new DataView(payload.buffer);
  vcpuHeader.write(view, 0, { vcpu });
  L.eventReply.write(view, vcpuHeader.size, { action: ACTIONS[answer.action ?? "continue"], event: spec.id });
  if (spec.name === "cr" || spec.name === "msr") {
    L.newValue.write(view, at, { new_val: answer.newValue ?? (data as EventData["cr"]).new_value });
  } else if (spec.name === "pf" && spec.reply?.size === L.pfReply.size) {
    const { address = 0n, data: bytes = new Uint8Array(0) } = answer.context ?? {};
    L.pfReply.write(view, at, {
      ctx_addr: address,
      ctx_size: bytes.length,
      singlestep: 0,
      rep_complete: answer.repComplete ? 1 : 0,
      ctx_data: bytes,
    });
  }
  return payload;
}
