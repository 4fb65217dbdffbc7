import { MachineError } from "../error.js";
import { PAYLOAD_MAX } from "./agent-abi.js";
import type { ExecUser } from "./agent-line.js";
import type { ExecAgent } from "./exec-agent.js";
import { commandFault } from "./exec-plan.js";

/** How a command runs in the guest. */
export interface ExecOptions {
  /** Its standard input, a string as UTF-8. Default: none, it reads from /dev/null. */
  readonly input?: Uint8Array | string | undefined;
  /** Gets what it writes to its standard output, as it comes, instead of the result. */
  readonly onOutput?: ((bytes: Uint8Array) => void) | undefined;
  /** The same of its standard error. */
  readonly onErrors?: ((bytes: Uint8Array) => void) | undefined;
  /** Most bytes that the result holds, of output and errors together; beyond, the command is killed. Default 16 MiB. */
  readonly maxBuffer?: number | undefined;
  /** Kills the command; `exec` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How a command is followed that ran already when its guest was saved. */
export type ResumedExecOptions = Pick<ExecOptions, "onOutput" | "onErrors" | "maxBuffer">;

/** How a command ended in the guest. */
export interface ExecResult {
  /** Its exit status, 0 to 255; 128 and the signal that ended it, as shells have it. */
  readonly status: number;
  /** What it wrote, as UTF-8. Empty where `onOutput` or `onErrors` took it. */
  readonly stdout: string;
  readonly stderr: string;
}

const MAX_BUFFER = 16 * 2 ** 20;
const SIGKILL = 9;

/** A command that waits or runs. */
interface Job {
  readonly command: string;
  options: ExecOptions;
  /** Input that is not sent yet. */
  input: Uint8Array;
  readonly output: InstanceType<typeof TextDecoder>;
  readonly errors: InstanceType<typeof TextDecoder>;
  stdout: string;
  stderr: string;
  held: number;
  /** Why it is being killed. */
  fault: unknown;
  readonly resolve: (result: ExecResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Runs commands, one after the other, in a guest whose first program is the agent. */
export class GuestExec {
  readonly #agent: ExecAgent;
  readonly #jobs: Job[] = [];
  #running: Job | null = null;
  /** Why no command can be run any more. */
  #over: string | null = null;
  /** The command that ran when the guest was saved, and how it ends; null if none did. */
  readonly #resumed: { readonly job: Job; readonly ended: Promise<ExecResult> } | null;

  /**
   * @param connect gives the agent, which from then on asks the user
   * @param onDone called when the guest can do nothing more and could not turn itself off
   * @param input of the command that the agent runs already, as far as it has not been handed over
   */
  constructor(connect: (user: ExecUser) => ExecAgent, onDone: () => void, input: Uint8Array | null = null) {
    this.#agent = connect({
      next: () => this.#next(),
      // What was to end before it had begun.
      begin: () => void (this.#running?.fault !== undefined && this.#agent.kill(SIGKILL)),
      output: (bytes) => this.#said(bytes, "stdout"),
      errors: (bytes) => this.#said(bytes, "stderr"),
      ready: () => this.#feed(),
      closed: () => undefined,
      exit: (status) => this.#ended(status),
      fail: (why) => this.end(`the guest cannot run it: ${why}`),
      done: onDone,
      rest: () => this.#running?.input ?? null,
    });
    const { command } = this.#agent;
    this.#resumed = command === null ? null : begun(command.command, { input: input ?? "" });
    this.#running = this.#resumed?.job ?? null;
    // Whoever does not ask for it does not care.
    this.#resumed?.ended.catch(() => undefined);
    this.#agent.takeUp();
  }

  /** The command that ran when the guest was saved, from then on; null if none did. */
  resumed(options: ResumedExecOptions): Promise<ExecResult> | null {
    if (this.#resumed === null) return null;
    this.#resumed.job.options = options;
    return this.#resumed.ended;
  }

  /** @throws {MachineError} `option` for a command that cannot be handed over, `exec` if it could not be run to its end; the signal's reason */
  run(command: string, options: ExecOptions): Promise<ExecResult> {
    const fault = typeof command === "string" ? commandFault(command) : "is no string";
    if (fault !== null) throw new MachineError("option", `the command ${fault}`);
    options.signal?.throwIfAborted();
    if (this.#over !== null) throw failure(command, this.#over);
    const { signal } = options;
    const { job, ended } = begun(command, options);
    const onAbort = (): void => this.#abort(job);
    this.#jobs.push(job);
    signal?.addEventListener("abort", onAbort);
    this.#agent.wake();
    return ended.finally(() => signal?.removeEventListener("abort", onAbort));
  }

  /** No command can be run any more; those that wait or run are told why: the end of a sentence. */
  end(why: string): void {
    this.#over ??= why;
    const jobs = this.#running === null ? this.#jobs.splice(0) : [this.#running, ...this.#jobs.splice(0)];
    this.#running = null;
    for (const job of jobs) job.reject(job.fault ?? failure(job.command, why));
  }

  #next() {
    if (this.#over !== null) return "leave";
    this.#running = this.#jobs.shift() ?? null;
    if (this.#running === null) return "wait";
    return { command: this.#running.command, input: this.#running.options.input !== undefined };
  }

  #said(bytes: Uint8Array, stream: "stdout" | "stderr"): void {
    const job = this.#running;
    if (job === null || job.fault !== undefined) return;
    const { onOutput, onErrors, maxBuffer = MAX_BUFFER } = job.options;
    const own = stream === "stdout" ? onOutput : onErrors;
    if (own !== undefined) {
      own(bytes.slice());
      return;
    }
    job.held += bytes.length;
    if (job.held > maxBuffer) {
      this.#kill(
        job,
        failure(job.command, `it wrote more than ${maxBuffer} bytes; take them with onOutput and onErrors`),
      );
      return;
    }
    job[stream] += (stream === "stdout" ? job.output : job.errors).decode(bytes, { stream: true });
  }

  #feed(): void {
    const job = this.#running;
    if (job === null) return;
    const piece = job.input.subarray(0, PAYLOAD_MAX);
    job.input = job.input.subarray(piece.length);
    this.#agent.input(piece);
  }

  #ended(status: number): void {
    const job = this.#running;
    this.#running = null;
    if (job === null) return;
    const { stdout, stderr, output, errors } = job;
    if (job.fault !== undefined) job.reject(job.fault);
    else job.resolve({ status, stdout: stdout + output.decode(), stderr: stderr + errors.decode() });
  }

  #abort(job: Job): void {
    const { reason } = job.options.signal as AbortSignal;
    const waiting = this.#jobs.indexOf(job);
    if (waiting >= 0) {
      this.#jobs.splice(waiting, 1);
      job.reject(reason);
    } else if (this.#running === job) this.#kill(job, reason);
  }

  #kill(job: Job, fault: unknown): void {
    job.fault = fault;
    this.#agent.kill(SIGKILL);
  }
}

function begun(command: string, options: ExecOptions): { readonly job: Job; readonly ended: Promise<ExecResult> } {
  const { input = "" } = options;
  let job: Job | undefined;
  const ended = new Promise<ExecResult>((resolve, reject) => {
    job = {
      ...{ command, options, resolve, reject, stdout: "", stderr: "", held: 0, fault: undefined },
      input: typeof input === "string" ? new TextEncoder().encode(input) : input,
      output: new TextDecoder(),
      errors: new TextDecoder(),
    };
  });
  return { job: job as Job, ended };
}

/** What is told of a command that could not be run to its end. */
function failure(command: string, why: string): MachineError {
  const shown = command.length > 60 ? `${command.slice(0, 60)}...` : command;
  return new MachineError("exec", `${JSON.stringify(shown)} has not ended: ${why}`);
}
