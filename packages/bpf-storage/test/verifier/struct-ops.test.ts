import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { isFormat } from "../../src/verifier/format-string.js";
import type { Verdict, VerifyRequest } from "../../src/verifier/request.js";
import { verify } from "../../src/verifier/verify.js";
import { refusal } from "./kfunc-kernel.js";
import { testBtf } from "./selftest-btf.js";
import { call, exit, jeqi, ldx, mov, movi, Size, sti } from "./small-kernel.js";
import { Types } from "./types-builder.js";

const types = new Types();
const int = types.int(4);
const sock = types.pointer(types.struct("sock", 16, [["sk_pacing_rate", int, 0]]));
types.struct("inet_connection_sock", 40, [["icsk_ca_priv", int, 24]]);
types.struct("tcp_sock", 64, [
  ["sk", int, 0],
  ["snd_cwnd", int, 48],
  ["rcv_nxt", int, 52],
]);
const state = types.pointer(types.struct("bpf_dummy_ops_state", 4, [["val", int, 0]]));
const ofSock = types.proto([["sk", sock]], 0);
const ofState = types.proto([["cb", state]], int);
types.func("bpf_dummy_ops__test_1", [["cb__nullable", state]], int);
const kernelBtf = testBtf(types.list);

const member =
  (struct: string, name: string, proto: number) =>
  (insns: readonly Insn[], more: Partial<VerifyRequest> = {}): Verdict =>
    verify({
      ...{ insns, type: ProgramType.StructOps, maps: () => undefined, kernelBtf, attachTo: { name, proto, struct } },
      ...more,
    });
const init = member("tcp_congestion_ops", "init", ofSock);
const done = [movi(0, 0), exit];
const argument = ldx(Size.Dw, 6, 1, 0);

describe("members of structures of functions", () => {
  test("congestion control reads all of a TCP socket, and writes what is its business", () => {
    expect(refusal(init([argument, ldx(Size.W, 0, 6, 52), sti(Size.W, 6, 48, 2), ...done]))).toBe("");
    expect(refusal(init([argument, sti(Size.W, 6, 52, 2), ...done]))).toBe(
      "EACCES: no write support to tcp_sock at off 52",
    );
    expect(refusal(init([argument, sti(Size.Dw, 6, 48, 2), ...done]))).toBe(
      "EACCES: write access at off 48 with size 8 beyond the member of tcp_sock ended at 52",
    );
  });

  test("a member that returns nothing may end with anything", () => {
    expect(refusal(init([argument, mov(0, 6), exit]))).toBe("");
  });

  test("options are not changed at the end of a congestion control", () => {
    const change = [argument, mov(1, 6), movi(2, 0), movi(3, 0), mov(4, 10), movi(5, 0), call(49), ...done];
    const release = member("tcp_congestion_ops", "release", ofSock);
    expect(refusal(release(change))).toBe("EINVAL: program of this type cannot use helper bpf_setsockopt#49");
  });

  test("members and structures that are not known are refused by name", () => {
    expect(refusal(member("tcp_congestion_ops", "get_info", ofSock)(done))).toBe(
      "ENOTSUPP: attach to unsupported member get_info of struct tcp_congestion_ops",
    );
    expect(refusal(member("sched_ext_ops", "enqueue", ofSock)(done))).toBe(
      "ENOTSUPP: struct_ops programs for struct sched_ext_ops are not supported by this verifier",
    );
    expect(refusal(init(done, { gpl: false }))).toBe("EINVAL: struct ops programs must have a GPL compatible license");
  });

  test("an argument may be NULL where the kernel says so", () => {
    const first = member("bpf_dummy_ops", "test_1", ofState);
    expect(refusal(first([argument, jeqi(6, 0, 1), sti(Size.W, 6, 0, 1), ...done]))).toBe("");
    expect(refusal(first([argument, sti(Size.W, 6, 0, 1), ...done]))).toBe(
      "EACCES: R6 invalid mem access 'trusted_ptr_or_null_'",
    );
    expect(refusal(member("bpf_dummy_ops", "test_2", ofState)([argument, sti(Size.W, 6, 0, 1), ...done]))).toBe("");
    expect(refusal(first(done, { sleepable: true }))).toBe(
      "EINVAL: attach to unsupported member test_1 of struct bpf_dummy_ops",
    );
  });
});

describe("formats of bpf_snprintf", () => {
  const accepts = (text: string, count: number): boolean => isFormat(new TextEncoder().encode(`${text}\0`), count);

  test.each(["%d", "%5u%%", "%-08llx", "%lu", "%pI4", "%pi6", "%pks", "%s.", "%c", "%pB", "%ps", "%p ", "a\n"])(
    "%s will do",
    (text) => {
      expect(accepts(text, 1)).toBe(true);
    },
  );

  test.each(["%d %d", "%pi5", "%a", "%", "%12345678", "%--------", "%lc", "%llc", "%sx", "%px4%d", "\u0001"])(
    "%s will not",
    (text) => {
      expect(accepts(text, 1)).toBe(false);
    },
  );
});
