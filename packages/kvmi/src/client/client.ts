import type { ValueOf } from "../codec/struct.js";
import { kvmRegs, kvmSregs, msrEntry } from "../codec/wire.js";
import type { CommandName, ReplyOf, Requests } from "../dialect/commands.js";
import type { CommandSpec, EventName } from "../dialect/dialect.js";
import * as L from "../dialect/layouts.js";
import { Errno, KvmiError } from "../errno.js";
import type { EventFilter } from "../filter.js";
import type { Identity } from "../server/handshake.js";
import type { Transport } from "../transport.js";
import type { Gpa } from "../units.js";
import { type ClientOptions, ToolConnection } from "./connection.js";
import type { KvmiEvent } from "./events.js";

/** Registers of a vCPU. */
export interface RegisterSet {
  /** Address width in bytes: 2, 4 or 8. */
  readonly mode: number;
  readonly regs: ValueOf<typeof kvmRegs>;
  readonly sregs: ValueOf<typeof kvmSregs>;
  /** By number. */
  readonly msrs: ReadonlyMap<number, bigint>;
}
/** As many as there are numbers for. */
const MOST_VCPUS = 0x10000;

export type Registers = ValueOf<typeof kvmRegs>;

/**
 * A tool's side of one connection. Commands reject with {@link KvmiError} if the machine refuses them, with {@link DisconnectedError} if
 * it is gone, with {@link ProtocolError} if what it says makes no sense, which ends the connection. Events that are not answered keep their vCPU waiting.
 */
export class KvmiClient {
  /** Events as they come; ends with the connection, after a {@link ProtocolError} if that was why. */
  readonly events: AsyncIterableIterator<KvmiEvent>;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  /** What the machine said about itself. */
  readonly identity: Identity;
  readonly #connection: ToolConnection;

  /** Answers the handshake on a connection the machine has opened. Rejects if it ends before that. */
  static async accept(transport: Transport, options: ClientOptions = {}): Promise<KvmiClient> {
    return new KvmiClient(await ToolConnection.accept(transport, options));
  }

  private constructor(connection: ToolConnection) {
    this.#connection = connection;
    this.identity = connection.identity;
    this.events = connection.events;
    this.closed = connection.closed;
  }

  /** Leaves. The machine undoes whatever was asked of it. */
  close(): void {
    this.#connection.close();
  }

  // Commands

  /** Sends any command; `tail` is what follows the request. Resolves with the reply data. */
  command<K extends CommandName>(name: K, request: Requests[K], vcpu = 0, tail?: Uint8Array): Promise<Uint8Array> {
    return this.#connection.command(name, request, vcpu, tail);
  }

  /** As {@link command}, with the fixed part of the reply read. */
  async ask<K extends CommandName>(name: K, request: Requests[K], vcpu = 0): Promise<NonNullable<ReplyOf<K>>> {
    const data = await this.command(name, request, vcpu);
    return (this.#connection.index.commandNamed(name) as CommandSpec<K>).reply?.decode(data) as NonNullable<ReplyOf<K>>;
  }

  /** Number of vCPUs. */
  async vcpuCount(): Promise<number> {
    const { vcpu_count: count } = await this.ask("getInfo", {});
    if (count > MOST_VCPUS) throw this.#connection.fail(`${count} vCPUs, where numbers have 16 bits`);
    return count;
  }

  /** `size` bytes of guest-physical memory, within one page. ENOENT: no memory there. */
  async readPhysical(gpa: Gpa | bigint, size: number): Promise<Uint8Array> {
    const data = await this.command("readPhysical", { gpa: BigInt(gpa), size: this.#size(size) });
    if (data.length !== size)
      throw this.#connection.fail(`${data.length} bytes of memory, where ${size} were asked for`);
    return data;
  }

  async writePhysical(gpa: Gpa | bigint, data: Uint8Array): Promise<void> {
    await this.command("writePhysical", { gpa: BigInt(gpa), size: this.#size(data.length) }, 0, data);
  }

  /** Sizes are of 16 bits in v12, of 64 elsewhere. */
  #size(bytes: number): number | bigint {
    return this.#connection.index.dialect.name === "v12" ? bytes : BigInt(bytes);
  }

  /** All registers, and MSRs by number. */
  async registers(vcpu: number, msrs: readonly number[] = []): Promise<RegisterSet> {
    const tail = new Uint8Array(4 * msrs.length);
    const list = new DataView(tail.buffer);
    msrs.forEach((msr, k) => void list.setUint32(4 * k, msr, true));
    const data = await this.command("getRegisters", { nmsrs: msrs.length }, vcpu, tail);
    const { mode, regs, sregs, count } = L.registersReply.decode(data);
    if (data.length !== L.registersReply.size + msrs.length * msrEntry.size || count !== msrs.length)
      throw this.#connection.fail(
        `registers with ${count} MSRs in ${data.length} bytes, where ${msrs.length} were asked for`,
      );
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

  /**
   * Has a vCPU stand still at its next boundary, or in the event that waits for its reply. Resolves when it does, with the function that lets it
   * go on; its PAUSE event is not among {@link events}.
   */
  async standStill(vcpu: number): Promise<() => void> {
    const hold = this.#connection.still.hold(vcpu);
    try {
      await this.pause(vcpu);
    } catch (error) {
      hold.forget();
      throw error;
    }
    await hold.stands();
    return () => hold.release();
  }

  /** Events of a vCPU, or of the whole machine for `unhook`, `createVcpu` and `cmdError`. */
  async controlEvent(vcpu: number, event: EventName, on: boolean): Promise<void> {
    const spec = this.#connection.index.eventNamed(event);
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

  /**
   * A breakpoint on the instruction at `gva` for every vCPU that has been started, as {@link controlCodeBreakpoint}: `breakpoint` events
   * with that RIP. Switching one off leaves the event enabled for others.
   */
  async breakpoint(gva: bigint, on = true): Promise<void> {
    for (let vcpu = 0, count = await this.vcpuCount(); vcpu < count; vcpu++) {
      try {
        if (on) await this.controlEvent(vcpu, "breakpoint", true);
        await this.controlCodeBreakpoint(vcpu, gva, on);
      } catch (error) {
        // One that has not been started executes nothing.
        if (!(error instanceof KvmiError && error.errno === Errno.EAGAIN)) throw error;
      }
    }
  }

  /** Leaves only the events that matter; judged in the machine. null: all that are enabled. */
  async setEventFilter(filter: EventFilter | null): Promise<void> {
    const { cr3, rip, value, events } = filter ?? {};
    const bits = (events ?? [])
      .map((name) => this.#connection.index.eventNamed(name)?.id)
      .filter((id) => id !== undefined);
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
}
