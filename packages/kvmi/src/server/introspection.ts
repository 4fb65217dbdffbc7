import { header, vcpuHeader } from "../codec/wire.js";
import type { CommandName } from "../dialect/commands.js";
import type { CommandSpec, EventName, EventSpec } from "../dialect/dialect.js";
import type { DialectIndex } from "../dialect/index.js";
import * as L from "../dialect/layouts.js";
import { Errno, errnoName } from "../errno.js";
import type { EventFilter } from "../filter.js";
import type { Message } from "../framing.js";
import { Intake, Stop } from "../intake.js";
import type { VmPort } from "../ports.js";
import { bytesOf, Slab } from "../slab.js";
import type { Transport } from "../transport.js";
import { afterTurn } from "../turn.js";
import type { Gpa } from "../units.js";
import { type Call, CLOSE, DATA, LATER, type Outcome, type VcpuCall } from "./call.js";
import type { Masks } from "./masks.js";
import type { Session, Silence } from "./session.js";
import { EVENT_COMMON } from "./state.js";
import { HookedVcpu } from "./vcpu.js";
import { VCPU_HANDLERS } from "./vcpu-commands.js";
import { VM_HANDLERS } from "./vm-commands.js";

export interface IntrospectionDesc {
  readonly vm: VmPort;
  readonly index: DialectIndex;
  readonly masks: Masks;
  readonly transport: Transport;
  readonly filter: EventFilter | null;
  /** What went wrong, in a line for a person. */
  readonly log: (message: string) => void;
  readonly onCommand: () => void;
  readonly onReply: () => void;
  /** Called once, when the hook has ended and everything is undone. */
  readonly onEnd: () => void;
}

/**
 * One hook: from the end of the handshake until the connection is gone. Takes messages in the order of the kernel's receiving thread,
 * carries VM commands out itself and hands vCPU commands to their vCPU as jobs.
 */
export class Introspection implements Session {
  readonly vm: VmPort;
  readonly index: DialectIndex;
  readonly masks: Masks;
  readonly vcpus: readonly HookedVcpu[];
  readonly vmEvents = new Set<EventName>();
  cleanup = true;
  silence: Silence = null;
  filter: EventFilter | null;
  toolFilter: EventFilter | null = null;
  readonly #transport: Transport;
  readonly #log: (message: string) => void;
  readonly #onCommand: () => void;
  readonly #onReply: () => void;
  readonly #onEnd: () => void;
  readonly #intake: Intake;
  readonly #slab = new Slab();
  #seq = 0;
  #after: (() => void) | null = null;
  #ended = false;
  /** Carries out the command that waits for memory. */
  #late: (() => void) | null = null;
  #hasWaited = false;
  /** vCPUs that have too many jobs. */
  #crowded = 0;

  constructor({ vm, index, masks, transport, filter, log, onCommand, onReply, onEnd }: IntrospectionDesc) {
    this.vm = vm;
    this.index = index;
    this.masks = masks;
    this.filter = filter;
    this.#transport = transport;
    this.#log = log;
    this.#onCommand = onCommand;
    this.#onReply = onReply;
    this.#onEnd = onEnd;
    vm.reset();
    this.vcpus = vm.vcpus.map((port, k) => new HookedVcpu(k, port, this));
    for (const vcpu of this.vcpus) vcpu.port.connect(vcpu);
    this.#intake = new Intake({
      transport,
      room: (id) => this.#room(id),
      take: (message) => {
        try {
          this.#dispatch(message);
        } catch (error) {
          this.#failed(error);
        }
      },
      oversized: (size) => this.close(`a message of ${size} bytes`),
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  // The stream

  data(bytes: Uint8Array): void {
    if (!this.#ended) this.#intake.push(bytes);
  }

  drained(): void {
    this.#intake.goOn(Stop.Full);
  }

  crowded(crowded: boolean): void {
    this.#crowded += crowded ? 1 : -1;
    if (this.#crowded > 0) this.#intake.stop(Stop.Jobs);
    else afterTurn(() => this.#crowded === 0 && this.#intake.goOn(Stop.Jobs));
  }

  carry(job: () => void): void {
    try {
      job();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What a tool has asked for has failed in a way nobody foresaw: that ends its connection, not the program. */
  #failed(error: unknown): void {
    this.close(`${FAILED}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  /** Ends the hook: everything is undone at once, the connection goes. @param reason null: the owner wants it so */
  close(reason: string | null): void {
    if (this.#ended) return;
    if (reason !== null) this.#log(reason);
    this.#end();
    this.#transport.close();
  }

  /** The connection has gone by itself. */
  closed(): void {
    if (!this.#ended) this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#intake.end();
    for (const vcpu of this.vcpus) this.cleanup ? vcpu.unhook() : vcpu.abandon();
    if (this.cleanup) this.vm.reset();
    this.#onEnd();
  }

  #write(view: DataView): void {
    // A tool that does not read its replies is not read from either.
    if (!this.#ended && !this.#transport.write(bytesOf(view))) this.#intake.stop(Stop.Full);
  }

  // Commands

  /** Shorter messages are taken as if zeros followed. */
  #room(id: number): number {
    if (id === this.index.dialect.rules.eventReplyId) return vcpuHeader.size + L.eventReply.size;
    const spec = this.index.command(id);
    return spec === undefined ? 0 : (spec.vcpuHeader ? vcpuHeader.size : 0) + spec.request.size;
  }

  #dispatch(message: Message): void {
    const { id } = message;
    if (id === this.index.dialect.rules.eventReplyId) {
      this.#onReply();
      this.#toVcpu(message, (vcpu) => {
        if (!vcpu.reply(message)) this.close(`event reply ${message.seq} is not valid`);
      });
      return;
    }
    this.#onCommand();
    const spec = this.index.command(id);
    if (spec === undefined) this.#refuse(message, Errno.ENOSYS);
    else if (!this.masks.command(id)) this.#refuse(message, Errno.EPERM);
    else if (spec.runsOn === "vm")
      this.#finish(this.#call(message, spec, this.silence, null), handler(VM_HANDLERS, spec));
    else {
      const { silence } = this;
      this.#toVcpu(message, (vcpu) => {
        this.#finish(this.#call(message, spec, silence, vcpu) as VcpuCall, handler(VCPU_HANDLERS, spec));
      });
    }
  }

  /** Queues a message for the vCPU it names. */
  #toVcpu(message: Message, job: (vcpu: HookedVcpu) => void): void {
    if (!vcpuHeader.clean(message.view, 0)) {
      this.close(`message ${message.id} has padding that is not zero`);
      return;
    }
    const vcpu = this.vcpus[message.view.getUint16(0, true)];
    if (vcpu === undefined) this.#refuseAlone(message, Errno.EINVAL);
    else if (!vcpu.port.initialized && !vcpu.waiting) this.#refuseAlone(message, Errno.EAGAIN);
    else vcpu.queue(() => job(vcpu));
  }

  #call<K extends CommandName>(
    message: Message,
    spec: CommandSpec<K>,
    silence: Silence,
    vcpu: HookedVcpu | null,
  ): Call<K> {
    const at = spec.vcpuHeader ? vcpuHeader.size : 0;
    const request = spec.request.read(message.view, at);
    const { dialect } = this.index;
    return { session: this, dialect, spec, message, request, tail: at + spec.request.size, silence, vcpu };
  }

  /** Carries a command out and answers it. */
  #finish<C extends Call>(call: C, work: (call: C) => Outcome): void {
    const { spec, message } = call;
    const at = spec.vcpuHeader ? vcpuHeader.size : 0;
    // CONTROL_CMD_RESPONSE judges its padding itself.
    const clean = spec.name === "controlCmdResponse" || spec.request.clean(message.view, at);
    const outcome = clean ? work(call) : Errno.EINVAL;
    if (outcome === LATER) {
      // Commands are answered in their order: nothing more is taken meanwhile.
      this.#late = () => this.#finish(call, work);
      this.#intake.stop(Stop.Memory);
      return;
    }
    // What it just set holds for its own reply, or not, as it asked.
    const silence = spec.name === "controlCmdResponse" ? this.#ownSilence(call) : call.silence;
    if (outcome === CLOSE) this.close(`${spec.name} cannot be answered`);
    else if (silence === null) this.#reply(message, outcome);
    else if (spec.reply !== null) this.close(`${spec.name} has an answer, but replies are off`);
    else if (outcome !== 0 && silence.withEvent) this.#reportError(message, outcome as Errno);
    const after = this.#after;
    this.#after = null;
    after?.();
  }

  reaches(gpa: Gpa, size: number): boolean {
    return this.#hasWaited || (this.vm.ready?.(gpa, size, () => this.#arrived()) ?? true);
  }

  /** What a command waits for has come. If it has not after all, the command fails as any. */
  #arrived(): void {
    const late = this.#late;
    this.#late = null;
    if (this.#ended || late === null) return;
    this.#hasWaited = true;
    this.carry(late);
    this.#hasWaited = false;
    this.#intake.goOn(Stop.Memory);
  }

  afterReply(work: () => void): void {
    this.#after = work;
  }

  #ownSilence({ request, silence }: Call): Silence {
    return (request as { now: number }).now !== 0 ? this.silence : silence;
  }

  /** An id nobody implements, or one the owner forbids. */
  #refuse(message: Message, error: Errno): void {
    if (this.silence === null) this.#reply(message, error);
    else this.close(`message ${message.id}: ${errnoName(error)}, and replies are off`);
  }

  /** A vCPU that cannot take commands. */
  #refuseAlone(message: Message, error: Errno): void {
    if (this.silence === null) this.#reply(message, error);
    else if (this.index.command(message.id)?.reply != null) this.#refuse(message, error);
    else if (this.silence.withEvent) this.#reportError(message, error);
  }

  replyWith(size: number): DataView {
    return this.#slab.take(DATA + size);
  }

  #reply({ id, seq }: Message, outcome: 0 | Errno | DataView): void {
    const view = typeof outcome === "number" ? this.replyWith(0) : outcome;
    view.setUint16(0, id, true);
    view.setUint16(2, view.byteLength - header.size, true);
    view.setUint32(4, seq, true);
    if (typeof outcome === "number") view.setInt32(header.size, -outcome, true);
    this.#write(view);
  }

  #reportError({ id, seq }: Message, error: Errno): void {
    const spec = this.index.eventNamed("cmdError");
    if (spec === undefined || !this.masks.event(spec.id))
      this.close("an error cannot be reported: CMD_ERROR is not allowed");
    else this.sendEvent(spec, { err: -error, msg_seq: seq, msg_id: id });
  }

  // Events

  sendEvent(spec: EventSpec, specific: object, fill?: (view: DataView) => void, vcpu = 0): number | null {
    if (this.#ended) return null;
    const { vmEventId } = this.index.dialect.rules;
    const alone = vmEventId !== null && spec.scope === "vm";
    const named = vmEventId === null ? 0 : EVENT_ID_SIZE;
    const common = alone ? 0 : EVENT_COMMON;
    const body = header.size + named;
    const view = this.#slab.take(body + common + spec.specific.size);
    this.#seq = (this.#seq + 1) >>> 0;
    view.setUint16(0, alone ? vmEventId : EVENT_ID, true);
    view.setUint16(2, view.byteLength - header.size, true);
    view.setUint32(4, this.#seq, true);
    if (named > 0) view.setUint16(header.size, spec.id, true);
    if (!alone) {
      view.setUint16(body, EVENT_COMMON, true);
      view.setUint16(body + 2, vcpu, true);
      if (named === 0) view.setUint8(body + 4, spec.id);
      fill?.(new DataView(view.buffer, view.byteOffset + body, EVENT_COMMON));
    }
    spec.specific.write(view, body + common, specific as never);
    this.#write(view);
    return this.#seq;
  }

  /** Asks the tool to undo its changes and leave. False: it does not want to be told. */
  sendUnhook(): boolean {
    const spec = this.index.eventNamed("unhook");
    if (spec === undefined || !this.vmEvents.has("unhook") || !this.masks.event(spec.id)) return false;
    return this.sendEvent(spec, {}) !== null;
  }

  crash(vcpu: number): void {
    this.#log(`the tool ends the machine (vCPU ${vcpu})`);
    this.vm.crash();
  }
}

/** How the log begins when the fault is not the tool's. */
export const FAILED = "introspection has failed";
/** Message id of events in every dialect. */
const EVENT_ID = 1;
/** kvmi_event_hdr: the event's id, where messages do not tell otherwise. */
const EVENT_ID_SIZE = 8;

type Handlers = Readonly<Partial<Record<CommandName, (call: never) => Outcome>>>;

function handler(handlers: Handlers, { name }: CommandSpec): (call: Call) => Outcome {
  const found = handlers[name];
  if (found === undefined) throw new TypeError(`${name} is in the table, but nothing carries it out`);
  return found as (call: Call) => Outcome;
}
