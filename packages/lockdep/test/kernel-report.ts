/**
 * A report of Linux 6.17's own validator, recorded by Yan Zhao and posted to the kvm list on 30 October 2025 (message aQMi/n9DVyeaWsVH,
 * white space as the archive keeps it): populating a guest_memfd takes mmap_lock below invalidate_lock, a user fault on one that is shared in place
 * takes them the other way round.
 */
import { readFileSync } from "node:fs";
import type { Stack } from "../src/index.js";

/** Without white space that carries nothing, and without addresses. */
export const normalized = (line: string): string =>
  line
    .trim()
    .replace(/\s+/g, " ")
    .replace(/^(#\d+: )?[0-9a-f]{16} /, "$1ADDRESS ");

/** The lines, without printk's time and task. */
export const lines = readFileSync(new URL("data/kernel-report.txt", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.replace(/^\[ *\d+\.\d+\]\[ *T\d+\] ?/, ""))
  .map(normalized);

const after = (start: string): string[] => lines.slice(lines.findIndex((line) => line.startsWith(start)) + 1);
const upTo = (list: string[], end: (line: string) => boolean): string[] => list.slice(0, list.findIndex(end));
const site = (line: string | undefined): string => line?.split(", at: ")[1] ?? "";
const blank = (line: string): boolean => line === "";

const dump = after("stack backtrace:");
export const identity = lines[2] ?? "";
export const machine = upTo(dump, (line) => line === "Call Trace:");

/** Where populate came to take mmap_lock. */
export const populateStack: Stack = {
  site: "gup_fast_fallback+0x1fb/0x390",
  frames: upTo(after("-> #1"), blank),
};
/** Where the fault handler had taken mmap_lock. */
export const faultStack: Stack = { site: site(after("but task is already")[0]), frames: [] };
/** Where it came to take invalidate_lock. */
export const userMappingStack: Stack = {
  site: site(after("tdx_vm_huge_pag/3469 is trying")[0]),
  frames: upTo(after("-> #0"), blank),
  dump: dump.slice(machine.length),
};
