import { BpfError, Btf, isPerCpu, type MapType } from "@vm/bpf-storage";
import type { ElementRow, ElementsReply, MapRow } from "../inventory/rows.js";
import { Bytes, type Json, type Members, members, pretty, Raw } from "./json.js";
import { NoValue, ValueReader } from "./value.js";

const bytesOf = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"));
/** Bytes as bpftool has them in JSON, and in a line. */
const hexJson = (digits: string): Json => new Bytes(digits);
const hexText = (digits: string): string =>
  (digits.match(/../g) ?? [])
    .map((byte, k) => `${k === 0 ? "" : k % 16 === 0 ? "\n" : k % 8 === 0 ? "  " : " "}${byte}`)
    .join("");

const typesOf = ({ btf, map }: ElementsReply): Btf | null =>
  btf === null || map.valueType === 0 ? null : new Btf(new Uint8Array(Buffer.from(btf, "base64")));

/** What is in a map as `bpftool map dump` has it: with the names of its types, if those are known. */
export function elementsText(reply: ElementsReply): string {
  const { map, elements } = reply;
  const types = typesOf(reply);
  if (types !== null && map.btf !== null)
    return `${pretty(elements.map((element) => formatted(types, map, element, true)))}\n`;
  const count = elements.length;
  return `${elements.map((element) => plain(map, element)).join("")}Found ${count} element${count === 1 ? "" : "s"}\n`;
}

/** The same as `bpftool -j map dump` has it. */
export function elementsJson(reply: ElementsReply): Json {
  const types = typesOf(reply);
  return reply.elements.map((element) => elementJson(types, reply.map, element));
}

/** An element as `bpftool map lookup` has it. */
export function elementText(reply: ElementsReply, element: ElementRow): string {
  const types = typesOf(reply);
  return types === null ? plain(reply.map, element) : `${pretty(formatted(types, reply.map, element, true))}\n`;
}

/** The same as `bpftool -j map lookup` has it; null if there is none. */
export const elementOrNull = (reply: ElementsReply, element: ElementRow | undefined): Json =>
  element === undefined ? null : elementJson(typesOf(reply), reply.map, element);

/** What `bpftool map lookup` says if there is none. @param digits of the key */
export const notFoundText = (digits: string): string => `key:\n${hexText(digits)}\n\nNot found\n`;

function elementJson(types: Btf | null, map: MapRow, element: ElementRow): Members {
  const { key, values, task } = element;
  return members(
    task === undefined ? ["key", hexJson(key)] : ["task", task],
    ...(perCpu(map)
      ? [["values", values.map((value, cpu) => members(["cpu", cpu], ["value", hexJson(value)]))] as const]
      : [["value", hexJson(values[0] ?? "")] as const]),
    ["formatted", types === null ? undefined : formatted(types, map, element, false)],
  );
}

function formatted(types: Btf, map: MapRow, { key, values, task }: ElementRow, forPeople: boolean): Members {
  const read = (id: number, digits: string): Json => typed(types, id, digits, forPeople);
  return members(
    ["task", task === undefined ? undefined : forPeople ? new Raw(task) : task],
    ["key", task !== undefined || map.keyType === 0 ? undefined : read(map.keyType, key)],
    perCpu(map)
      ? ["values", values.map((value, cpu) => members(["cpu", cpu], ["value", read(map.valueType, value)]))]
      : ["value", read(map.valueType, values[0] ?? "")],
  );
}

/** A value by its type; where that has none, its bytes. */
function typed(types: Btf, id: number, digits: string, forPeople: boolean): Json {
  try {
    return new ValueReader(types, bytesOf(digits), forPeople).read(id);
  } catch (error) {
    if (error instanceof NoValue || error instanceof BpfError) return hexJson(digits);
    throw error;
  }
}

const perCpu = ({ type }: MapRow): boolean => isPerCpu(type as MapType);

/** Bytes: on a line of their own, if there are many. */
function plain(map: MapRow, { key, values, task }: ElementRow): string {
  const { keySize, valueSize } = map;
  const hasKey = task !== undefined || key !== "";
  const name = task === undefined ? "key" : "task";
  const shownKey = task ?? hexText(key);
  if (perCpu(map)) {
    const lines = values.map((value, cpu) => {
      const number = String(cpu).padStart(2, "0");
      return `value (CPU ${number}):${valueSize > 16 ? "\n" : " "}${hexText(value)}\n`;
    });
    return `${hasKey ? `${name}:\n${shownKey}\n` : ""}${lines.join("")}`;
  }
  const broken = keySize > 16 || valueSize > 16;
  const gap = broken ? "\n" : " ";
  const oneLine = keySize + valueSize <= 24 && !broken;
  const keyText = hasKey ? `${name}:${gap}${shownKey}${oneLine ? "  " : "\n"}` : "";
  return `${keyText}value:${gap}${hexText(values[0] ?? "")}\n`;
}
