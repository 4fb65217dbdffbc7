import type { CommandName } from "../dialect/commands.js";
import type { Dialect, EventName } from "../dialect/dialect.js";
import { DIALECTS, DialectIndex } from "../dialect/index.js";
import { Errno, KvmiError } from "../errno.js";
import type { EventFilter } from "../filter.js";
import type { Status, VmPort } from "../ports.js";
import type { Transport } from "../transport.js";
import { AnswerReader, greet, type Identity } from "./handshake.js";
import { Introspection } from "./introspection.js";
import { Masks } from "./masks.js";

export interface KvmiServerOptions {
  readonly vm: VmPort;
  readonly identity: Identity;
  /** Default: `DIALECTS.libkvmi`. */
  readonly dialect?: Dialect | undefined;
  /** {@link cookieHash} of the secret a tool must know. Default: anyone may. */
  readonly cookieHash?: Uint8Array | undefined;
  /** Commands a tool may use. Default: all. Asking what is there is always allowed. */
  readonly commands?: readonly CommandName[] | undefined;
  /** Events a tool may see. Default: all. */
  readonly events?: readonly EventName[] | undefined;
  /** Events that need not cross the connection. Default: none. */
  readonly filter?: EventFilter | undefined;
  /** Told why connections end, and of other things for a person to know. */
  readonly log?: ((message: string) => void) | undefined;
  /** Told when a tool is there (after its handshake) and when it is gone, everything undone. */
  readonly onHook?: ((hooked: boolean) => void) | undefined;
  /** Told when a command has come, before it is carried out. */
  readonly onCommand?: (() => void) | undefined;
  /** Told when the reply to an event has come. */
  readonly onReply?: (() => void) | undefined;
  /** How long a tool may take to answer the handshake, ms. Default: 10 s. */
  readonly handshakeMs?: number | undefined;
  /** How long a tool may take to leave after it was told to, ms. Default: 60 s. */
  readonly unhookMs?: number | undefined;
}

/** Introspection of one machine: at most one tool at a time, any number after each other. */
export class KvmiServer {
  readonly #options: KvmiServerOptions;
  readonly #index: DialectIndex;
  #connection: Connection | null = null;
  #filter: EventFilter | null;

  constructor(options: KvmiServerOptions) {
    this.#options = options;
    this.#index = new DialectIndex(options.dialect ?? DIALECTS.libkvmi);
    this.#filter = options.filter ?? null;
  }

  /** Which events cross the connection; null: all that are asked for. Holds for the tool that is there and for later ones. */
  get filter(): EventFilter | null {
    return this.#filter;
  }
  set filter(filter: EventFilter | null) {
    this.#filter = filter;
    const session = this.#connection?.session;
    if (session != null) session.filter = filter;
  }

  /** Whether a tool is there. */
  get hooked(): boolean {
    return this.#connection?.session != null;
  }

  /**
   * Greets the tool at the other end of `transport` and serves it. Resolves when it is gone and everything is undone.
   * @throws {KvmiError} EEXIST while another connection is open
   */
  hook(transport: Transport): Promise<void> {
    if (this.#connection !== null) throw new KvmiError("hook", Errno.EEXIST);
    return new Promise((resolve) => {
      this.#connection = new Connection(
        transport,
        this.#index,
        { ...this.#options, filter: this.#filter ?? undefined },
        () => {
          this.#connection = null;
          resolve();
        },
      );
    });
  }

  /** Allows or forbids a command by id, -1 for all, while a tool is there. EFAULT if none is, EPERM for one that cannot be forbidden. */
  allowCommand(id: number, allow: number): Status {
    return this.#connection?.session?.masks.allowCommand(id, allow) ?? Errno.EFAULT;
  }

  /** As {@link allowCommand}, for events. */
  allowEvent(id: number, allow: number): Status {
    return this.#connection?.session?.masks.allowEvent(id, allow) ?? Errno.EFAULT;
  }

  /**
   * Tells the tool to undo its changes and leave, because the machine is about to be paused or saved. Resolves when it has, or was made
   * to: at once if it did not want to be told, else after `unhookMs`.
   */
  async unhook(): Promise<void> {
    await this.#connection?.leave(this.#options.unhookMs ?? UNHOOK_MS);
  }

  /** Ends the connection at once, everything undone. */
  disconnect(): void {
    this.#connection?.end(null);
  }
}

const IGNORE = (): void => undefined;
const HANDSHAKE_MS = 10_000;
const UNHOOK_MS = 60_000;

/** A connection from the first byte to the last. */
class Connection {
  session: Introspection | null = null;
  readonly #transport: Transport;
  readonly #log: (message: string) => void;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #onGone: () => void;
  #gone = false;
  readonly #leaving: (() => void)[] = [];

  constructor(transport: Transport, index: DialectIndex, options: KvmiServerOptions, onGone: () => void) {
    const { vm, identity, cookieHash = null, commands, events, onHook, log = () => undefined } = options;
    this.#transport = transport;
    this.#log = log;
    this.#onGone = onGone;
    const answer = new AnswerReader(cookieHash);
    const handshakeMs = options.handshakeMs ?? HANDSHAKE_MS;
    this.#timer = setTimeout(() => this.end(`no handshake within ${handshakeMs} ms`), handshakeMs);
    transport.start({
      data: (bytes) => {
        if (this.#gone) return;
        if (this.session !== null) {
          this.session.data(bytes);
          return;
        }
        const greeting = answer.push(bytes);
        if (greeting.state === "refused") this.end(greeting.reason);
        if (greeting.state !== "done") return;
        clearTimeout(this.#timer);
        const masks = new Masks(index, commands, events);
        const onEnd = (): void => onHook?.(false);
        const { onCommand = IGNORE, onReply = IGNORE, filter = null } = options;
        this.session = new Introspection({ vm, index, masks, transport, filter, log, onCommand, onReply, onEnd });
        onHook?.(true);
        this.session.data(greeting.rest);
      },
      drained: () => this.session?.drained(),
      closed: () => this.#closed(),
    });
    transport.write(greet(identity));
  }

  /** Ends it from this side. @param reason null: the owner wants it so */
  end(reason: string | null): void {
    if (this.session !== null) this.session.close(reason);
    else {
      if (reason !== null) this.#log(reason);
      this.#transport.close();
    }
    // The other side need not be waited for.
    this.#closed();
  }

  async leave(ms: number): Promise<void> {
    if (this.session?.sendUnhook() !== true) {
      this.end("told to leave");
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.end(`still there ${ms} ms after it was told to leave`), ms);
      this.#leaving.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #closed(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#timer);
    this.session?.closed();
    this.#onGone();
    for (const left of this.#leaving.splice(0)) left();
  }
}
