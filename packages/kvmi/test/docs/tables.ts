import { markdownTable } from "@vm/presets/docs";
import type { Dialect } from "../../src/dialect/dialect.js";
import { commandsOf } from "../../src/dialect/vendor.js";

/** Names in the order they first occur. */
const names = (lists: readonly (readonly { readonly name: string }[])[]): readonly string[] => [
  ...new Set(lists.flatMap((list) => list.map(({ name }) => name))),
];

/** Every command, who carries it out, and its number in each dialect, as Markdown. */
export function commandTable(dialects: readonly Dialect[]): string {
  const head = ["command", "runs on", ...dialects.map(({ name }) => name)];
  const rows = names(dialects.map(commandsOf)).map((name) => {
    const specs = dialects.map((dialect) => commandsOf(dialect).find((command) => command.name === name));
    const runsOn = specs.find((spec) => spec !== undefined)?.runsOn === "vm" ? "receiver" : "vCPU";
    return [`\`${name}\``, runsOn, ...specs.map((spec) => (spec === undefined ? "" : String(spec.id)))];
  });
  return markdownTable([head, ...rows]);
}

/** Every event and its number in each dialect, as Markdown; in brackets where it need not be enabled. */
export function eventTable(dialects: readonly Dialect[]): string {
  const head = ["event", ...dialects.map(({ name }) => name)];
  const rows = names(dialects.map(({ events }) => events)).map((name) => {
    const specs = dialects.map(({ events }) => events.find((event) => event.name === name));
    return [
      `\`${name}\``,
      ...specs.map((spec) => (spec === undefined ? "" : spec.always ? `(${spec.id})` : `${spec.id}`)),
    ];
  });
  return markdownTable([head, ...rows]);
}
