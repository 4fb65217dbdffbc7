import { read, within } from "@vm/devices";
import type { SerialLine } from "../serial-line.js";
import { agentImage } from "./agent-image.js";
import { ExecAgent, type ExecAgentState, type ExecPort } from "./exec-agent.js";
import { readAgent } from "./exec-agent-state.js";
import type { ExecPlan } from "./exec-plan.js";

/** Who has commands for an agent. */
export type ExecUser = Omit<ExecPort, "send">;

/** What is saved of a line. */
export interface AgentLineState {
  /** Null: the guest has no agent for commands. */
  readonly exec: ExecAgentState | null;
  /** See {@link AgentLine.window}. */
  readonly window: boolean;
}

const readLine = read.record<AgentLineState>({ exec: read.nullOr(readAgent), window: read.flag });

/** The line to the agent in the guest, and who speaks on it. It is saved with the machine, so that a command which runs then goes on. */
export class AgentLine {
  readonly #line: SerialLine;
  #agent: ExecAgent | null = null;
  #saved: ExecAgentState | null = null;
  /** Whether an agent is there that sets the size of the console's window. */
  window: () => boolean = () => false;

  constructor(line: SerialLine) {
    this.#line = line;
  }

  /** What is between an agent and a host that nobody has taken the place of yet; null if there is none. */
  get saved(): ExecAgentState | null {
    return this.#saved;
  }

  /** Expects an agent in a guest that has not run. */
  expect(plan: ExecPlan, user: ExecUser): ExecAgent {
    return this.#listen(new ExecAgent(plan, agentImage().length, this.#port(user)));
  }

  /** Takes the place of the host of an agent that was saved. The guest must not have run since. @throws {RangeError} if there is none */
  resume(user: ExecUser): ExecAgent {
    if (this.#saved === null) throw new RangeError("no agent was saved");
    const agent = this.#listen(ExecAgent.resumed(this.#saved, agentImage().length, this.#port(user)));
    this.#saved = null;
    return agent;
  }

  save(): AgentLineState {
    return { exec: this.#agent?.save() ?? this.#saved, window: this.window() };
  }

  /** @throws {StateError} */
  restore(state: AgentLineState): void {
    const { exec, window } = readLine(state);
    if (exec !== null) within("exec", () => ExecAgent.check(exec, agentImage().length));
    this.#saved = exec;
    this.window = () => window;
  }

  #port(user: ExecUser): ExecPort {
    return { ...user, send: (bytes) => this.#line.send(bytes) };
  }

  #listen(agent: ExecAgent): ExecAgent {
    this.#agent = agent;
    this.#line.listen((byte) => agent.push(byte));
    return agent;
  }
}
