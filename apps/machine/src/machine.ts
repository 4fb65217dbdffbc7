/// <reference lib="esnext.disposable" />
import { loadBuiltinGuest } from "./boot/builtin.js";
import { loadLinux } from "./boot/linux.js";
import { rootWords } from "./exec/exec-plan.js";
import type { ExecOptions, ExecResult, ResumedExecOptions } from "./exec/guest-exec.js";
import type { MachineExit } from "./exit.js";
import type { ForkOptions } from "./fork.js";
import type { MachineSnapshot } from "./machine-snapshot.js";
import { makerOf } from "./makers.js";
import { checkOptions } from "./option-checks.js";
import { type MachineOptions, pluginsOf } from "./options.js";
import { readParts } from "./parts.js";
import type { MachineHandle } from "./plugin.js";
import { allocateRam } from "./ram.js";
import type { SerialLine } from "./serial-line.js";
import type { MachineStats } from "./stats.js";
import { VirtualMachine } from "./virtual-machine.js";

/** Why a machine ended, and what went wrong when it had. */
export type MachineEnd = MachineExit & {
  /** What listeners of `end` and the disposers of plugins threw, each of which was called all the same; absent if nothing. */
  readonly pluginErrors?: readonly unknown[];
};

export interface SnapshotOptions {
  /** Instructions that the processors have retired, all together, when it is taken. Default: at once. */
  readonly at?: number | undefined;
  /** Stops the machine then. Default false. */
  readonly stop?: boolean | undefined;
}

/** A virtual machine; see {@link createMachine}. `await using` stops it at the end of a block. */
export interface Machine extends MachineHandle, AsyncDisposable {
  /** The second serial line, COM2. */
  readonly auxiliary: SerialLine;
  /** How the machine ended, null while it has not. */
  readonly ended: MachineExit | null;
  /** Runs the machine until it ends, and tells why it did. Once; further calls give the same promise. Never rejects. */
  run(): Promise<MachineEnd>;
  /**
   * Runs `sh -c COMMAND` in a Linux guest whose machine was made with `agent: true`, and starts the machine if nobody has. Commands run one after
   * the other; when the last has ended the guest waits for more, until `stop`.
   * @throws {MachineError} `state` without an agent, `option` for a command that cannot be handed over, `exec` if it could not be run to its end
   * @example const { status, stdout } = await machine.exec("uname -a");
   */
  exec(command: string, options?: ExecOptions): Promise<ExecResult>;
  /**
   * The command that ran when the machine was saved which this one goes on from: what it writes from then on, and how it ends; starts the machine if nobody has. Null if none did. Where that was the program
   * `vm` and its input was not known yet, the command finds the end of it.
   */
  resumedExec(options?: ResumedExecOptions): Promise<ExecResult> | null;
  /** Stops at an instruction boundary; resolves when the guest stands still. Virtual time stands still with it. */
  pause(): Promise<void>;
  /**
   * Saves the machine between two instructions, and starts it if nobody has: copies it while the guest stands still, which then goes on. What is on its disks is not saved. With
   * `icount` the guest finds no trace of it, and one that `createMachine({ snapshot })` makes goes on as this one does, to the instruction.
   * @throws {MachineError} `option` for a machine that cannot be saved (a TD, or one with a plugin that is not made for it), `state` if it has ended, or ends before
   */
  snapshot(options?: SnapshotOptions): Promise<MachineSnapshot>;
  /**
   * Another machine that goes on where this one is, from the next instruction boundary on, while this one goes on too; starts this one if nobody has. Memory is shared until
   * one of them writes it, and what the fork writes on disks stays in its memory. It has none of this one's console listeners, and of plugins those that `options` name: all
   * that do more than look on, once more. Hundreds can be made of a guest that is warm.
   * @throws {MachineError} `option` for a machine that cannot be saved, or with a guest_memfd; `state` if it has ended, or ends before
   * @example const { stdout } = await (await warm.fork()).exec("make test");
   */
  fork(options?: ForkOptions): Promise<Machine>;
  /** Ends the machine at the next instruction boundary: `run` resolves with `stopped`, unless it has ended otherwise. */
  stop(): void;
  /** Host time spent in the guest so far, ms. */
  readonly executingMs: number;
  stats(): MachineStats;
  /** Stops the machine and waits for its end. Rejects with what plugins threw. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a machine with its guest loaded, ready to run.
 *
 * @throws {MachineError} for an option outside its range, {@link KernelError} for a kernel that cannot be used, {@link BootError} if
 * kernel, ram disk, command line and memory do not go together, the reason of `signal`, and whatever a plugin's `install` throws
 * @example const exit = await (await createMachine({ kernel, initrd })).run();
 */
export async function createMachine(options: MachineOptions = {}): Promise<Machine> {
  checkOptions(options);
  if (options.snapshot !== undefined) return VirtualMachine.restored(options.snapshot, options);
  const make = makerOf(pluginsOf(options));
  if (make !== undefined) return make(options);
  const { config, kernel, initrd, pace } = await readParts(options);
  const { commandLine, ram } = config;
  const machine = new VirtualMachine(config, options, await allocateRam(config));
  const { mmu, rsdp, vcpus } = machine.board;
  const [bootstrap] = vcpus;
  if (kernel === null) loadBuiltinGuest(mmu, bootstrap, commandLine, machine.board.power);
  else await loadLinux(mmu, bootstrap, { kernel, initrd, commandLine, ram, rsdp, pace });
  if (options.agent === true) machine.commands.expect(rootWords(options.commandLine ?? ""));
  await machine.equip(pluginsOf(options), options.signal);
  return machine;
}
