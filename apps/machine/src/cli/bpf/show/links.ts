import type { LinkRow } from "../inventory/rows.js";
import { type Members, members } from "./json.js";
import { attachTypeName, inLine, programTypeName } from "./names.js";

/** An attachment as `bpftool link show` has it. Of tracepoints and functions that perf_event is for, newer ones than 7.1 tell the name. */
export function linkText({ id, kind, program, programType, attachType, target, event }: LinkRow): string {
  const head = `${id}: ${kind}  prog ${program}  \n\t`;
  switch (kind) {
    case "raw_tracepoint":
      return `${head}tp '${target}'  \n`;
    case "tracing":
      return `${head}prog_type ${inLine(programTypeName(programType))}  attach_type ${attachTypeName(attachType)}  \n`;
    default:
      return `${head}${event} ${target}  \n`;
  }
}

/** The same as `bpftool -j link show` has it. */
export function linkJson({ id, kind, program, programType, attachType, target, event }: LinkRow): Members {
  const head = [["id", id] as const, ["type", kind] as const, ["prog_id", program] as const];
  switch (kind) {
    case "raw_tracepoint":
      return members(...head, ["tp_name", target]);
    case "tracing":
      return members(...head, ["prog_type", programTypeName(programType)], ["attach_type", attachTypeName(attachType)]);
    default:
      return event === "tracepoint"
        ? members(...head, ["tracepoint", target])
        : members(...head, ["retprobe", event === "kretprobe"], ["func", target], ["offset", 0]);
  }
}
