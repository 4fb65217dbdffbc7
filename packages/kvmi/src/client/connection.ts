import { errorCode, handshakeFromTool, handshakeFromVm, header, vcpuHeader } from "../codec/wire.js";
import type { CommandName, Requests } from "../dialect/commands.js";
import type { CommandSpec, Dialect } from "../dialect/dialect.js";
import { DIALECTS, DialectIndex } from "../dialect/index.js";
import { Errno, KvmiError } from "../errno.js";
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

/** The tool's end of the stream, from the handshake on: commands go out, replies find their command, events queue up. */
export class ToolConnection {
  /** Ends with the connection. */
  readonly events = new AsyncQueue<KvmiEvent>();
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #transport: Transport;
  readonly #reader: MessageReader;
  readonly #outstanding = new Map<number, Outstanding>();
  #seq = 0;
  #open = true;
  #tellClosed: () => void = () => undefined;

  /** Answers the handshake. Rejects if the connection ends before that. */
  static accept(
    transport: Transport,
    { dialect = DIALECTS.libkvmi, cookieHash }: ClientOptions = {},
  ): Promise<ToolConnection> {
    return new Promise((resolve, reject) => {
      let connection: ToolConnection | null = null;
      let bytes = new Uint8Array(0);
      transport.start({
        data: (more) => {
          if (connection !== null) {
            connection.#reader.push(more);
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
          connection = new ToolConnection(transport, new DialectIndex(dialect), identityOf(known));
          const hash = cookieHash ?? new Uint8Array(20);
          transport.write(handshakeFromTool.encode({ struct_size: handshakeFromTool.size, cookie_hash: hash }));
          connection.#reader.push(bytes.subarray(size));
          resolve(connection);
        },
        drained: () => undefined,
        closed: () => {
          if (connection === null) reject(new DisconnectedError());
          else connection.#end();
        },
      });
    });
  }

  private constructor(
    transport: Transport,
    readonly index: DialectIndex,
    /** What the machine said about itself. */
    readonly identity: Identity,
  ) {
    this.#transport = transport;
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

  close(): void {
    this.#transport.close();
    this.#end();
  }

  /** Sends any command; `tail` is what follows the request. Resolves with the reply data. */
  command<K extends CommandName>(name: K, request: Requests[K], vcpu = 0, tail?: Uint8Array): Promise<Uint8Array> {
    const spec = this.index.commandNamed(name) as CommandSpec<K> | undefined;
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

  #send(id: number, seq: number, payload: Uint8Array): void {
    const bytes = new Uint8Array(header.size + payload.length);
    header.write(new DataView(bytes.buffer), 0, { id, size: payload.length, seq });
    bytes.set(payload, header.size);
    this.#transport.write(bytes);
  }

  #take(message: Message): void {
    const { eventReplyId, vmEventId } = this.index.dialect.rules;
    const outstanding = this.#outstanding.get(message.seq);
    if (message.id === 1 || message.id === vmEventId) {
      this.events.push(readEvent(this.index, message, (payload) => this.#send(eventReplyId, message.seq, payload)));
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
    this.events.end();
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
