import { Announced } from "../announced.js";
import { errorCode, handshakeFromTool, handshakeFromVm, header, MAX_PAYLOAD, vcpuHeader } from "../codec/wire.js";
import type { CommandName, Requests } from "../dialect/commands.js";
import type { CommandSpec, Dialect } from "../dialect/dialect.js";
import { DIALECTS, DialectIndex } from "../dialect/index.js";
import { Errno, errnoName, KvmiError } from "../errno.js";
import type { Message } from "../framing.js";
import { Intake } from "../intake.js";
import type { Identity } from "../server/handshake.js";
import type { Transport } from "../transport.js";
import { DisconnectedError, ProtocolError } from "./errors.js";
import { type KvmiEvent, readEvent } from "./events.js";
import { AsyncQueue } from "./queue.js";
import { Still } from "./still.js";

export interface ClientOptions {
  /** Default: `DIALECTS.libkvmi`. Both sides must be told the same. */
  readonly dialect?: Dialect | undefined;
  /** {@link cookieHash} of the shared secret. */
  readonly cookieHash?: Uint8Array | undefined;
  /** How long a machine may take to say who it is, ms. Default: 10 s. */
  readonly handshakeMs?: number | undefined;
}

const HANDSHAKE_MS = 10_000;
/** A machine says at least who it is and since when; later versions may say more, up to this many bytes. */
const HANDSHAKE_LEAST = handshakeFromVm.offset("name");
const HANDSHAKE_MOST = 64 * 1024;
/** Events that wait to be read. A machine has one open for each of its vCPUs. */
const MAX_EVENTS = 4096;

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
  /** Which vCPUs stand still. */
  readonly still = new Still();
  readonly #transport: Transport;
  readonly #intake: Intake;
  readonly #outstanding = new Map<number, Outstanding>();
  #seq = 0;
  #open = true;
  #tellClosed: () => void = () => undefined;

  /** Answers the handshake. Rejects if the connection ends before that, or with {@link ProtocolError} if it is none. */
  static accept(
    transport: Transport,
    { dialect = DIALECTS.libkvmi, cookieHash, handshakeMs = HANDSHAKE_MS }: ClientOptions = {},
  ): Promise<ToolConnection> {
    return new Promise((resolve, reject) => {
      let connection: ToolConnection | null = null;
      const greeting = new Announced(HANDSHAKE_LEAST, HANDSHAKE_MOST);
      const fail = (what: string): void => {
        clearTimeout(timer);
        transport.close();
        reject(new ProtocolError(what));
      };
      const timer = setTimeout(() => fail(`no handshake within ${handshakeMs} ms`), handshakeMs);
      transport.start({
        data: (more) => {
          if (connection !== null) {
            connection.#intake.push(more);
            return;
          }
          const rest = greeting.push(more);
          const { size, complete } = greeting;
          if (size !== null && !greeting.valid)
            fail(`a handshake of ${size} bytes, where ${HANDSHAKE_LEAST} to ${HANDSHAKE_MOST} make sense`);
          if (complete === null) return;
          clearTimeout(timer);
          const known = new Uint8Array(handshakeFromVm.size);
          known.set(complete.subarray(0, known.length));
          connection = new ToolConnection(transport, new DialectIndex(dialect), identityOf(known));
          const hash = cookieHash ?? new Uint8Array(20);
          transport.write(handshakeFromTool.encode({ struct_size: handshakeFromTool.size, cookie_hash: hash }));
          connection.#intake.push(rest);
          resolve(connection);
        },
        drained: () => undefined,
        closed: () => {
          clearTimeout(timer);
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
    this.#intake = new Intake({
      transport,
      room: () => 0,
      take: (message) => this.#take(message),
      oversized: (size) => this.fail(`a message of ${size} bytes, where ${MAX_PAYLOAD} are the most`),
    });
  }

  close(): void {
    this.#transport.close();
    this.#end();
  }

  /** Ends the connection with a {@link ProtocolError} for all that wait, which is returned. */
  fail(what: string): ProtocolError {
    const error = new ProtocolError(what);
    this.#transport.close();
    this.#end(error);
    return error;
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
    if (message.id === EVENT_ID || message.id === vmEventId) {
      const { seq } = message;
      const event = readEvent(this.index, message, (payload, vcpu) => {
        this.still.answered(vcpu);
        this.#send(eventReplyId, seq, payload);
      });
      if (typeof event === "string") this.fail(event);
      else if (this.index.eventNamed(event.name)?.reply !== null && this.still.came(event)) return;
      else if (this.events.size >= MAX_EVENTS) this.fail(`more than ${MAX_EVENTS} events that nobody has read`);
      else this.events.push(event);
      return;
    }
    if (outstanding === undefined) {
      this.fail(`an answer to message ${message.seq}, which waits for none`);
      return;
    }
    const wrong = wrongReply(message, outstanding.spec);
    if (wrong !== null) {
      this.fail(wrong);
      return;
    }
    this.#outstanding.delete(message.seq);
    const { err } = errorCode.read(message.view, 0);
    if (err === 0) outstanding.resolve(message.payload.subarray(errorCode.size, message.size));
    else outstanding.reject(new KvmiError(outstanding.spec.name, -err));
  }

  #end(error: DisconnectedError = new DisconnectedError()): void {
    if (!this.#open) return;
    this.#open = false;
    this.#intake.end();
    this.events.end(error instanceof ProtocolError ? error : null);
    for (const { reject } of this.#outstanding.values()) reject(error);
    this.#outstanding.clear();
    this.still.end(error);
    this.#tellClosed();
  }
}

/** Message id of events in every dialect. */
const EVENT_ID = 1;

/** What is wrong with an answer to `spec`; null: nothing. */
function wrongReply({ id, size, view }: Message, spec: CommandSpec): string | null {
  if (id !== spec.id) return `an answer to message ${id} with the number of ${spec.name}, ${spec.id}`;
  if (size < errorCode.size) return `an answer to ${spec.name} of ${size} bytes, without its error code`;
  const { err } = errorCode.read(view, 0);
  if (err > 0)
    return `an answer to ${spec.name} with the error ${err}, where negative ones are errors (${errnoName(err)})`;
  const least = err === 0 ? (spec.reply?.size ?? 0) : 0;
  const data = size - errorCode.size;
  return data < least ? `an answer to ${spec.name} of ${data} bytes, where ${least} are needed` : null;
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
