import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { verify } from "../../src/verifier/verify.js";
import recorded from "./agreement-objects.json" with { type: "json" };
import { objectCases, readKernel } from "./objects.js";

/**
 * Verdicts against what the kernel's own programs (progs/verifier_*.c of linux 6.12) are tagged with. Opt-in: VM_BPF_VERIFIER_OBJECTS names
 * a folder of them, compiled by clang for bpf with a vmlinux.h of the kernel whose types VM_BPF_VMLINUX (default: the host's) has.
 */
const FOLDER = process.env["VM_BPF_VERIFIER_OBJECTS"];
const VMLINUX = process.env["VM_BPF_VMLINUX"] ?? "/sys/kernel/btf/vmlinux";

const PREFIX = "comment:";
const MESSAGE = "test_expect_msg=";

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

describe.skipIf(FOLDER === undefined || !existsSync(VMLINUX))(
  "agreement with the verifier's own programs (skipped without VM_BPF_VERIFIER_OBJECTS)",
  () => {
    test("no object agrees less than recorded", { timeout: 600_000 }, () => {
      const kernel = readKernel(VMLINUX);
      const table = new Map<string, Sum>();
      const folder = FOLDER as string;
      for (const file of readdirSync(folder).filter((name) => /^verifier_.*\.o$/.test(name))) {
        const sum: Sum = { cases: 0, agree: 0, refused: 0, messages: 0 };
        table.set(file, sum);
        for (const { name, tags: all, request } of objectCases(
          kernel,
          new Uint8Array(readFileSync(join(folder, file))),
        )) {
          const tags = all.map((tag) => (tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : tag));
          if (!tags.some((tag) => tag.startsWith("test_")) || tags.some((tag) => tag.startsWith("test_auxiliary")))
            continue;
          const refused = tags.includes("test_expect_failure");
          const { accepted, log } = verify(request);
          sum.cases++;
          if (accepted === !refused) sum.agree++;
          else if (process.env["VM_BPF_SHOW"] !== undefined)
            process.stdout.write(`${file}: ${name}: expected ${refused ? "reject" : "accept"}: ${log.slice(-400)}\n`);
          if (!refused) continue;
          sum.refused++;
          if (!accepted && messagesOf(tags).every((message) => log.includes(message))) sum.messages++;
        }
      }
      for (const [file, sum] of table)
        process.stdout.write(
          `${file.padEnd(40)} ${sum.cases} cases, ${sum.agree} agree, messages ${sum.messages} of ${sum.refused}\n`,
        );
      const total = (key: keyof Sum): number => [...table.values()].reduce((all, sum) => all + sum[key], 0);
      process.stdout.write(
        `all: ${total("cases")} cases, ${total("agree")} agree, messages ${total("messages")} of ${total("refused")}\n`,
      );
      const least = recorded.agree as Readonly<Record<string, number>>;
      const worse = [...table].filter(([file, sum]) => sum.agree < (least[file] ?? sum.cases));
      expect(worse.map(([file, sum]) => `${file}: ${sum.agree}`)).toEqual([]);
    });
  },
);
