import { AsyncQueue } from "../src/client/queue.js";
import { errorCode, handshakeFromTool, header, vcpuHeader } from "../src/codec/wire.js";
import { type Message, MessageReader } from "../src/framing.js";
import {
  type CommandName,
  DIALECTS,
  DialectIndex,
  type DialectName,
  type EventName,
  KvmiServer,
  type KvmiServerOptions,
  type Transport,
  transportPair,
} from "../src/index.js";
import { FakeVm } from "./fakes.js";

export const IDENTITY = { uuid: new Uint8Array(16).fill(7), name: "guest", startTime: 1_700_000_000 };

/** Lets everything that is on its way arrive. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const bytes = (...parts: (Uint8Array | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

/** Little-endian. */
export function le(size: 1 | 2 | 4 | 8, value: number | bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return out.subarray(0, size);
}

export interface Reply {
  readonly id: number;
  readonly seq: number;
  /** Positive. */
  readonly err: number;
  readonly data: Uint8Array;
}

/** A tool that sends whatever bytes it is told to. */
export class RawTool {
  readonly index: DialectIndex;
  readonly vm: FakeVm;
  readonly server: KvmiServer;
  readonly transport: Transport;
  readonly served: Promise<void>;
  readonly log: string[] = [];
  /** Bytes of the machine's greeting. */
  greeting: Uint8Array = new Uint8Array(0);
  closed = false;
  readonly #messages = new AsyncQueue<Message>();
  readonly #reader: MessageReader;
  #seq = 100;

  constructor(dialect: DialectName = "libkvmi", options: Partial<KvmiServerOptions> = {}, vm = new FakeVm()) {
    this.vm = vm;
    this.index = new DialectIndex(DIALECTS[dialect]);
    this.server = new KvmiServer({
      vm,
      identity: IDENTITY,
      dialect: DIALECTS[dialect],
      log: (message) => void this.log.push(message),
      ...options,
    });
    const [near, far] = transportPair();
    this.transport = near;
    this.#reader = new MessageReader({
      room: () => 0,
      message: (message) => {
        this.#messages.push(message);
        return true;
      },
      oversized: (size) => {
        throw new Error(`the machine sent ${size} bytes`);
      },
    });
    near.start({
      data: (more) => {
        if (this.greeting.length < 96) this.greeting = bytes(this.greeting, more);
        else this.#reader.push(more);
      },
      drained: () => undefined,
      closed: () => {
        this.closed = true;
        this.#messages.end();
      },
    });
    this.served = this.server.hook(far);
  }

  /** A tool that has shaken hands. */
  static async hooked(
    dialect: DialectName = "libkvmi",
    options: Partial<KvmiServerOptions> = {},
    vm = new FakeVm(),
  ): Promise<RawTool> {
    const tool = new RawTool(dialect, options, vm);
    tool.write(handshakeFromTool.encode({ struct_size: 24, cookie_hash: new Uint8Array(20) }));
    await settled();
    return tool;
  }

  write(data: Uint8Array): void {
    this.transport.write(data);
  }

  /** Sends a message and returns its sequence number. */
  send(id: number, payload: Uint8Array = new Uint8Array(0), seq = ++this.#seq): number {
    this.write(this.message(id, payload, seq));
    return seq;
  }

  message(id: number, payload: Uint8Array = new Uint8Array(0), seq = ++this.#seq): Uint8Array {
    return bytes(header.encode({ id, size: payload.length, seq }), payload);
  }

  id(name: CommandName): number {
    const spec = this.index.commandNamed(name);
    if (spec === undefined) throw new Error(`no ${name} in ${this.index.dialect.name}`);
    return spec.id;
  }

  eventId(name: EventName): number {
    return this.index.eventNamed(name)?.id ?? -1;
  }

  /** The next message of any kind; null if the connection ends first. */
  async receive(): Promise<Message | null> {
    const { value, done } = await this.#messages.next();
    return done === true ? null : value;
  }

  async reply(): Promise<Reply> {
    const message = await this.receive();
    if (message === null) throw new Error(`closed: ${this.log.join("; ")}`);
    const { err } = errorCode.read(message.view, 0);
    return {
      id: message.id,
      seq: message.seq,
      err: err === 0 ? 0 : -err,
      data: message.payload.subarray(8, message.size),
    };
  }

  /** Sends a command by id and takes its reply. */
  async ask(id: number, payload: Uint8Array = new Uint8Array(0)): Promise<Reply> {
    const seq = this.send(id, payload);
    const reply = await this.reply();
    if (reply.seq !== seq || reply.id !== id) throw new Error(`reply ${reply.id}/${reply.seq} for ${id}/${seq}`);
    return reply;
  }

  /** Error number of a command: 0 for success. */
  async err(name: CommandName, payload: Uint8Array = new Uint8Array(0)): Promise<number> {
    return (await this.ask(this.id(name), payload)).err;
  }

  /** A vCPU command: the header goes before the payload. */
  vcpuErr(name: CommandName, payload: Uint8Array = new Uint8Array(0), vcpu = 0): Promise<number> {
    return this.err(name, bytes(vcpuHeader.encode({ vcpu }), payload));
  }

  /** Payload of an event reply. */
  eventReply(event: EventName, action = 0, specific: Uint8Array = new Uint8Array(0), vcpu = 0): Uint8Array {
    return bytes(vcpuHeader.encode({ vcpu }), [action, this.eventId(event), 0, 0, 0, 0, 0, 0], specific);
  }

  answerEvent(event: Message, name: EventName, action = 0, specific: Uint8Array = new Uint8Array(0), vcpu = 0): void {
    this.send(this.index.dialect.rules.eventReplyId, this.eventReply(name, action, specific, vcpu), event.seq);
  }

  /** Enables a vCPU event. @throws if that is refused */
  async enable(event: EventName, vcpu = 0): Promise<void> {
    const err = await this.vcpuErr("vcpuControlEvents", bytes(le(2, this.eventId(event)), [1, 0, 0, 0, 0, 0]), vcpu);
    if (err !== 0) throw new Error(`${event}: ${err}`);
  }
}
