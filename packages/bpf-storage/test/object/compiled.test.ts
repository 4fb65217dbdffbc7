import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import { findMember } from "../../src/btf/member.js";
import { CoreTarget, type RelocatedProgram } from "../../src/object/core/relocate.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import type { BpfObject } from "../../src/object/object.js";
import { BtfBuilder } from "../btf/builder.js";

const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));
const COMPILERS = ["clang", "clang-14", "clang-15", "clang-16", "clang-17", "clang-18", "clang-19"];
const found = COMPILERS.filter((name) => spawnSync(name, ["--version"]).status === 0);
const folder = mkdtempSync(join(tmpdir(), "vm-bpf-object-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Compilers and what they compile for; which versions they know they say themselves, on their standard error. */
const targets = found.flatMap((clang) => {
  const known = spawnSync(clang, ["-target", "bpf", "--print-supported-cpus"], { encoding: "utf8" }).stderr;
  return ["v1", "v2", "v3", "v4"].filter((cpu) => known.includes(cpu)).map((cpu) => [clang, cpu] as const);
});

function compile(clang: string, cpu: string, name: string): BpfObject {
  const out = join(folder, `${name}-${clang}-${cpu}.o`);
  const options = ["-target", "bpf", `-mcpu=${cpu}`, "-g", "-O2", "-Wall", "-Wno-unused"];
  execFileSync(clang, [...options, "-c", `${PROGRAMS}${name}.c`, "-o", out], { stdio: "pipe" });
  return loadObject(new Uint8Array(readFileSync(out)));
}

/** A kernel in which things are elsewhere. */
function kernel(): Btf {
  const btf = new BtfBuilder();
  const int = btf.int("int", 4, 1);
  const long = btf.int("unsigned long", 8);
  const char = btf.int("char", 1, 1);
  const pointer = btf.ptr(6);
  btf.typedef("pid_t", int);
  btf.struct("task_struct", 256, [
    ["parent", pointer, 64],
    ["", btf.struct("", 8, [["pid", int, 32]]), 128],
    ["comm", btf.array(char, int, 16), 512],
    ["values", btf.array(long, int, 0), 2048],
  ]);
  btf.enum("mode", [
    ["MODE_WRITE", 8],
    ["MODE_READ", 4],
  ]);
  return new Btf(btf.build());
}

function relocated(object: BpfObject, name: string): RelocatedProgram {
  const program = object.programs.find((one) => one.name === name);
  if (program === undefined || object.btf === null) throw new Error(`no program ${name}`);
  return new CoreTarget(kernel()).relocate(linkProgram(object, program), object.btf);
}

const outcomes = ({ records }: RelocatedProgram): Set<string> =>
  new Set(
    records.map(
      ({ kind, what, result }) => `${kind} ${what} ${result.outcome === "patched" ? result.after : "poisoned"}`,
    ),
  );

describe.skipIf(targets.length === 0).each(targets)("compiled by %s for %s", (clang, cpu) => {
  test("maps, data, functions and symbols are linked", () => {
    const object = compile(clang, cpu, "link");
    expect(object.license).toBe("GPL");
    const slots = new Map(object.maps.map((map) => [map.name, map.slots]));
    expect([slots.get("counts"), slots.get("small")]).toEqual([[], []]);
    expect(slots.get("outer")).toEqual([{ index: 1, name: "small" }]);
    const data = new Map(object.maps.filter(({ origin }) => origin === "data").map((map) => [map.name, map]));
    expect(data.get(".rodata")).toMatchObject({ frozen: true, variables: [{ name: "threshold", size: 4 }] });
    expect(data.get(".data")?.contents?.[0]).toBe(3);
    expect(object.externs.map(({ name, kind, weak }) => `${name} ${kind} ${weak}`).sort()).toEqual([
      "CONFIG_BPF kconfig true",
      "LINUX_KERNEL_VERSION kconfig false",
      "bpf_task_acquire kfunc false",
      "init_task address false",
    ]);
    const [first, second] = object.programs;
    if (first === undefined || second === undefined) throw new Error("no programs");
    expect([first.autoload, second.autoload]).toEqual([true, false]);
    const linked = linkProgram(object, first);
    expect(linked.subprograms.map(({ name, global }) => `${name} ${global}`).sort()).toEqual([
      "add true",
      "each false",
      "first true",
      "twice false",
    ]);
    for (const { name, typeId } of linked.subprograms)
      expect(object.btf?.type(typeId)).toMatchObject({ kind: BtfKind.Func, name });
    expect(new Set(linked.maps.map(({ map }) => map))).toEqual(
      new Set(["counts", ".rodata", ".data", ".bss", ".kconfig"]),
    );
    expect(
      linkProgram(object, second)
        .externs.map(({ extern }) => extern.name)
        .sort(),
    ).toEqual(["bpf_task_acquire", "init_task"]);
  });

  test("fields are where the kernel has them, and what it lacks is poisoned", () => {
    const program = relocated(compile(clang, cpu, "core"), "fields");
    expect(outcomes(program)).toEqual(
      new Set([
        ...["byte_off struct task_struct.parent 8", "byte_off struct task_struct.pid 20"],
        ...["byte_off struct task_struct.comm[5] 69", "byte_off struct task_struct.values[2] 272"],
        ...["field_exists struct task_struct.comm 1", "byte_sz struct task_struct.comm 16"],
        ...["field_exists struct task_struct___old.state 0", "byte_off struct task_struct___old.state poisoned"],
      ]),
    );
  });

  test("types and names of enumerations are the kernel's", () => {
    const target = kernel();
    const program = relocated(compile(clang, cpu, "core"), "types");
    expect(findMember(target, target.find("task_struct") ?? 0, "pid")?.bitOffset).toBe(160);
    expect(outcomes(program)).toEqual(
      new Set([
        ...["type_exists struct task_struct 1", "type_size struct task_struct 256"],
        ...[`target_type_id struct task_struct ${target.find("task_struct")}`],
        ...["enumval_value enum mode::MODE_READ 4", "enumval_exists enum mode::MODE_WRITE___v2 1"],
      ]),
    );
  });
});

test.runIf(targets.length === 0)("no clang is here, so nothing was compiled", () => {
  expect(found).toEqual([]);
});
