import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { verify } from "../../src/verifier/verify.js";
import recorded from "./agreement-objects.json" with { type: "json" };
import { type Kernel, type ObjectCase, objectCases, readKernel } from "./objects.js";

/**
 * Verdicts on the kernel's own test programs (tools/testing/selftests/bpf/progs of linux 6.12): those that are tagged with what is expected
 * of them, and those that tests load as they are. Opt-in: VM_BPF_VERIFIER_OBJECTS names a folder of them, compiled by clang for bpf with
 * a vmlinux.h of the kernel whose types VM_BPF_VMLINUX (default: the host's) has.
 */
const FOLDER = process.env["VM_BPF_VERIFIER_OBJECTS"];
const VMLINUX = process.env["VM_BPF_VMLINUX"] ?? "/sys/kernel/btf/vmlinux";
const SHOW = process.env["VM_BPF_SHOW"] !== undefined;

const PREFIX = "comment:";
const MESSAGE = "test_expect_msg=";
const ARCH = "test_arch=";

interface Sum {
  cases: number;
  agree: number;
  refused: number;
  messages: number;
}

/** The messages that the log must have; those with patterns count up to the pattern. */
const messagesOf = (tags: readonly string[]): string[] =>
  tags
    .filter((tag) => tag.startsWith(MESSAGE))
    .map((tag) => tag.slice(tag.indexOf("=", MESSAGE.length) + 1).split("{{")[0] ?? "");

const tagsOf = ({ tags }: ObjectCase): string[] =>
  tags.map((tag) => (tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : tag)).filter((tag) => tag.startsWith("test_"));

/** Whether the tags say anything about a loader with all capabilities on this architecture. */
const isExpected = (tags: readonly string[]): boolean => {
  const archs = tags.filter((tag) => tag.startsWith(ARCH));
  const isHere = archs.length === 0 || archs.includes(`${ARCH}X86_64`);
  const isPrivileged =
    tags.some((tag) => /^test_(expect_success|expect_failure|expect_msg=.*|retval=.*)$/.test(tag)) ||
    !tags.some((tag) => tag.includes("_unpriv"));
  return tags.length > 0 && isHere && isPrivileged && !tags.some((tag) => tag.startsWith("test_auxiliary"));
};

const show = (file: string, { name, section }: ObjectCase, text: string): void => {
  if (SHOW) process.stdout.write(`${file}: ${name} [${section}]: ${text}\n`);
};

const newSum = (): Sum => ({ cases: 0, agree: 0, refused: 0, messages: 0 });

/** Programs that are tagged with what is expected. */
const judge = (file: string, each: ObjectCase, sum: Sum): void => {
  const tags = tagsOf(each);
  if (each.request === undefined || !isExpected(tags)) return;
  const refused = tags.includes("test_expect_failure");
  const { accepted, log } = verify(each.request);
  sum.cases++;
  if (accepted === !refused) sum.agree++;
  else show(file, each, `expected ${refused ? "reject" : "accept"}: ${log.slice(-400)}`);
  if (!refused) return;
  sum.refused++;
  if (!accepted && messagesOf(tags).every((message) => log.includes(message))) sum.messages++;
};

/** Programs that are loaded as they are. */
const load = (file: string, each: ObjectCase, sum: Sum): void => {
  if (each.request === undefined || !each.autoload) return;
  const { accepted, log } = verify(each.request);
  sum.cases++;
  if (accepted) sum.agree++;
  else show(file, each, log.slice(-400));
};

const casesOf = (kernel: Kernel, file: string): readonly ObjectCase[] => {
  try {
    return objectCases(kernel, new Uint8Array(readFileSync(join(FOLDER as string, file))));
  } catch (error) {
    // What has to be linked with another object first is no case.
    if (SHOW) process.stdout.write(`${file}: ${String(error)}\n`);
    return [];
  }
};

const print = (title: string, table: ReadonlyMap<string, Sum>): void => {
  const total = (key: keyof Sum): number => [...table.values()].reduce((all, sum) => all + sum[key], 0);
  for (const [file, { cases, agree }] of table)
    if (agree < cases) process.stdout.write(`${file.padEnd(40)} ${cases} cases, ${agree} agree\n`);
  process.stdout.write(
    `${title}: ${total("cases")} cases, ${total("agree")} agree, messages ${total("messages")} of ${total("refused")}\n`,
  );
};

const worse = (table: ReadonlyMap<string, Sum>, least: Readonly<Record<string, number>>): string[] =>
  [...table]
    .filter(([file, { agree, cases }]) => cases > 0 && agree < (least[file] ?? cases))
    .map(([file, { agree }]) => `${file}: ${agree}`);

describe.skipIf(FOLDER === undefined || !existsSync(VMLINUX))(
  "agreement with the kernel's own programs (skipped without VM_BPF_VERIFIER_OBJECTS)",
  () => {
    test("no object agrees less than recorded", { timeout: 1_800_000 }, () => {
      const kernel = readKernel(VMLINUX);
      const tagged = new Map<string, Sum>();
      const plain = new Map<string, Sum>();
      for (const file of readdirSync(FOLDER as string).filter((name) => name.endsWith(".o"))) {
        const cases = casesOf(kernel, file);
        const isTagged = cases.some((each) => tagsOf(each).length > 0);
        const sum = newSum();
        (isTagged ? tagged : plain).set(file, sum);
        for (const each of cases) (isTagged ? judge : load)(file, each, sum);
      }
      print("tagged", tagged);
      print("loaded as they are", plain);
      expect(worse(tagged, recorded.agree)).toEqual([]);
      expect(worse(plain, recorded.accepted)).toEqual([]);
    });
  },
);
