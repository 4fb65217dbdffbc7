import { StateError } from "@vm/devices";
import { Ask, FIRST_TAG, PAYLOAD_MAX, Say, TAG } from "./agent-abi.js";
import { FrameReader, type FrameReaderState } from "./agent-frames.js";
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
  /** Input for the command that is known and not handed over yet; null if more may come than is known. */
  rest(): Uint8Array | null;
}

/** What a script began with: begun anew, and given the replies that have come, it is where it was. */
interface Origin {
  /** From the hello in the initial ram disk, from that in the root, from a command, or to tidy up. */
  readonly from: "initrd" | "root" | "command" | "leave";
  /** What came with the hello. */
  readonly hello: Uint8Array;
  readonly command: ExecCommand | null;
}

/** What is between an agent and its host. */
export interface ExecAgentState {
  readonly tag: Uint8Array;
  readonly root: ExecPlan["root"];
  readonly frames: FrameReaderState;
  readonly hellos: "initrd" | "root" | "none";
  readonly asked: boolean;
  readonly waiting: boolean;
  /** Descriptors that the last command has left open. */
  readonly leftovers: readonly number[];
  /** What is under way, and the replies so far; null if nothing is. */
  readonly script: { readonly origin: Origin; readonly replies: readonly Uint8Array[] } | null;
  /** See {@link ExecPort.rest}. */
  readonly input: Uint8Array | null;
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
  #origin: Origin | null = null;
  #replies: Uint8Array[] = [];
  /** Where the next hello comes from. Once the root is reached nobody can say hello: frames open with the plan's tag. */
  #hellos: "initrd" | "root" | "none" = "initrd";
  /** The frame that answers what was asked last. */
  #answer: number = Say.Reply;
  #asked = false;
  #waiting = false;
  #leftovers: Leftovers = [];

  /** @param imageSize bytes of the agent's file */
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
        this.#hello(frame.data);
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
        if (frame.type !== this.#answer) return;
        this.#replies.push(frame.data);
        this.#go(frame.data);
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
    this.#go(NOTHING);
  }

  /** The command that is being run, or about to be; null if there is none. */
  get command(): ExecCommand | null {
    return this.#origin?.command ?? null;
  }

  save(): ExecAgentState {
    const { tag, root } = this.#plan;
    return {
      ...{ tag, root, frames: this.#frames.save(), hellos: this.#hellos, asked: this.#asked, waiting: this.#waiting },
      leftovers: this.#leftovers,
      script: this.#origin === null ? null : { origin: this.#origin, replies: [...this.#replies] },
      input: this.command === null ? null : this.#port.rest(),
    };
  }

  /** Whether {@link resumed} can do it, of which nobody hears. @throws {StateError} if the replies are none to what was asked */
  static check(state: ExecAgentState, imageSize: number): void {
    try {
      ExecAgent.resumed(state, imageSize, NOBODY);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof ExecFailure)) throw error;
      throw new StateError("script.replies", `are none to what was asked: ${error.message}`);
    }
  }

  /** The host's side of an agent in a guest that was saved. */
  static resumed(state: ExecAgentState, imageSize: number, port: ExecPort): ExecAgent {
    const { tag, root, frames, hellos, asked, waiting, leftovers, script } = state;
    const agent = new ExecAgent({ tag, root }, imageSize, port);
    agent.#leftovers = leftovers;
    if (script !== null) agent.#replay(script.origin, script.replies);
    agent.#frames.restore(frames);
    agent.#hellos = hellos;
    agent.#asked = asked;
    agent.#waiting = waiting;
    return agent;
  }

  /** Asks for nothing, since all that was answered. */
  #replay(origin: Origin, replies: readonly Uint8Array[]): void {
    const { command } = origin;
    this.#script = command === null ? this.#from(origin) : this.#commands(command);
    for (const reply of [NOTHING, ...replies]) {
      const { done, value } = this.#script.next(reply);
      if (done === true) throw new RangeError("the agent's replies are more than there were requests");
      this.#answer = answerOf(value);
    }
    this.#replies = [...replies];
  }

  /** Sends a signal to the command. False if none is running. */
  kill(signal: number): boolean {
    if (!this.#pumping) return false;
    this.#port.send(request([Ask.Kill, signal]));
    return true;
  }

  /** A command that waited for input when the guest was saved is asked about again. To be called once whoever resumed it is ready. */
  takeUp(): void {
    if (this.#asked) this.#port.ready();
  }

  /** Whether the command runs. */
  get running(): boolean {
    return this.#pumping;
  }

  get #pumping(): boolean {
    return this.#answer === Say.Exit;
  }

  #hello(data: Uint8Array): void {
    if (this.#hellos === "none") return;
    this.#script = this.#from({ from: this.#hellos, hello: data, command: null });
    this.#hellos = "root";
    this.#go(NOTHING);
  }

  #from(origin: Origin): Script<void> {
    this.#begins(origin);
    if (origin.from === "leave") return this.#leave();
    return origin.from === "initrd" ? this.#begin(origin.hello) : this.#run();
  }

  /** What is done from here on does not ask what was before. */
  #begins(origin: Origin): void {
    this.#origin = origin;
    this.#replies = [];
  }

  *#begin(hello: Uint8Array): Script<void> {
    const stack = hello.length < 8 ? 0n : new DataView(hello.buffer, hello.byteOffset).getBigInt64(0, true);
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

  /**
   * Runs commands for as long as there are some.
   * @param first the first of them, if it is known
   */
  *#commands(first?: ExecCommand): Script<void> {
    for (let known = first; ; known = undefined) {
      const command = known ?? this.#port.next();
      if (command === "wait") {
        this.#waiting = true;
        return;
      }
      if (command === "leave") break;
      this.#begins({ from: "command", hello: NOTHING, command });
      yield* closeLeftovers(this.#leftovers);
      const { status, leftovers } = yield* runCommand(command);
      this.#leftovers = leftovers;
      this.#asked = false;
      this.#answer = Say.Reply;
      this.#port.exit(status);
    }
    this.#begins(LEAVING);
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
      if (done === true) {
        this.#origin = null;
        return;
      }
      const answer = answerOf(value);
      this.#answer = answer;
      // Whoever answers at once has the script go on in the meantime.
      this.#port.send(value);
      if (answer === Say.Exit) this.#port.begin();
    } catch (error) {
      if (!(error instanceof ExecFailure)) throw error;
      this.#port.fail(error.message);
      this.#script = this.#from(LEAVING);
      this.#go(NOTHING);
    }
  }
}

const NOTHING = new Uint8Array(0);
/** A port that nobody speaks or listens at. */
const NOBODY: ExecPort = {
  send: () => undefined,
  next: () => "wait",
  begin: () => undefined,
  output: () => undefined,
  errors: () => undefined,
  ready: () => undefined,
  closed: () => undefined,
  exit: () => undefined,
  fail: () => undefined,
  done: () => undefined,
  rest: () => null,
};
const LEAVING: Origin = { from: "leave", hello: NOTHING, command: null };

/** The frame that answers a request. */
const answerOf = (asked: Uint8Array): number =>
  parseRequest(asked).words[0] === BigInt(Ask.Pump) ? Say.Exit : Say.Reply;
