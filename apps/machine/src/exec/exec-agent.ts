import { Ask, FIRST_TAG, PAYLOAD_MAX, Say, TAG } from "./agent-abi.js";
import { FrameReader } from "./agent-frames.js";
import { parseRequest, request } from "./agent-request.js";
import { poke, type Script } from "./agent-script.js";
import { enterRoot } from "./enter-root.js";
import { type ExecCommand, ExecFailure, type ExecPlan } from "./exec-plan.js";
import { leaveRoot } from "./leave-root.js";
import { closeLeftovers, type Leftovers, prepareRoot, runCommand } from "./run-command.js";

/** What an agent's host wants to hear, and how it speaks. */
export interface ExecPort {
  /** Bytes for the line to the agent. */
  send(bytes: Uint8Array): void;
  /** The agent can run a command: the next one; `leave` to have the guest tidy up and turn itself off; `wait` until {@link ExecAgent.wake}. */
  next(): ExecCommand | "leave" | "wait";
  /** The command starts. */
  begin(): void;
  output(bytes: Uint8Array): void;
  errors(bytes: Uint8Array): void;
  /** The command takes input: to be answered with {@link ExecAgent.input}, now or later. */
  ready(): void;
  /** The command takes no more input. */
  closed(): void;
  /** The command has ended. */
  exit(status: number): void;
  /** No command can be run, and why: half a sentence. The guest turns itself off. */
  fail(why: string): void;
  /** The guest is done and could not turn itself off. */
  done(): void;
}

const firstTag = (): Uint8Array => new TextEncoder().encode(FIRST_TAG);

/**
 * The host's side of the agent in the guest. Whatever the line carries, it throws nothing, holds one frame, and takes a status only
 * from a frame that opens with the plan's tag.
 */
export class ExecAgent {
  readonly #plan: ExecPlan;
  readonly #imageSize: number;
  readonly #port: ExecPort;
  readonly #frames = new FrameReader(firstTag());
  #script: Script<void> | null = null;
  /** Where the next hello comes from. Once the root is reached nobody can say hello: frames open with the plan's tag. */
  #hellos: "initrd" | "root" | "none" = "initrd";
  /** The frame that answers what was asked last. */
  #answer: number = Say.Reply;
  #asked = false;
  #waiting = false;
  #leftovers: Leftovers = [];

  /** @param imageSize size of the agent's file, bytes */
  constructor(plan: ExecPlan, imageSize: number, port: ExecPort) {
    this.#plan = plan;
    this.#imageSize = imageSize;
    this.#port = port;
  }

  /** The guest sent a byte. */
  push(byte: number): void {
    const frame = this.#frames.push(byte);
    if (frame === null) return;
    switch (frame.type) {
      case Say.Hello:
        if (this.#hellos !== "none") this.#hello(frame.data);
        return;
      case Say.Output:
        if (this.#pumping) this.#port.output(frame.data);
        return;
      case Say.Errors:
        if (this.#pumping) this.#port.errors(frame.data);
        return;
      case Say.Ready:
        if (!this.#pumping) return;
        this.#asked = true;
        this.#port.ready();
        return;
      case Say.Closed:
        if (this.#pumping) this.#port.closed();
        return;
      default:
        if (frame.type === this.#answer) this.#go(frame.data);
    }
  }

  /** Answers a `ready` with up to 4096 bytes of input, or with none at its end. Does nothing when the command waits for none. */
  input(data: Uint8Array): void {
    if (!this.#asked) return;
    if (data.length > PAYLOAD_MAX)
      throw new RangeError(`${data.length} bytes of input at once: at most ${PAYLOAD_MAX}`);
    this.#asked = false;
    this.#port.send(request([Ask.Data, data.length], data));
  }

  /** There is a command to run, or it is time to leave: asks again where `next` had the agent wait. */
  wake(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#script = this.#commands();
    this.#go(new Uint8Array(0));
  }

  /** Sends a signal to the command. False if none is running. */
  kill(signal: number): boolean {
    if (!this.#pumping) return false;
    this.#port.send(request([Ask.Kill, signal]));
    return true;
  }

  /** Whether the command runs. */
  get running(): boolean {
    return this.#pumping;
  }

  get #pumping(): boolean {
    return this.#answer === Say.Exit;
  }

  #hello(data: Uint8Array): void {
    const stack = data.length < 8 ? 0n : new DataView(data.buffer, data.byteOffset).getBigInt64(0, true);
    this.#script = this.#hellos === "initrd" ? this.#begin(stack) : this.#run();
    this.#hellos = "root";
    this.#go(new Uint8Array(0));
  }

  *#begin(stack: bigint): Script<void> {
    yield* enterRoot(this.#plan, stack, this.#imageSize);
    yield* this.#run();
  }

  *#run(): Script<void> {
    this.#hellos = "none";
    this.#frames.retag(this.#plan.tag);
    yield* poke(TAG, this.#plan.tag);
    yield* prepareRoot(this.#plan);
    yield* this.#commands();
  }

  /** Runs commands for as long as there are some. */
  *#commands(): Script<void> {
    for (;;) {
      const command = this.#port.next();
      if (command === "wait") {
        this.#waiting = true;
        return;
      }
      if (command === "leave") break;
      yield* closeLeftovers(this.#leftovers);
      const { status, leftovers } = yield* runCommand(command);
      this.#leftovers = leftovers;
      this.#asked = false;
      this.#answer = Say.Reply;
      this.#port.exit(status);
    }
    yield* this.#leave();
  }

  *#leave(): Script<void> {
    yield* leaveRoot();
    this.#port.done();
  }

  /** Goes on with the script to its next request. */
  #go(reply: Uint8Array): void {
    if (this.#script === null) return;
    this.#answer = Say.Reply;
    try {
      const { done, value } = this.#script.next(reply);
      if (done === true) return;
      const starts = parseRequest(value).words[0] === BigInt(Ask.Pump);
      if (starts) this.#answer = Say.Exit;
      this.#port.send(value);
      if (starts) this.#port.begin();
    } catch (error) {
      if (!(error instanceof ExecFailure)) throw error;
      this.#port.fail(error.message);
      this.#script = this.#leave();
      this.#go(new Uint8Array(0));
    }
  }
}
