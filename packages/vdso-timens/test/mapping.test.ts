import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  checkMadvise,
  checkMunmap,
  checkProcessVm,
  checkProcMem,
  mprotect,
  mremap,
  type Part,
  type SpecialMapping,
  specialMappings,
  VmFlag,
  VVAR_ABIS,
  type VvarAbiName,
  type VvarPages,
  vmFlagsText,
  vvarFault,
  zapOnSwitch,
} from "../src/index.js";
import { answer, Host } from "./reference-host.js";

type Name = SpecialMapping["name"];

interface Recorded {
  readonly root: Readonly<Partial<Record<Name, readonly string[]>>>;
  readonly namespace: Readonly<Partial<Record<Name, readonly string[]>>>;
  readonly flags: Readonly<Partial<Record<Name, string>>>;
  readonly calls: readonly {
    readonly call: string;
    readonly mapping: Name;
    readonly page: number;
    readonly pages: number;
    readonly arguments: readonly [number, number];
    readonly answer: string;
  }[];
}

const read = (kernel: string): Recorded =>
  JSON.parse(readFileSync(new URL(`data/mappings-${kernel}.json`, import.meta.url), "utf8"));

const named = (name: Name, abi: VvarAbiName = "linux-6.18"): SpecialMapping => {
  const mapping = specialMappings(VVAR_ABIS[abi], 2 * 4096).find((m) => m.name === name);
  if (mapping === undefined) throw new Error(name);
  return mapping;
};

const PAGES: VvarPages = { time: 11, rng: 12, pvclock: 13, hvclock: 14 };
const NAMESPACE = 20;

const calls: Record<string, (mapping: SpecialMapping, part: Part, a: number, b: number) => unknown> = {
  munmap: checkMunmap,
  mprotect,
  mremap,
  madvise: checkMadvise,
  process_vm_readv: (mapping) => checkProcessVm(mapping, false),
  process_vm_writev: (mapping) => checkProcessVm(mapping, true),
  "read mem": (mapping) => checkProcMem(mapping, false),
  "write mem": (mapping) => checkProcMem(mapping, true),
  // No rule of these mappings: as any other that is readable.
  mlock: () => undefined,
  "write(2) from": () => undefined,
};

describe.each([
  { kernel: "6.18", abi: "linux-6.18", used: ["pvclock"] },
  { kernel: "6.1", abi: "linux-5.6", used: [] },
] as const)("Linux $kernel", ({ kernel, abi, used }) => {
  const recorded = read(kernel);

  test.each(recorded.calls)(
    "$call of $pages from $page of $mapping with $arguments: $answer",
    ({ call, mapping, page, pages, arguments: [a, b], answer: expected }) => {
      expect(answer(() => calls[call]?.(named(mapping, abi), { page, pages }, a, b))).toBe(expected);
    },
  );

  test("these are all calls that are known", () => {
    expect(new Set(recorded.calls.map(({ call }) => call))).toEqual(new Set(Object.keys(calls)));
  });

  test("VmFlags", () => {
    for (const { name, flags } of specialMappings(VVAR_ABIS[abi], 2 * 4096)) {
      // "sd" is of kernels that track soft-dirty pages.
      expect([name, vmFlagsText(flags)]).toEqual([name, recorded.flags[name]?.replace("sd ", "")]);
    }
  });

  test.each(["root", "namespace"] as const)("where an access is a SIGBUS: %s", (which) => {
    const pages = { time: 11, rng: 12, pvclock: 13, hvclock: null };
    const desc = { abi: VVAR_ABIS[abi], pages, vclocksUsed: new Set(used) };
    const faults = desc.abi.pages.map((_, slot) =>
      vvarFault(desc, slot, which === "root" ? null : NAMESPACE) ? "ok" : "BUS",
    );
    expect(faults).toEqual([...(recorded[which]["[vvar]"] ?? []), ...(recorded[which]["[vvar_vclock]"] ?? [])]);
  });
});

test("a mapping of pages of the kernel is followed by the image at once; 6.1 has one mapping of all four pages", () => {
  expect(
    specialMappings(VVAR_ABIS["linux-6.18"], 2 * 4096).map(({ name, slot, pages }) => [name, slot, pages]),
  ).toEqual([
    ["[vvar]", 0, 4],
    ["[vvar_vclock]", 4, 2],
    ["[vdso]", 6, 2],
  ]);
  expect(specialMappings(VVAR_ABIS["linux-5.6"], 4096).map(({ name, slot, pages }) => [name, slot, pages])).toEqual([
    ["[vvar]", 0, 4],
    ["[vdso]", 4, 1],
  ]);
});

test("mprotect changes the mapping, and with it what a debugger and the task may do", () => {
  const vdso = named("[vdso]");
  const whole = { page: 0, pages: vdso.pages };
  const writable = mprotect(vdso, whole, VmFlag.Read | VmFlag.Write | VmFlag.Exec);
  expect(vmFlagsText(writable.flags)).toBe("rd wr ex mr mw me de ");
  expect(answer(() => checkProcessVm(writable, true))).toBe("ok");
  expect(answer(() => checkProcessVm(mprotect(vdso, whole, 0), false))).toBe("EFAULT");
  expect(answer(() => checkProcMem(mprotect(vdso, whole, 0), false))).toBe("ok");
  expect(vmFlagsText(vdso.flags)).toBe("rd ex mr mw me de ");
});

test("mremap moves a mapping only to a place that is named, with flags it knows", () => {
  const vvar = named("[vvar]");
  const whole = { page: 0, pages: 4 };
  expect([mremap(vvar, whole, 4, 3), mremap(vvar, whole, 4, 1), mremap(vvar, whole, 4, 0)]).toEqual([
    true,
    false,
    false,
  ]);
  expect([2, 8, 7].map((flags) => answer(() => mremap(vvar, whole, 4, flags)))).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
  expect(answer(() => mremap(vvar, whole, 0, 1))).toBe("EINVAL");
});

describe("a fault", () => {
  const abi = VVAR_ABIS["linux-6.18"];
  const old = VVAR_ABIS["linux-5.6"];
  const none = new Set<never>();

  test("in the first namespace shows the real page, in another one the namespace's, and the real one in the slot timens", () => {
    const desc = { abi, pages: PAGES, vclocksUsed: none };
    expect(vvarFault(desc, 0, null)).toEqual([{ slot: 0, pfn: 11 }]);
    expect(vvarFault(desc, 0, NAMESPACE)).toEqual([
      { slot: 1, pfn: 11 },
      { slot: 0, pfn: NAMESPACE },
    ]);
    expect(vvarFault(desc, 1, null)).toBeNull();
    expect(vvarFault(desc, 1, NAMESPACE)).toEqual([{ slot: 1, pfn: 11 }]);
    expect(vvarFault({ ...desc, abi: old }, 0, NAMESPACE)).toEqual([
      { slot: 3, pfn: 11 },
      { slot: 0, pfn: NAMESPACE },
    ]);
    expect([vvarFault({ ...desc, abi: old }, 3, null), vvarFault({ ...desc, abi: old }, 3, NAMESPACE)]).toEqual([
      null,
      [{ slot: 3, pfn: 11 }],
    ]);
  });

  test("shows the page of a clock that was ever read by, of a machine that has it", () => {
    const desc = { abi: old, pages: PAGES };
    const at = (vclocksUsed: ReadonlySet<"pvclock" | "hvclock">, pages = PAGES): unknown[] =>
      [1, 2].map((slot) => vvarFault({ ...desc, vclocksUsed, pages }, slot, null));
    expect(at(none)).toEqual([null, null]);
    expect(at(new Set(["pvclock"]))).toEqual([[{ slot: 1, pfn: 13 }], null]);
    expect(at(new Set(["hvclock"]))).toEqual([null, [{ slot: 2, pfn: 14 }]]);
    expect(at(new Set(["pvclock", "hvclock"]), { ...PAGES, pvclock: null, hvclock: null })).toEqual([null, null]);
  });

  test("of random numbers shows their page, in a kernel with them; outside the pages is a SIGBUS", () => {
    const desc = { abi, pages: PAGES, vclocksUsed: none };
    expect(vvarFault(desc, 2, NAMESPACE)).toEqual([{ slot: 2, pfn: 12 }]);
    expect(vvarFault({ ...desc, pages: { ...PAGES, rng: null } }, 2, NAMESPACE)).toBeNull();
    expect([vvarFault(desc, 3, NAMESPACE), vvarFault(desc, 6, null), vvarFault(desc, -1, null)]).toEqual([
      null,
      null,
      null,
    ]);
  });
});

test("a switch makes all slots of [vvar] show nothing, of the memory that switches only", () => {
  expect([zapOnSwitch(VVAR_ABIS["linux-6.18"]), zapOnSwitch(VVAR_ABIS["linux-5.6"])]).toEqual([
    [0, 1, 2, 3],
    [0, 1, 2, 3],
  ]);
  const host = new Host();
  const task = host.init.fork();
  task.loadPage("time");
  const child = task.clone(0x80);
  expect([child.loadPage("time"), child.loadPage("timens")]).toEqual([child.time.page?.pfn, 1]);
  expect([task.loadPage("time"), task.loadPage("timens")]).toEqual([1, "SIGBUS"]);
});
