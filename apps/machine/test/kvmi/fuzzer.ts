import {
  type CommandName,
  type CommandSpec,
  commandsOf,
  DIALECTS,
  DialectIndex,
  type DialectName,
  type EventName,
  errorCode,
  eventArch,
  handshakeFromTool,
  handshakeFromVm,
  header,
  kvmRegs,
  MAX_PAYLOAD,
  type Transport,
  vcpuHeader,
} from "@vm/kvmi";
import type { Random } from "./random.js";

/** What a guest would not survive, whoever did it: left out, or led to where it does no harm. */
export interface Harmless {
  /** Two pages that nothing depends on; null: nothing is written, remapped or given another content. */
  readonly scratch: number | null;
  /** The guest survives any exception. */
  readonly exceptions: boolean;
}

export interface FuzzerDesc {
  readonly dialect: DialectName;
  readonly random: Random;
  readonly vcpus: number;
  readonly harmless: Harmless;
}

/** An event that waits for its reply. */
interface Open {
  readonly seq: number;
  readonly name: EventName;
  readonly regs: Uint8Array;
  readonly specific: DataView;
}

/** A range of memory that the machine says it has read or written. */
export interface Touched {
  readonly gpa: number;
  readonly size: number;
}

const PAGE = 4096;
const TELLING = [0, 1, 2, 3, 4, 7, 8, 255, 4095, 4096, 4097, 0x3fff, 0x4000, 0xffff, 0x174, 0x100000, 0xffffffff];
const EVENTS: readonly EventName[] = ["cr", "msr", "xsetbv", "breakpoint", "hypercall", "pf", "descriptor", "cpuid"];
/** Sequence numbers below this may be used again; replies to them say nothing about what was asked. */
const SHARED_SEQS = 100;
/** Ids from here on mean nothing in any dialect. */
const NO_ID = 0x100;

/**
 * A tool that sends anything: commands with random, telling, short and long contents, replies to events, noise. It reads what the machine
 * sends, so that some of what it says makes sense.
 */
export class Fuzzer {
  sent = 0;
  replies = 0;
  events = 0;
  closed = false;
  /** Successful reads and writes of memory. */
  readonly touched: Touched[] = [];
  readonly #desc: FuzzerDesc;
  readonly #transport: Transport;
  readonly #index: DialectIndex;
  readonly #open = new Map<number, Open>();
  readonly #asked = new Map<number, Touched>();
  #unread = new Uint8Array(0);
  #greeted = false;
  #seq = SHARED_SEQS;

  constructor(desc: FuzzerDesc, transport: Transport) {
    this.#desc = desc;
    this.#transport = transport;
    this.#index = new DialectIndex(DIALECTS[desc.dialect]);
    transport.start({
      data: (bytes) => this.#take(bytes),
      drained: () => undefined,
      closed: () => {
        this.closed = true;
      },
    });
    transport.write(handshakeFromTool.encode({ struct_size: handshakeFromTool.size, cookie_hash: new Uint8Array(20) }));
  }

  // Sending

  /** Some messages, in one piece or dribbled. False: the connection was cut in the middle of one. */
  send(): boolean {
    const { random } = this.#desc;
    const messages = Array.from({ length: 1 + random(8) }, () => this.#any());
    this.sent += messages.length;
    const batch = concat(messages);
    const cut = random(200) === 0 ? random(batch.length + 1) : batch.length;
    if (random(4) === 0)
      for (let at = 0, size = 1; at < cut; at += size, size = 1 + random(7))
        this.#transport.write(batch.slice(at, Math.min(at + size, cut)));
    else this.#transport.write(batch.slice(0, cut));
    return cut === batch.length;
  }

  close(): void {
    this.#transport.close();
  }

  #any(): Uint8Array {
    const { random } = this.#desc;
    const kind = random(100);
    if (kind === 0) return this.#framed(NO_ID + random(0xff00), this.#noise(random(600)));
    if (kind === 1 && random(20) === 0)
      return concat([
        header.encode({ id: random(0x10000), size: MAX_PAYLOAD + 1 + random(9), seq: 0 }),
        this.#noise(200),
      ]);
    if (this.#open.size > 0 && kind < 40) return this.#eventReply();
    if (kind < 55) return this.#enabling();
    const commands = commandsOf(this.#index.dialect);
    return this.#command(commands[random(commands.length)] as CommandSpec);
  }

  #noise(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.#desc.random(256));
  }

  #framed(id: number, payload: Uint8Array, own = this.#desc.random(20) !== 0): Uint8Array {
    const seq = own ? ++this.#seq : this.#desc.random(SHARED_SEQS);
    return concat([header.encode({ id, size: payload.length, seq }), payload]);
  }

  /** Has something reported. */
  #enabling(): Uint8Array {
    const { random, vcpus } = this.#desc;
    const vcpu = random(vcpus);
    const command = <K extends CommandName>(name: K, fill: (view: DataView, at: number, spec: CommandSpec) => void) => {
      const spec = this.#index.commandNamed(name) as CommandSpec;
      const view = new DataView(new ArrayBuffer(vcpuHeader.size + spec.request.size));
      vcpuHeader.write(view, 0, { vcpu });
      fill(view, vcpuHeader.size, spec);
      return this.#framed(spec.id, new Uint8Array(view.buffer));
    };
    const enable = random(4) === 0 ? 0 : 1;
    switch (random(4)) {
      case 0:
        return command("controlCr", (view, at, { request }) => request.write(view, at, { enable, cr: 3 } as never));
      case 1:
        return command("controlMsr", (view, at, { request }) =>
          request.write(view, at, { enable, msr: 0x174 } as never),
        );
      default: {
        const name = EVENTS[random(EVENTS.length)] as EventName;
        const event_id = this.#index.eventNamed(name)?.id ?? 0;
        return command("vcpuControlEvents", (view, at, { request }) =>
          request.write(view, at, { event_id, enable } as never),
        );
      }
    }
  }

  #command(spec: CommandSpec): Uint8Array {
    const { random, vcpus } = this.#desc;
    if (spec.name === "controlCmdResponse" && random(10) !== 0) return this.#enabling();
    const at = spec.vcpuHeader ? vcpuHeader.size : 0;
    const size =
      random(4) === 0 ? random(random(20) === 0 ? MAX_PAYLOAD : 600) : at + spec.request.size + 16 * random(3);
    const view = new DataView(new ArrayBuffer(size));
    for (let k = random(5); k > 0 && size >= 8; k--) {
      const value = random(2) === 0 ? (TELLING[random(TELLING.length)] as number) : random(256);
      view.setUint32(random(size - 7) & ~3, value, true);
    }
    if (spec.vcpuHeader && size >= 8 && random(300) !== 0) vcpuHeader.write(view, 0, { vcpu: random(vcpus + 1) });
    return this.#tame(spec, view, at) ?? this.#enabling();
  }

  /** Takes the harm out of a command. Null: there is no harmless one. */
  #tame(spec: CommandSpec, view: DataView, at: number): Uint8Array | null {
    const { random } = this.#desc;
    const { scratch, exceptions } = this.#desc.harmless;
    const payload = new Uint8Array(view.buffer);
    const whole = view.byteLength >= at + spec.request.size;
    const anywhere = (from: number): bigint => BigInt(from + random(2 * PAGE - 8));
    switch (spec.name) {
      case "setRegisters": {
        const open = [...this.#open.entries()][0];
        if (open === undefined) return null;
        const [vcpu, { regs }] = open;
        return this.#framed(spec.id, concat([vcpuHeader.encode({ vcpu }), regs]));
      }
      case "injectException":
        return exceptions ? this.#framed(spec.id, payload) : null;
      case "controlCleanup":
        return null;
      case "changeGfn": {
        if (scratch === null) return null;
        const gfn = (): bigint => BigInt(scratch / PAGE + random(2));
        const request = { view: random(3), old_gfn: gfn(), new_gfn: random(4) === 0 ? BigInt(random(1 << 30)) : gfn() };
        if (random(8) === 0) request.old_gfn = BigInt(2 ** 32 + random(100));
        const bytes = spec.request.encode(request as never);
        return this.#framed(
          spec.id,
          concat([payload.subarray(0, Math.min(8, at)), bytes.subarray(random(3) === 0 ? 8 : 0)]),
        );
      }
      case "readPhysical":
      case "writePhysical": {
        if (spec.name === "writePhysical" && scratch === null) return null;
        // Half of them somewhere sensible, the others beyond all memory, or whatever came out of the dice.
        const sensible = whole && random(2) === 0;
        const gpa =
          spec.name === "writePhysical" || sensible
            ? random(3) === 0
              ? 2n ** 32n + anywhere(random(2 ** 30))
              : anywhere(scratch ?? random(2 ** 20))
            : view.byteLength >= 8
              ? view.getBigUint64(0, true)
              : 0n;
        const size = random(8) === 0 ? random(0x2000) : random(600);
        const tail = spec.name === "readPhysical" ? 0 : random(100) === 0 ? random(size + 1) : Math.min(size, 8000);
        const out = new DataView(new ArrayBuffer(Math.max(view.byteLength, spec.request.size) + tail));
        new Uint8Array(out.buffer).set(payload);
        spec.request.write(out, 0, { gpa, size: this.#desc.dialect === "v12" ? size : BigInt(size) } as never);
        const message = this.#framed(spec.id, new Uint8Array(out.buffer), true);
        const seq = new DataView(message.buffer).getUint32(4, true);
        this.#asked.set(seq, { gpa: Number(gpa), size });
        return message;
      }
      case "setXsave":
        return exceptions ? this.#framed(spec.id, payload) : null;
      default:
        return this.#framed(spec.id, payload);
    }
  }

  /** A reply to one of the open events; rarely one that is not valid. */
  #eventReply(): Uint8Array {
    const { random, harmless } = this.#desc;
    const entries = [...this.#open.entries()];
    const [vcpu, event] = entries[random(entries.length)] as [number, Open];
    const { eventReplyId } = this.#index.dialect.rules;
    const spec = this.#index.eventNamed(event.name);
    const wrong = random(400);
    const size = spec?.reply?.size ?? 0;
    const view = new DataView(new ArrayBuffer(16 + size + (wrong === 0 ? 8 : 0)));
    vcpuHeader.write(view, 0, { vcpu: wrong === 1 ? vcpu + 1 + random(9) : vcpu });
    const refusable = harmless.exceptions || !["cr", "msr", "hypercall", "xsetbv"].includes(event.name);
    view.setUint8(8, refusable && random(6) === 0 ? 1 : 0);
    view.setUint8(9, spec?.id ?? 0);
    if (wrong === 2) view.setUint8(12, 1);
    if (event.name === "cr" || event.name === "msr") view.setBigUint64(16, event.specific.getBigUint64(16, true), true);
    if (event.name === "pf" && size > 0) this.#pageReply(view, event.specific.getBigUint64(0, true));
    const seq = wrong === 3 ? random(1 << 30) : event.seq;
    if (wrong > 3) this.#open.delete(vcpu);
    return concat([header.encode({ id: eventReplyId, size: view.byteLength, seq }), new Uint8Array(view.buffer)]);
  }

  /** Other content for what is read from the scratch pages, of any size, even an impossible one. */
  #pageReply(view: DataView, gva: bigint): void {
    const { random, harmless } = this.#desc;
    const { scratch } = harmless;
    if (scratch !== null && gva >= BigInt(scratch) && gva < BigInt(scratch + 2 * PAGE) && random(2) === 0) {
      view.setBigUint64(16, gva - BigInt(random(16)), true);
      view.setUint32(24, random(40) === 0 ? 257 + random(1000) : random(257), true);
    }
    view.setUint8(29, random(2));
  }

  // Receiving

  #take(more: Uint8Array): void {
    const bytes = concat([this.#unread, more]);
    let at = 0;
    if (!this.#greeted) {
      if (bytes.length < handshakeFromVm.size) {
        this.#unread = bytes;
        return;
      }
      this.#greeted = true;
      at = handshakeFromVm.size;
    }
    const view = new DataView(bytes.buffer);
    while (bytes.length - at >= header.size) {
      const { id, size, seq } = header.read(view, at);
      if (bytes.length - at < header.size + size) break;
      this.#message(id, seq, new DataView(bytes.buffer, at + header.size, size));
      at += header.size + size;
    }
    this.#unread = bytes.slice(at);
  }

  #message(id: number, seq: number, payload: DataView): void {
    const { vmEventId, eventReplyId } = this.#index.dialect.rules;
    if (id === vmEventId) return;
    // A reply to an event that names no vCPU is refused like a command, under its own id: in v12 that of events.
    if (id === 1 && payload.byteLength > errorCode.size) {
      this.#event(seq, payload, eventReplyId === 0 ? 0 : 8);
      return;
    }
    this.replies++;
    const asked = this.#asked.get(seq);
    this.#asked.delete(seq);
    if (asked !== undefined && payload.getInt32(0, true) === 0) this.touched.push(asked);
  }

  #event(seq: number, payload: DataView, common: number): void {
    this.events++;
    const spec = this.#index.event(common === 0 ? payload.getUint8(4) : payload.getUint16(0, true));
    if (spec === undefined) throw new Error("an event of no known kind");
    if (spec.reply === null) return;
    const regs = new Uint8Array(
      payload.buffer,
      payload.byteOffset + common + 8 + eventArch.offset("regs"),
      kvmRegs.size,
    ).slice();
    const at = common + payload.getUint16(common, true);
    const specific = new DataView(
      payload.buffer.slice(payload.byteOffset + at, payload.byteOffset + payload.byteLength),
    );
    this.#open.set(payload.getUint16(common + 2, true), { seq, name: spec.name, regs, specific });
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
