import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../src/btf/btf.js";
import { ERRNO } from "../../../src/errors.js";
import { verifierBtf } from "../../../src/verifier/btf-adapter.js";
import type { Verdict } from "../../../src/verifier/request.js";
import { verify } from "../../../src/verifier/verify.js";
import { BtfBuilder } from "../../btf/builder.js";
import { loopingProgram, MAP_FD, program } from "../generate.js";
import { FIXUP_MAPS, mapByFd, withMaps } from "../selftest-maps.js";
import { extractSelfTests, insnsOf, typeOf } from "../selftests.js";
import { type Case, FIRST_FD, type JudgeMap, judge } from "./judge.js";
import { mutants } from "./mutants.js";
import { contextProbes, helperProbes } from "./probes.js";

/**
 * Verdicts on generated programs against those of a real kernel. Opt-in: VM_BPF_VERDICTS says how many programs of each kind;
 * VM_BPF_JUDGE_IMAGE and VM_BPF_JUDGE_TYPES name a kernel that is booted in QEMU, and its type information; without them the running kernel
 * judges, for root. A kernel of another version than 6.12, whose accept set this verifier has, differs in a few programs of a thousand.
 */
const COUNT = Number(process.env["VM_BPF_VERDICTS"] ?? 0);
const IMAGE = process.env["VM_BPF_JUDGE_IMAGE"];
const TYPES = process.env["VM_BPF_JUDGE_TYPES"] ?? (IMAGE === undefined ? "/sys/kernel/btf/vmlinux" : "");
const SELFTESTS = process.env["VM_BPF_SELFTESTS_SRC"];
const SEED = Number(process.env["VM_BPF_SEED"] ?? 1);
const EXACT = "6.12.";
/** Part of the verdicts of another version that must agree. */
const LIKENESS = 0.99;
const SLEEPABLE = 1 << 4;
const STRICT = 1 << 0;
const HOUR = 3_600_000;

/** Types of the values that have a lock or a timer; the numbers are those that `build` gives. */
const types = new BtfBuilder();
const int = types.int("int", 4, 1);
const lock = types.struct("bpf_spin_lock", 4, [["val", int, 0]]);
const locked = types.struct("locked", 8, [
  ["count", int, 0],
  ["lock", lock, 32],
]);
const timer = types.struct("bpf_timer", 16, []);
const timed = types.struct("timed", 16, [["timer", timer, 0]]);
const VALUES: Readonly<Record<string, number>> = { map_spin_lock: locked, sk_storage_map: locked, map_timer: timed };

/** The maps of test_verifier, but for the one whose pointers are to types of a test module. */
const NAMES = Object.keys(FIXUP_MAPS).filter((name) => name !== "map_kptr");
const MAPS = NAMES.map((name): JudgeMap => {
  const map = FIXUP_MAPS[name] as JudgeMap["map"];
  const value = VALUES[name];
  return value === undefined ? { map } : { map, types: [int, value] };
});
const ARRAY = NAMES.indexOf("map_array_48b");

const kernelBtf = existsSync(TYPES) ? verifierBtf(new Btf(new Uint8Array(readFileSync(TYPES)))) : undefined;

const ours = ({ insns, type, attach, flags }: Case): Verdict =>
  verify({
    ...{ insns, type: type as never, expectedAttachType: attach, maps: mapByFd },
    strictAlignment: (flags & STRICT) !== 0,
    ...((flags & SLEEPABLE) === 0 ? {} : { sleepable: true }),
    ...(kernelBtf === undefined ? {} : { kernelBtf }),
  });

const errnoOf = ({ accepted, errno }: Verdict): number => (accepted ? 0 : ERRNO[errno ?? "EINVAL"]);

const compare = (what: string, cases: readonly Case[]): void => {
  const { release, verdicts } = judge(cases, types.build(), MAPS, IMAGE);
  const differing: string[] = [];
  let accepted = 0;
  let errnos = 0;
  cases.forEach((each, k) => {
    const verdict = ours(each);
    const { errno, message } = verdicts[k] ?? { errno: 0, message: "" };
    if (errno === 0) accepted++;
    if (errno === errnoOf(verdict)) errnos++;
    if (verdict.accepted === (errno === 0)) return;
    const bytes = each.insns.map(({ code }) => code.toString(16)).join(" ");
    differing.push(`${each.name}: kernel ${errno} ${message}; here ${verdict.log.slice(-300)} [${bytes}]`);
  });
  process.stdout.write(
    `${what}: ${cases.length} programs, linux ${release} accepts ${accepted}, ${differing.length} verdicts and ` +
      `${cases.length - errnos} errnos differ\n`,
  );
  if (release.startsWith(EXACT)) expect(differing).toEqual([]);
  else expect(differing.length).toBeLessThan(cases.length * (1 - LIKENESS));
};

const sample = (from: fc.Arbitrary<Case>): Case[] => fc.sample(from, { numRuns: COUNT, seed: SEED });

/** Programs of the soundness tests, which know one map. */
const tracing = (from: typeof program): fc.Arbitrary<Case> =>
  from.map((insns) => ({
    ...{ name: "random", type: 17, attach: 0, flags: 0 },
    insns: insns.map((each) =>
      each.code === 0x18 && each.src !== 0 && each.imm === MAP_FD ? { ...each, imm: FIRST_FD + ARRAY } : each,
    ),
  }));

const seeds = (): Case[] =>
  extractSelfTests(SELFTESTS as string)
    .filter(({ kfunc, funcInfo, kfuncs, fixups }) =>
      [kfunc, funcInfo, kfuncs, fixups["map_kptr"] ?? []].every((list) => list.length === 0),
    )
    .map((each) => ({
      ...{ name: each.name, type: typeOf(each), attach: each.attach, flags: each.flags & (STRICT | (1 << 1)) },
      insns: withMaps(each, insnsOf(each)),
    }));

describe.skipIf(COUNT === 0)("verdicts of a real kernel (skipped without VM_BPF_VERDICTS)", () => {
  test("fields of contexts", { timeout: HOUR }, () => compare("contexts", contextProbes()));
  test("calls of helpers", { timeout: HOUR }, () =>
    compare("helpers", sample(helperProbes({ array: ARRAY, count: MAPS.length }))),
  );
  test("random programs", { timeout: HOUR }, () => compare("random programs", sample(tracing(program))));
  test("random programs that loop", { timeout: HOUR }, () =>
    compare("loops", sample(tracing(loopingProgram)).slice(0, Math.ceil(COUNT / 100))),
  );
  test.skipIf(SELFTESTS === undefined)(
    "mutants of test_verifier's cases (skipped without VM_BPF_SELFTESTS_SRC)",
    { timeout: HOUR },
    () => compare("mutants", sample(mutants(seeds()))),
  );
});
