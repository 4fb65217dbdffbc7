import type { VmAsyncPfState } from "@vm/async-pf";
import type { VcpuState } from "@vm/cpu";
import { read, type StateReader, within } from "@vm/devices";
import type { AsyncPageFaults } from "./async-page-faults.js";
import type { Board } from "./board/board.js";
import type { BoardState } from "./board/state.js";
import { MAX_RETIRED, type VirtualClock, type VirtualClockState } from "./clock.js";
import type { ConsoleState, MachineConsole } from "./console.js";
import type { AgentLine, AgentLineState } from "./exec/agent-line.js";
import type { PluginPart } from "./plugin.js";
import type { Random } from "./random.js";
import type { RunLoop } from "./run-loop.js";
import type { RunLoopState } from "./run-loop-desc.js";
import { part } from "./state-part.js";

/**
 * What a machine is like between two instructions, but for its memory and what makes it: how much memory, how many processors, which devices. It is data: numbers, strings,
 * booleans, null, bytes, lists and records of them. Nothing derived is in it, such as decoded code.
 */
export interface MachineState {
  readonly clock: VirtualClockState;
  readonly loop: RunLoopState;
  /** Null: the guest's random numbers are the host's. */
  readonly random: number | null;
  readonly vcpus: readonly VcpuState[];
  readonly board: BoardState;
  readonly console: ConsoleState;
  /** Of asynchronous page faults; null for a machine without. */
  readonly asyncPf: VmAsyncPfState | null;
  readonly agent: AgentLineState;
  /** Of each plugin that does more than look on, by its place. */
  readonly plugins: readonly unknown[];
  /** A byte that the guest wrote to the exit-status port, if it has. */
  readonly exitStatus: number | null;
}

/** What of a machine has a state. */
export interface Stateful {
  readonly clock: VirtualClock;
  readonly loop: RunLoop;
  readonly random: Random;
  readonly board: Board;
  readonly console: MachineConsole;
  readonly asyncPf: AsyncPageFaults | null;
  readonly agents: AgentLine;
  readonly plugins: readonly PluginPart[];
  readonly exitStatus: number | null;
}

const INT32 = 2 ** 31;

/** What is the processor's own is its to read, but not that counting goes on to be exact. */
const vcpu: StateReader<VcpuState> = (value, path = "") => {
  const state = read.object(value, path);
  read.integer(0, MAX_RETIRED)(state.retired, `${path}.retired`);
  return state as unknown as VcpuState;
};

/** What a machine with these parts has a state of; each part reads its own. What else `overlays` says is the disks'. */
function readMachine({ board, plugins, asyncPf }: Stateful): StateReader<MachineState> {
  const own: StateReader<never> = (value) => value as never;
  return read.record<MachineState & { readonly overlays?: unknown }>(
    {
      ...{ clock: own, loop: own, board: own, console: own, agent: own, overlays: own },
      random: read.nullOr(read.integer(-INT32, INT32 - 1)),
      vcpus: read.list(vcpu, board.vcpus.length),
      asyncPf: asyncPf === null ? read.none : own,
      plugins: read.list(own, plugins.length),
      exitStatus: read.nullOr(read.u8),
    },
    ["overlays"],
  );
}

/** While the guest stands still. */
export function saveState({ board, ...of }: Stateful): MachineState {
  return {
    clock: of.clock.save(),
    loop: of.loop.save(),
    random: of.random.save(),
    vcpus: board.vcpus.map((vcpu) => of.asyncPf?.saveVcpu(vcpu) ?? vcpu.save()),
    board: board.save(),
    console: of.console.save(),
    asyncPf: of.asyncPf?.save() ?? null,
    agent: of.agents.save(),
    plugins: of.plugins.map(({ saved }) => saved?.save() ?? null),
    exitStatus: of.exitStatus,
  };
}

/**
 * Takes the state of a machine with the same devices, once memory is as it was there, before the guest runs. Whoever looked on there does not do so here: processors have no view
 * of their own.
 * @returns the exit status
 * @throws {StateError} if it is none of such a machine, which is of no use then
 */
export function restoreState(of: Stateful, saved: MachineState): number | null {
  const state = readMachine(of)(saved);
  const { board, clock } = of;
  within("clock", () => clock.restore(state.clock));
  of.random.restore(state.random);
  for (const [k, vcpu] of board.vcpus.entries())
    part(`vcpus[${k}]`, () => vcpu.restore({ ...(state.vcpus[k] as VcpuState), view: 0, singleStep: false }));
  within("board", () => board.restore(state.board));
  part("asyncPf", () => of.asyncPf?.restore(state.asyncPf));
  within("console", () => of.console.restore(state.console));
  within("agent", () => of.agents.restore(state.agent));
  for (const [k, { saved }] of of.plugins.entries()) part(`plugins[${k}]`, () => saved?.restore(state.plugins[k]));
  // What was restored may have asked for attention.
  within("loop", () => of.loop.restore(state.loop));
  if (clock.mode === "host") clock.time.step((Date.now() / 1000 - clock.time.realtime()) * 1e9);
  return state.exitStatus;
}
