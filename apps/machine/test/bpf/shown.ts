import { expect } from "vitest";
import type { AttachedBpf } from "../../src/plugins/bpf/plugin.js";
import { about, printed } from "./inventory.js";

interface Link {
  readonly type: string;
  readonly attach_type?: string;
  readonly func?: string;
  readonly retprobe?: boolean;
  readonly tracepoint?: string;
}

/** Expects that vm bpf shows what is attached: programs, the events that they are attached to, types of the kernel, and storage of its tasks. */
export async function expectShown(syscount: AttachedBpf, rmdir: AttachedBpf): Promise<void> {
  const ask = about(
    ...[syscount, rmdir].map(({ runtime, loaded, kernel, taskStorage }, k) => ({
      ...{ file: k === 0 ? "syscount.bpf.o" : "rmdir.bpf.o", runtime, loaded, kernel, tasks: taskStorage, loadedAt: 0 },
    })),
  );
  const json = async <T>(subject: "prog" | "map" | "btf" | "link", words = ""): Promise<T> =>
    JSON.parse(await printed(ask, subject, words === "" ? "show" : "dump", words, true)) as T;
  const programs = [...syscount.loaded.programs, ...rmdir.loaded.programs];
  const shown = await json<{ readonly name: string; readonly run_cnt?: number }[]>("prog");
  expect(shown.map(({ name, run_cnt }) => [name, run_cnt])).toEqual(
    programs.map(({ from, program }) => [from.name, program.runs]),
  );
  const links = await json<Link[]>("link");
  const named = links.map(({ type, attach_type, func, retprobe, tracepoint }) =>
    [type, attach_type, retprobe, func ?? tracepoint].filter((part) => part !== undefined).join(" "),
  );
  expect(named.sort()).toEqual(
    programs
      .map(({ from: { section } }) => {
        const [kind, target, call] = section.split("/");
        if (kind === "fentry" || kind === "fexit") return `tracing trace_${kind}`;
        if (kind === "kprobe" || kind === "kretprobe") return `perf_event ${kind === "kretprobe"} ${target}`;
        return kind === "tp_btf" ? "tracing trace_raw_tp" : `perf_event ${call}`;
      })
      .sort(),
  );
  expect(await printed(ask, "btf", "show", "id 1")).toBe(`1: name [vmlinux]  size ${syscount.kernel.bytes.length}B\n`);
  const counts = await json<{ readonly task: string; readonly formatted: { readonly value: object } }[]>(
    "map",
    "name counts",
  );
  const expected = [...syscount.taskStorage("counts")].map(({ address, value }) => {
    const view = new DataView(value.buffer);
    return [`0x${address.toString(16)}`, Number(view.getBigUint64(0, true)), view.getUint32(8, true)];
  });
  expect(expected.length).toBeGreaterThan(0);
  expect(counts.map(({ task, formatted }) => [task, ...Object.values(formatted.value).slice(0, 2)])).toEqual(expected);
}
