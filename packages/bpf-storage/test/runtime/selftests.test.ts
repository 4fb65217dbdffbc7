import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  type BpfMap,
  BpfRuntime,
  Btf,
  BtfKind,
  coreTarget,
  ERRNO,
  loadInto,
  loadObject,
  makeContext,
  ProgramType,
  type TargetSystem,
} from "../../src/index.js";

/**
 * What the kernel's own programs return (progs/*.c of the BPF selftests of linux 6.12), against what their functions are tagged with. Opt-in:
 * VM_BPF_VERIFIER_OBJECTS names a folder of them, compiled by clang for bpf with a vmlinux.h of the kernel whose types VM_BPF_VMLINUX has.
 */
const FOLDER = process.env.VM_BPF_VERIFIER_OBJECTS;
const VMLINUX = process.env.VM_BPF_VMLINUX ?? "/sys/kernel/btf/vmlinux";
const ONLY = new RegExp(process.env.VM_BPF_ONLY ?? ".");

/** Bytes that the kernel's loader of tests gives to a program, zeros; and what it expects where any value will do. */
const DATA_BYTES = 64;
const ANY = 0xcafe4a11 | 0;
const VALUES: Readonly<Record<string, number>> = {
  ...{ TEST_DATA_LEN: DATA_BYTES, POINTER_VALUE: ANY, INT_MIN: -0x80000000 },
};
/** The number that a tag says. @throws {RangeError} for a word that is not known here */
function numberOf(text: string): number {
  const value = VALUES[text] ?? Number(text);
  if (Number.isNaN(value)) throw new RangeError(`a program is to return ${text}`);
  return value | 0;
}

const RUN: readonly number[] = [
  ...[ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.Xdp, ProgramType.CgroupSkb],
  ...[ProgramType.Syscall, ProgramType.RawTracepoint],
];

/** Maps that have something in them before programs run, as prog_tests/verifier.c fills them: a number, and what is 24 bytes behind it. */
const FILLED: Readonly<Record<string, string>> = {
  "verifier_array_access.o": "map_array_ro",
  "verifier_value_ptr_arith.o": "map_array_48b",
};
const FILLING = { index: 28, at: 28, value: 0xabcdef12 } as const;
/** Sockets, which no program here gets to. */
const SOCKETS = { cell: () => 0, live: () => false, fromFd: () => -ERRNO.EBADF };

function fill({ arena }: BpfRuntime, map: BpfMap | undefined): void {
  if (map === undefined) return;
  const [key, value] = [arena.alloc(4), arena.alloc(map.desc.valueSize)];
  arena.setU32(value, FILLING.index);
  arena.setU32(value + FILLING.at, FILLING.value);
  map.update(key, value, 0n);
}

interface Expected {
  readonly name: string;
  readonly value: number;
}

/** Programs that say what they return; and those that belong to others. */
function tagged(btf: Btf): { readonly expected: Expected[]; readonly auxiliary: ReadonlySet<string> } {
  const tags = new Map<string, string[]>();
  for (let id = 1; id < btf.count; id++) {
    const type = btf.type(id);
    if (type.kind !== BtfKind.DeclTag || type.component !== -1 || btf.kind(type.type) !== BtfKind.Func) continue;
    const func = btf.type(type.type) as unknown as { readonly name: string };
    tags.set(func.name, [...(tags.get(func.name) ?? []), type.name.replace(/^comment:/, "")]);
  }
  const expected: Expected[] = [];
  for (const [name, of] of tags) {
    const value = of.find((tag) => tag.startsWith("test_retval="))?.slice("test_retval=".length);
    const arch = of.filter((tag) => tag.startsWith("test_arch="));
    if (value === undefined || (arch.length > 0 && !arch.includes("test_arch=X86_64"))) continue;
    expected.push({ name, value: numberOf(value) });
  }
  const auxiliary = new Set([...tags].filter(([, of]) => of.includes("test_auxiliary")).map(([name]) => name));
  return { expected, auxiliary };
}

interface Outcome {
  readonly right: number;
  readonly wrong: readonly string[];
  readonly unloaded: readonly string[];
}

function judge(file: string, system: TargetSystem, engine: "jit" | "interpreter"): Outcome {
  const bytes = new Uint8Array(readFileSync(join(FOLDER as string, file)));
  const [wrong, unloaded]: [string[], string[]] = [[], []];
  let right = 0;
  const { btf } = loadObject(bytes);
  const { expected, auxiliary } = btf === null ? { expected: [], auxiliary: new Set<string>() } : tagged(btf);
  for (const { name, value } of expected) {
    const runtime = new BpfRuntime({ engine, host: { sockets: SOCKETS } });
    try {
      const loaded = loadInto(runtime, bytes, system, (each) => each.name === name || auxiliary.has(each.name));
      const found = loaded.programs.find(({ from }) => from.name === name);
      if (found === undefined || !RUN.includes(found.from.type ?? 0)) continue;
      const { program } = found;
      fill(runtime, loaded.maps.get(FILLED[file] ?? ""));
      const made = makeContext(runtime.arena, program.desc.type, new Uint8Array(DATA_BYTES));
      const returned = program.run(made.address);
      const fault = program.fault === null ? "" : `, ${program.fault.kind} fault`;
      if (fault === "" && (returned === value || value === ANY)) right++;
      else wrong.push(`${file}: ${name}: ${returned}${fault}, expected ${value}`);
    } catch (error) {
      unloaded.push(`${file}: ${name}: ${(error as Error).message}`);
    }
  }
  return { right, wrong, unloaded };
}

// What the kernel's selftests are compiled to is not ours to have here.
if (FOLDER === undefined) test.skip("VM_BPF_VERIFIER_OBJECTS names no folder of compiled selftests", () => undefined);
else
  test.each(["jit", "interpreter"] as const)("%s: programs return what they say", { timeout: 900_000 }, (engine) => {
    expect(existsSync(VMLINUX)).toBe(true);
    const types = coreTarget(new Btf(new Uint8Array(readFileSync(VMLINUX))));
    const system = { types, kconfig: () => undefined, symbol: () => 0xffff_ffff_8100_0000n };
    const files = readdirSync(FOLDER).filter(
      (name) => name.endsWith(".o") && ONLY.test(name) && readFileSync(join(FOLDER, name)).includes("test_retval="),
    );
    const outcomes = files.map((file) => judge(file, system, engine));
    const right = outcomes.reduce((sum, each) => sum + each.right, 0);
    const [wrong, unloaded] = [outcomes.flatMap((each) => each.wrong), outcomes.flatMap((each) => each.unloaded)];
    process.stdout.write(`${engine}: ${right} right, ${wrong.length} wrong, ${unloaded.length} not loaded\n`);
    if (process.env.VM_BPF_SHOW !== undefined) process.stdout.write(`${[...wrong, ...unloaded].join("\n")}\n`);
    expect(wrong).toEqual([]);
    expect(right).toBeGreaterThan(0);
  });
