import { MachineError } from "../error.js";
import type { MachineExit } from "../exit.js";
import type { AgentLine, ExecUser } from "./agent-line.js";
import type { ExecPlan, RootWords } from "./exec-plan.js";
import { type ExecOptions, type ExecResult, GuestExec, type ResumedExecOptions } from "./guest-exec.js";

export interface MachineExecDesc {
  readonly agents: AgentLine;
  readonly random: () => number;
  /** Starts the machine, if nobody has. */
  readonly run: () => void;
  readonly stop: () => void;
  readonly onEnd: (listener: (exit: MachineExit) => void) => void;
}

/** Commands in the guest of a machine, for those who have the machine. */
export class MachineExec {
  readonly #desc: MachineExecDesc;
  #exec: GuestExec | null = null;

  constructor(desc: MachineExecDesc) {
    this.#desc = desc;
  }

  /** The guest starts the agent, which finds its root by these words. */
  expect(root: RootWords): void {
    const word = new DataView(new ArrayBuffer(8));
    // A run that repeats exactly has the same tag each time.
    for (const at of [0, 4]) word.setInt32(at, this.#desc.random(), true);
    this.#take({ tag: new Uint8Array(word.buffer), root });
  }

  /** The guest is about to run: a command that was saved with it goes on, whether anyone asks for it or not. */
  takeUp(): void {
    if (this.#desc.agents.saved !== null) this.#take();
  }

  resumed(options: ResumedExecOptions): Promise<ExecResult> | null {
    this.takeUp();
    const ended = this.#exec?.resumed(options) ?? null;
    if (ended !== null) this.#desc.run();
    return ended;
  }

  run(command: string, options: ExecOptions): Promise<ExecResult> {
    this.takeUp();
    if (this.#exec === null)
      throw new MachineError("state", "exec needs a machine with a Linux kernel that was made with agent: true");
    const result = this.#exec.run(command, options);
    this.#desc.run();
    return result;
  }

  /** @param plan how the agent gets to where commands are to run; default: it was saved, and is there */
  #take(plan?: ExecPlan): void {
    const { agents, stop, onEnd } = this.#desc;
    const input = agents.saved?.input ?? null;
    const connect = (user: ExecUser) => (plan === undefined ? agents.resume(user) : agents.expect(plan, user));
    const exec = new GuestExec(connect, stop, input);
    onEnd(({ reason }) => exec.end(`the machine has ended (${reason})`));
    this.#exec = exec;
  }
}
