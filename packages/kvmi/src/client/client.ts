import type { ValueOf } from "../codec/struct.js";
import {
  errorCode,
  handshakeFromTool,
  handshakeFromVm,
  header,
  kvmRegs,
  kvmSregs,
  msrEntry,
  vcpuHeader,
} from "../codec/wire.js";
import type { CommandName, ReplyOf, Requests } from "../dialect/commands.js";
import type { CommandSpec, Dialect, EventName } from "../dialect/dialect.js";
import { DIALECTS, DialectIndex } from "../dialect/index.js";
import * as L from "../dialect/layouts.js";
import { Errno, KvmiError } from "../errno.js";
import type { EventFilter } from "../filter.js";
import { type Message, MessageReader } from "../framing.js";
import type { Identity } from "../server/handshake.js";
import type { Transport } from "../transport.js";
import { type KvmiEvent, readEvent } from "./events.js";
import { AsyncQueue } from "./queue.js";

export interface ClientOptions {
  /** Default: `DIALECTS.libkvmi`. Both sides must be told the same. */
  readonly dialect?: Dialect | undefined;
  /** {@link cookieHash} of the shared secret. */
  readonly cookieHash?: Uint8Array | undefined;
}

/** Registers of a vCPU. */
export interface RegisterSet {
  /** Address width in bytes: 2, 4 or 8. */
  readonly mode: number;
  readonly regs: ValueOf<typeof kvmRegs>;
  readonly sregs: ValueOf<typeof kvmSregs>;
  /** By number. */
  readonly msrs: ReadonlyMap<number, bigint>;
}
export type Registers = ValueOf<typeof kvmRegs>;

/** The connection ended before a command was answered. */
export class DisconnectedError extends Error {
  override readonly name = "DisconnectedError";
  constructor() {
    super("the machine has closed the connection");
  }
}

interface Outstanding {
  readonly spec: CommandSpec;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A tool's side of one connection. Commands reject with {@link KvmiError} if the machine refuses them, with {@link DisconnectedError} if
 * it is gone. Events that are not answered keep their vCPU waiting.
 */
export class KvmiClient {
  /** Events as they come; ends with the connection. */
  readonly events: AsyncIterableIterator<KvmiEvent>;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #transport: Transport;
  readonly #index: DialectIndex;
  readonly #reader: MessageReader;
  readonly #queue = new AsyncQueue<KvmiEvent>();
  readonly #outstanding = new Map<number, Outstanding>();
  #seq = 0;
  #open = true;
  #tellClosed: () => void = () => undefined;

  /** Answers the handshake on a connection the machine has opened. Rejects if it ends before that. */
  static accept(
    transport: Transport,
    { dialect = DIALECTS.libkvmi, cookieHash }: ClientOptions = {},
  ): Promise<KvmiClient> {
    return new Promise((resolve, reject) => {
      let client: KvmiClient | null = null;
      let bytes = new Uint8Array(0);
      transport.start({
        data: (more) => {
          if (client !== null) {
            client.#reader.push(more);
            return;
          }
          const all = new Uint8Array(bytes.length + more.length);
          all.set(bytes);
          all.set(more, bytes.length);
          bytes = all;
          const size = bytes.length < 4 ? handshakeFromVm.size : new DataView(bytes.buffer).getUint32(0, true);
          if (bytes.length < size) return;
          const known = new Uint8Array(handshakeFromVm.size);
          known.set(bytes.subarray(0, Math.min(size, known.length)));
          client = new KvmiClient(transport, new DialectIndex(dialect), identityOf(known));
          const hash = cookieHash ?? new Uint8Array(20);
          transport.write(handshakeFromTool.encode({ struct_size: handshakeFromTool.size, cookie_hash: hash }));
          client.#reader.push(bytes.subarray(size));
          resolve(client);
        },
        drained: () => undefined,
        closed: () => {
          if (client === null) reject(new DisconnectedError());
          else client.#end();
        },
      });
    });
  }

  private constructor(
    transport: Transport,
    index: DialectIndex,
    /** What the machine said about itself. */
    readonly identity: Identity,
  ) {
    this.#transport = transport;
    this.#index = index;
    this.events = this.#queue;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#reader = new MessageReader({
      room: () => 0,
      message: (message) => {
        this.#take(message);
        return true;
      },
      oversized: () => this.close(),
    });
  }

  /** Leaves. The machine undoes whatever was asked of it. */
  close(): void {
    this.#transport.close();
    this.#end();
  }

  // Commands

  /** Sends any command; `tail` is what follows the request. Resolves with the reply data. */
  command<K extends CommandName>(name: K, request: Requests[K], vcpu = 0, tail?: Uint8Array): Promise<Uint8Array> {
    const spec = this.#index.commandNamed(name) as CommandSpec<K> | undefined;
    if (spec === undefined) return Promise.reject(new KvmiError(name, Errno.ENOSYS));
    if (!this.#open) return Promise.reject(new DisconnectedError());
    const at = spec.vcpuHeader ? vcpuHeader.size : 0;
    const payload = new Uint8Array(at + spec.request.size + (tail?.length ?? 0));
    const view = new DataView(payload.buffer);
    if (spec.vcpuHeader) vcpuHeader.write(view, 0, { vcpu });
    spec.request.write(view, at, request);
    if (tail !== undefined) payload.set(tail, at + spec.request.size);
    this.#seq = (this.#seq + 1) >>> 0;
    const seq = this.#seq;
    return new Promise((resolve, reject) => {
      this.#outstanding.set(seq, { spec: spec as unknown as CommandSpec, resolve, reject });
      this.#send(spec.id, seq, payload);
    });
  }

  /** As {@link command}, with the fixed part of the reply read. */
  async ask<K extends CommandName>(name: K, request: Requests[K], vcpu = 0): Promise<NonNullable<ReplyOf<K>>> {
    const data = await this.command(name, request, vcpu);
    return (this.#index.commandNamed(name) as CommandSpec<K>).reply?.decode(data) as NonNullable<ReplyOf<K>>;
  }

  /** Number of vCPUs. */
  async vcpuCount(): Promise<number> {
    return (await this.ask("getInfo", {})).vcpu_count;
  }

  /** `size` bytes of guest-physical memory, within one page. ENOENT: no memory there. */
  readPhysical(gpa: number | bigint, size: number): Promise<Uint8Array> {
    return this.command("readPhysical", { gpa: BigInt(gpa), size: this.#size(size) });
  }

  async writePhysical(gpa: number | bigint, data: Uint8Array): Promise<void> {
    await this.command("writePhysical", { gpa: BigInt(gpa), size: this.#size(data.length) }, 0, data);
  }

  /** Sizes are of 16 bits in v12, of 64 elsewhere. */
  #size(bytes: number): number | bigint {
    return this.#index.dialect.name === "v12" ? bytes : BigInt(bytes);
  }

  /** All registers, and MSRs by number. */
  async registers(vcpu: number, msrs: readonly number[] = []): Promise<RegisterSet> {
    const tail = new Uint8Array(4 * msrs.length);
    const list = new DataView(tail.buffer);
    msrs.forEach((msr, k) => void list.setUint32(4 * k, msr, true));
    const data = await this.command("getRegisters", { nmsrs: msrs.length }, vcpu, tail);
    const { mode, regs, sregs, count } = L.registersReply.decode(data);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const values = new Map<number, bigint>();
    for (let k = 0; k < count; k++) {
      const entry = msrEntry.read(view, L.registersReply.size + k * msrEntry.size);
      values.set(entry.index, entry.data);
    }
    return { mode, regs: kvmRegs.decode(regs), sregs: kvmSregs.decode(sregs), msrs: values };
  }

  /** Takes effect with the reply to the event that the vCPU waits for; EOPNOTSUPP if it waits for none. */
  async setRegisters(vcpu: number, regs: Registers): Promise<void> {
    await this.command("setRegisters", { regs: kvmRegs.encode(regs) }, vcpu);
  }

  /** One PAUSE event follows. */
  async pause(vcpu: number): Promise<void> {
    await this.command("pause", { wait: 0, vcpu }, vcpu);
  }

  /** Events of a vCPU, or of the whole machine for `unhook`, `createVcpu` and `cmdError`. */
  async controlEvent(vcpu: number, event: EventName, on: boolean): Promise<void> {
    const spec = this.#index.eventNamed(event);
    if (spec === undefined) throw new KvmiError(`controlEvent ${event}`, Errno.EINVAL);
    const request = { event_id: spec.id, enable: on ? 1 : 0 };
    await this.command(spec.scope === "vm" ? "vmControlEvents" : "vcpuControlEvents", request, vcpu);
  }

  async controlCr(vcpu: number, cr: number, on: boolean): Promise<void> {
    await this.command("controlCr", { cr, enable: on ? 1 : 0 }, vcpu);
  }

  async controlMsr(vcpu: number, msr: number, on: boolean): Promise<void> {
    await this.command("controlMsr", { msr, enable: on ? 1 : 0 }, vcpu);
  }

  /**
   * Has BREAKPOINT (of length 0) sent before each execution of the instruction at `gva`, in any address space, while that event is enabled.
   * Memory is not changed: the guest cannot see it. `continue` executes the instruction.
   */
  async controlCodeBreakpoint(vcpu: number, gva: bigint, on: boolean): Promise<void> {
    await this.command("controlCodeBreakpoint", { gva, enable: on ? 1 : 0 }, vcpu);
  }

  /** Leaves only the events that matter; judged in the machine. null: all that are enabled. */
  async setEventFilter(filter: EventFilter | null): Promise<void> {
    const { cr3, rip, value, events } = filter ?? {};
    const bits = (events ?? []).map((name) => this.#index.eventNamed(name)?.id).filter((id) => id !== undefined);
    const given = [cr3, rip, value, events];
    await this.command("setEventFilter", {
      flags: given.reduce<number>((flags, each, k) => (each === undefined ? flags : flags | (1 << k)), 0),
      events: bits.reduce((mask, id) => (mask | (1 << id)) >>> 0, 0),
      cr3: cr3 ?? 0n,
      rip_from: rip?.from ?? 0n,
      rip_to: rip?.to ?? 0n,
      value_mask: value?.mask ?? 0n,
      value_equals: value?.equals ?? 0n,
    });
  }

  async controlSinglestep(vcpu: number, on: boolean): Promise<void> {
    await this.command("controlSinglestep", { enable: on ? 1 : 0 }, vcpu);
  }

  /** Access bits (1 read, 2 write, 4 execute) that the guest has to pages, by guest-physical address. */
  async setPageAccess(pages: ReadonlyMap<number, number>, view = 0): Promise<void> {
    const entry = L.pageAccessEntry;
    const tail = new Uint8Array(pages.size * entry.size);
    const list = new DataView(tail.buffer);
    let at = 0;
    for (const [gpa, access] of pages) {
      entry.write(list, at, { gpa: BigInt(gpa), access });
      at += entry.size;
    }
    await this.command("setPageAccess", { view, count: pages.size }, 0, tail);
  }

  /** Guest-physical address behind a linear one; null if it is not mapped. */
  async translate(vcpu: number, gva: bigint): Promise<bigint | null> {
    const { gpa } = await this.ask("translateGva", { gva }, vcpu);
    return gpa === 0xffff_ffff_ffff_ffffn ? null : gpa;
  }

  async injectException(vcpu: number, nr: number, errorCode = 0, address = 0n): Promise<void> {
    await this.command("injectException", { nr, error_code: errorCode, address }, vcpu);
  }

  // The stream

  #send(id: number, seq: number, payload: Uint8Array): void {
    const bytes = new Uint8Array(header.size + payload.length);
    header.write(new DataView(bytes.buffer), 0, { id, size: payload.length, seq });
    bytes.set(payload, header.size);
    this.#transport.write(bytes);
  }

  #take(message: Message): void {
    const { eventReplyId, vmEventId } = this.#index.dialect.rules;
    const outstanding = this.#outstanding.get(message.seq);
    if (message.id === 1 || message.id === vmEventId) {
      this.#queue.push(readEvent(this.#index, message, (payload) => this.#send(eventReplyId, message.seq, payload)));
      return;
    }
    if (outstanding === undefined) return;
    this.#outstanding.delete(message.seq);
    const { err } = errorCode.read(message.view, 0);
    if (err === 0) outstanding.resolve(message.payload.subarray(errorCode.size, message.size));
    else outstanding.reject(new KvmiError(outstanding.spec.name, -err));
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reader.end();
    this.#queue.end();
    for (const { reject } of this.#outstanding.values()) reject(new DisconnectedError());
    this.#outstanding.clear();
    this.#tellClosed();
  }
}

function identityOf(bytes: Uint8Array): Identity {
  const { uuid, start_time, name } = handshakeFromVm.decode(bytes);
  const end = name.indexOf(0);
  return {
    uuid,
    startTime: Number(start_time),
    name: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
  };
}
