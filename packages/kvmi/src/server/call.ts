import { errorCode, header } from "../codec/wire.js";
import type { CommandName, ReplyOf, Requests } from "../dialect/commands.js";
import type { CommandSpec, Dialect } from "../dialect/dialect.js";
import type { Errno } from "../errno.js";
import type { Message } from "../framing.js";
import type { Session, Silence } from "./session.js";
import type { HookedVcpu } from "./vcpu.js";

/** No reply: the connection ends. */
export const CLOSE = Symbol("close");

/** No reply yet: nothing was done, and the command is carried out anew when it can be. */
export const LATER = Symbol("later");

/** What a handler comes to: success without data (0), a refusal, success with the reply that has its data, the end of the connection, or nothing yet. */
export type Outcome = 0 | Errno | DataView | typeof CLOSE | typeof LATER;

/** Where the data lies in a reply: behind the header and the error code. */
export const DATA = header.size + errorCode.size;

/** One command on its way. */
export interface Call<K extends CommandName = CommandName> {
  readonly session: Session;
  readonly dialect: Dialect;
  readonly spec: CommandSpec<K>;
  readonly message: Message;
  readonly request: Requests[K];
  /** Byte of the payload where the list or data behind the request starts. */
  readonly tail: number;
  /** As it was when the command was queued. */
  readonly silence: Silence;
  /** Who carries it out; null: the receiving side. */
  readonly vcpu: HookedVcpu | null;
}

export interface VcpuCall<K extends CommandName = CommandName> extends Call<K> {
  readonly vcpu: HookedVcpu;
}

export type VmHandler<K extends CommandName> = (call: Call<K>) => Outcome;
export type VcpuHandler<K extends CommandName> = (call: VcpuCall<K>) => Outcome;

/** The reply data of `call`. */
export function answer<K extends CommandName>(call: Call<K>, value: NonNullable<ReplyOf<K>>): DataView {
  const { reply } = call.spec;
  if (reply === null) throw new TypeError(`${call.spec.name} has no reply data`);
  const out = call.session.replyWith(reply.size);
  reply.write(out, DATA, value);
  return out;
}

/** A switch as a boolean; null if the dialect has it refused. */
export function switched(call: Call, value: number): boolean | null {
  return call.dialect.rules.strictSwitches && value > 1 ? null : value !== 0;
}
