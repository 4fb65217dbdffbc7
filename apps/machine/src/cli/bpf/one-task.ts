import { Arena, BpfRuntime, KERNEL_HIGH, type RuntimeHost } from "@vm/bpf-storage";
import { say } from "../report.js";

/** The one task: its number, its reference count, the word for its storage. */
const TASK = { pid: 0, tgid: 4, usage: 8, storage: 12, size: 16 };
/** Number of the one task. */
export const PID = 1;

/** A system with one task, and nothing else. */
export function oneTask(engine: "jit" | "interpreter"): { readonly runtime: BpfRuntime; readonly cell: number } {
  const arena = new Arena();
  const task = arena.alloc(TASK.size);
  for (const field of [TASK.pid, TASK.tgid, TASK.usage]) arena.setU32(task + field, PID);
  const cell = task + TASK.storage;
  const host: RuntimeHost = {
    task: () => ({
      address: { low: task, high: KERNEL_HIGH },
      ...{ pid: PID, tid: PID, uid: 0, gid: 0, comm: Buffer.from("vm") },
    }),
    tasks: { cell: () => cell, live: () => true, fromFd: () => cell },
    perfEvent: () => true,
    trace: (text) => say(text),
  };
  return { runtime: new BpfRuntime({ arena, host, engine }), cell };
}
