import { describe, expect, test } from "vitest";
import { BpfRuntime, KERNEL_HIGH, ProgramType, type RuntimeHost } from "../../src/index.js";
import { program } from "../engine/assemble.js";

/** What programs of the selftests of cgroups ask about sockets and tasks. */

const [SOCKET, COOKIE] = [0x9000, 17];
const CONTEXT_BYTES = 256;

const HOST: RuntimeHost = {
  tcpSocket: (low, high) => high === KERNEL_HIGH && low === SOCKET,
  socketCookie: (low) => ({ low: low === SOCKET ? COOKIE : 0, high: 0 }),
  taskCgroup1: ({ low }, hierarchy) => (hierarchy === 3 ? { low: low + 16, high: KERNEL_HIGH } : null),
};

/** Runs a program with a socket at an offset of its context. @returns what it returns, and whether the context is as it was */
function run(text: string, engine: "jit" | "interpreter", type: ProgramType, socketAt: number) {
  const runtime = new BpfRuntime({ host: HOST, engine });
  const loaded = runtime.load({
    ...{ name: "test", type, recur: false, trusted: true, kfunc: () => "bpf_task_get_cgroup1" },
    ...program(`${text}\nexit`),
  });
  const { arena } = runtime;
  const context = arena.alloc(CONTEXT_BYTES);
  arena.setU32(context + socketAt, SOCKET);
  arena.setU32(context + socketAt + 4, KERNEL_HIGH);
  const before = arena.read(context, CONTEXT_BYTES);
  loaded.run(context);
  expect(arena.read(context, CONTEXT_BYTES)).toEqual(before);
  return loaded.result;
}

/** Where their contexts have a pointer to the socket (linux/bpf.h). */
const CONTEXTS = [
  ["bpf_sock_addr", ProgramType.CgroupSockAddr, 64],
  ["bpf_sock_ops", ProgramType.SockOps, 184],
] as const;

describe.each(["jit", "interpreter"] as const)("%s", (engine) => {
  test.each(CONTEXTS)("bpf_get_socket_cookie of a struct %s is that of its socket", (_, type, at) => {
    expect(run("call 46", engine, type, at)).toBe(BigInt(COOKIE));
  });

  test.each(CONTEXTS)(
    "bpf_skc_to_tcp_sock gives the socket of a struct %s if it is one of TCP, else NULL",
    (_, type, at) => {
      const pointer = (BigInt(KERNEL_HIGH) << 32n) | BigInt(SOCKET);
      expect(run(`ldxdw %r1, [%r1+${at}]\ncall 137`, engine, type, at)).toBe(pointer);
      expect(run(`ldxdw %r1, [%r1+${at}]\nadd %r1, 16\ncall 137`, engine, type, at)).toBe(0n);
    },
  );

  test("bpf_task_get_cgroup1 asks by the number of the hierarchy", () => {
    const cgroup = (hierarchy: number): bigint =>
      run(`mov %r1, 32\nmov %r2, ${hierarchy}\ncall kfunc 0`, engine, ProgramType.RawTracepoint, 0);
    expect(cgroup(3)).toBe((BigInt(KERNEL_HIGH) << 32n) | 48n);
    expect(cgroup(4)).toBe(0n);
  });
});

test("a host that knows no sockets of TCP, and no cgroups of version 1, is not asked: the program is refused", () => {
  const load = (text: string) =>
    new BpfRuntime().load({
      ...{ name: "test", type: ProgramType.SockOps, recur: false, trusted: true, kfunc: () => "bpf_task_get_cgroup1" },
      ...program(`${text}\nexit`),
    });
  expect(() => load("call 137")).toThrow("bpf_skc_to_tcp_sock#137 asks the host for tcpSocket");
  expect(() => load("call kfunc 0")).toThrow("bpf_task_get_cgroup1 asks the host for taskCgroup1");
});
