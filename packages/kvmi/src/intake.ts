import { Budget } from "./budget.js";
import { type Message, MessageReader } from "./framing.js";
import type { Transport } from "./transport.js";

/** Why nothing is read from the other side. */
export enum Stop {
  /** It does not read what it is sent. */
  Full = 1,
  /** A vCPU has as many jobs as may wait. */
  Jobs = 2,
  /** It has had its turn. */
  Turn = 4,
  /** A command waits for memory that has not arrived. */
  Memory = 8,
}

export interface IntakeDesc {
  readonly transport: Transport;
  /** As {@link MessageReader} asks for it. */
  readonly room: (id: number) => number;
  readonly take: (message: Message) => void;
  readonly oversized: (size: number) => void;
}

/** What the other side sends, message by message, no faster than it can be dealt with: while there is a reason to wait, its stream is not read. */
export class Intake {
  readonly #transport: Transport;
  readonly #reader: MessageReader;
  readonly #budget = new Budget(() => this.goOn(Stop.Turn));
  /** {@link Stop} bits. */
  #stops = 0;
  #ended = false;

  constructor({ transport, room, take, oversized }: IntakeDesc) {
    this.#transport = transport;
    this.#reader = new MessageReader({
      room,
      oversized,
      message: (message) => {
        take(message);
        if (!this.#budget.spend(message.size)) this.stop(Stop.Turn);
        return this.#stops === 0;
      },
    });
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  stop(why: Stop): void {
    if (this.#ended) return;
    if (this.#stops === 0) this.#transport.pause();
    this.#stops |= why;
  }

  /** That reason is gone. */
  goOn(why: Stop): void {
    if (this.#ended || (this.#stops & why) === 0) return;
    this.#stops &= ~why;
    if (this.#stops !== 0) return;
    this.#transport.resume();
    this.#reader.resume();
  }

  /** Nothing is taken any more. */
  end(): void {
    this.#ended = true;
    this.#reader.end();
  }
}
