import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import type { Insn } from "../../src/isa/insn.js";
import { verifierBtf } from "../../src/verifier/btf-adapter.js";
import type { AttachTarget, VerifyRequest } from "../../src/verifier/request.js";
import { verify } from "../../src/verifier/verify.js";
import recorded from "./agreement.json" with { type: "json" };
import { rawBtf } from "./raw-btf.js";
import { mapByFd, withMaps } from "./selftest-maps.js";
import { Expected, extractSelfTests, insnsOf, type SelfTest, typeOf } from "./selftests.js";

/**
 * Verdicts and messages against the cases of the kernel's test_verifier, for a loader with all capabilities (what those cases expect for
 * others is not looked at). Opt-in: VM_BPF_SELFTESTS_SRC names tools/testing/selftests/bpf of a linux 6.1 tree.
 */
const SOURCE = process.env["VM_BPF_SELFTESTS_SRC"];
const VMLINUX = process.env["VM_BPF_VMLINUX"] ?? "/sys/kernel/btf/vmlinux";

const Flag = { strictAlignment: 2, sleepable: 16 } as const;
const Attach = { rawTp: 23, lsm: 27, iter: 28 } as const;

interface Row {
  cases: number;
  agree: number;
  /** Of the refused ones, those whose log has all parts of the message. */
  refused: number;
  messages: number;
}

const kernel = existsSync(VMLINUX) ? new Btf(new Uint8Array(readFileSync(VMLINUX))) : undefined;
const kernelBtf = kernel === undefined ? undefined : verifierBtf(kernel);

const PREFIX: Readonly<Record<number, string>> = {
  [Attach.lsm]: "bpf_lsm_",
  [Attach.iter]: "bpf_iter_",
  [Attach.rawTp]: "btf_trace_",
};

const attachTo = ({ kfunc, attach }: SelfTest): AttachTarget | undefined => {
  const name = `${PREFIX[attach] ?? ""}${kfunc}`;
  const id = kernel?.find(name, BtfKind.Func);
  if (kernel === undefined || id === null || id === undefined) return undefined;
  return { name, proto: kernel.target(id) };
};

/** Puts in the numbers of functions of the kernel; those that it has not stay 0. */
const withKfuncs = ({ kfuncs }: SelfTest, insns: readonly Insn[]): Insn[] =>
  insns.map((insn, at) => {
    const name = kfuncs.find(([, place]) => place === at)?.[0];
    const id = name === undefined ? null : (kernel?.find(name, BtfKind.Func) ?? null);
    return id === null ? insn : { ...insn, imm: id };
  });

const requestOf = (test: SelfTest): VerifyRequest => {
  const target = test.kfunc === "" ? undefined : attachTo(test);
  return {
    ...{
      insns: withKfuncs(test, withMaps(test, insnsOf(test))),
      type: typeOf(test),
      expectedAttachType: test.attach,
      maps: mapByFd,
    },
    strictAlignment: (test.flags & Flag.strictAlignment) !== 0,
    ...((test.flags & Flag.sleepable) !== 0 ? { sleepable: true } : {}),
    ...(kernelBtf === undefined ? {} : { kernelBtf }),
    ...(target === undefined ? {} : { attachTo: target }),
    ...(test.funcInfo.length === 0
      ? {}
      : {
          funcInfo: test.funcInfo.map(([insn, type]) => ({ insn, type })),
          programBtf: rawBtf(test.btfTypes, Buffer.from(test.btfStrings, "hex")),
        }),
  };
};

/** Whether all parts (separated by tabs) are in the text, one after the other. */
const hasParts = (log: string, parts: string): boolean => {
  let at = 0;
  return parts.split("\t").every((part) => {
    const found = log.indexOf(part, at);
    at = found + part.length;
    return found >= 0;
  });
};

const run = (cases: readonly SelfTest[]): Map<string, Row> => {
  const table = new Map<string, Row>();
  for (const test of cases) {
    const row = table.get(test.file) ?? { cases: 0, agree: 0, refused: 0, messages: 0 };
    table.set(test.file, row);
    const { accepted, log } = verify(requestOf(test));
    const expected = test.result === Expected.accept || test.result === Expected.verboseAccept;
    row.cases++;
    if (accepted === expected) row.agree++;
    if (process.env["VM_BPF_SHOW"] !== undefined && accepted !== expected)
      process.stdout.write(
        `${test.file}: ${test.name}: expected ${expected ? "accept" : "reject"}: ${log.slice(-400)}\n`,
      );
    if (expected) continue;
    row.refused++;
    if (!accepted && hasParts(log, test.error)) row.messages++;
    else if (process.env["VM_BPF_SHOW"] === "messages")
      process.stdout.write(`${test.file}: ${test.name}: "${test.error}": ${log.slice(-400)}\n`);
  }
  return table;
};

describe.skipIf(SOURCE === undefined)("agreement with test_verifier (skipped without VM_BPF_SELFTESTS_SRC)", () => {
  test("no category agrees less than recorded", { timeout: 300_000 }, () => {
    const table = run(extractSelfTests(SOURCE as string));
    const lines = [...table].map(
      ([file, row]) =>
        `${file.padEnd(28)} ${row.cases} cases, ${row.agree} agree, messages ${row.messages} of ${row.refused}`,
    );
    const sum = (key: keyof Row): number => [...table.values()].reduce((total, row) => total + row[key], 0);
    lines.push(`all: ${sum("cases")} cases, ${sum("agree")} agree, messages ${sum("messages")} of ${sum("refused")}`);
    process.stdout.write(`${lines.join("\n")}\n`);
    const least = recorded.agree as Readonly<Record<string, number>>;
    const worse = [...table].filter(([file, row]) => row.agree < (least[file] ?? row.cases));
    expect(worse.map(([file, row]) => `${file}: ${row.agree}`)).toEqual([]);
    // Some messages name types of the host.
    if (kernelBtf !== undefined) expect(sum("messages")).toBeGreaterThanOrEqual(recorded.messages);
  });
});
