import type { EventName } from "./dialect/dialect.js";

/**
 * Which events are worth a tool's time; what is left out is decided in the machine, as if nobody had asked. All conditions that are
 * given must hold. Events of the tool's own making (pause, trap, single-step, unhook) are never left out.
 */
export interface EventFilter {
  /** Only these are filtered; the others pass. Default: all. */
  readonly events?: readonly EventName[] | undefined;
  /** CR3, without its low 12 bits, at the time of the event. */
  readonly cr3?: bigint | undefined;
  /** Where RIP must lie, both ends inclusive. */
  readonly rip?: { readonly from: bigint; readonly to: bigint } | undefined;
  /** CR, MSR: the new value, PF: the linear address; `(value & mask) === equals`. */
  readonly value?: { readonly mask: bigint; readonly equals: bigint } | undefined;
}

/** Events that a filter may leave out. */
const FILTERED: ReadonlySet<EventName> = new Set<EventName>([
  "cr",
  "msr",
  "xsetbv",
  "breakpoint",
  "hypercall",
  "pf",
  "descriptor",
  "cpuid",
]);
const PAGE_BITS = 0xfffn;

/** What an event is judged by. */
export interface Judged {
  readonly name: EventName;
  readonly rip: bigint;
  readonly cr3: bigint;
  /** The value it is about; null if there is none, which no condition on values rejects. */
  readonly value: bigint | null;
}

/** Whether `filter` lets an event through. */
export function passes(filter: EventFilter, { name, rip, cr3, value }: Judged): boolean {
  if (!FILTERED.has(name) || filter.events?.includes(name) === false) return true;
  if (filter.cr3 !== undefined && (cr3 & ~PAGE_BITS) !== (filter.cr3 & ~PAGE_BITS)) return false;
  if (filter.rip !== undefined && (rip < filter.rip.from || rip > filter.rip.to)) return false;
  return filter.value === undefined || value === null || (value & filter.value.mask) === filter.value.equals;
}

/** A filter out of text: `cr3=0x1000`, `rip=0x1000-0x1fff`, `value=0xff:0x10`, `events=cr+msr`, in any order, separated by commas. @throws RangeError */
export function parseFilter(text: string): EventFilter {
  const filter: { -readonly [K in keyof EventFilter]: EventFilter[K] } = {};
  for (const part of text.split(",")) {
    const [key = "", value = ""] = part.split("=", 2);
    switch (key.trim()) {
      case "cr3":
        filter.cr3 = parseNumber(value, part);
        break;
      case "rip": {
        const [from = "", to = from] = value.split("-", 2);
        filter.rip = { from: parseNumber(from, part), to: parseNumber(to, part) };
        break;
      }
      case "value": {
        const [mask = "", equals = mask] = value.split(":", 2);
        filter.value = { mask: parseNumber(mask, part), equals: parseNumber(equals, part) };
        break;
      }
      case "events": {
        const names = value.split("+") as EventName[];
        const unknown = names.find((name) => !FILTERED.has(name));
        if (unknown !== undefined)
          throw new RangeError(`"${unknown}" is none of the events ${[...FILTERED].join(" ")}`);
        filter.events = names;
        break;
      }
      default:
        throw new RangeError(`"${part}" is no condition: cr3=, rip=FROM-TO, value=MASK:VALUE or events=A+B`);
    }
  }
  return filter;
}

function parseNumber(text: string, part: string): bigint {
  if (!/^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(text)) throw new RangeError(`"${text}" in "${part}" is no number`);
  return BigInt(text.trim());
}
