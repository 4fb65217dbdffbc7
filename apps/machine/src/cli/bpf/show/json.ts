import { printableJson } from "../../printable.js";

/** Text that stands in JSON as it is, such as a number in hexadecimal among what bpftool shows people. */
export class Raw {
  constructor(readonly text: string) {}
}

/** An array of bytes as bpftool has them, `["0x00","0xff"]`. */
export class Bytes {
  /** @param digits two of each byte */
  constructor(readonly digits: string) {}
}

/** An object: members in their order, of which several may have the same name. */
export class Members {
  readonly list: (readonly [name: string, value: Json])[];

  constructor(list: readonly (readonly [name: string, value: Json | undefined])[]) {
    this.list = list.filter((member): member is readonly [string, Json] => member[1] !== undefined);
  }
}

/** What bpftool's JSON consists of. */
export type Json = string | number | bigint | boolean | null | Raw | Bytes | Members | readonly Json[];

/** An object of these members, without those that are undefined. */
export const members = (...list: readonly (readonly [name: string, value: Json | undefined])[]): Members =>
  new Members(list);

/** JSON in the layout of `bpftool -p`: members on lines of their own, elements of arrays behind each other. What nobody could see is escaped. @param depth in which others it is */
export function pretty(value: Json, depth = 0): string {
  const parts: string[] = [];
  write(value, depth, parts);
  return parts.join("");
}

function write(value: Json, depth: number, into: string[]): void {
  if (typeof value === "string") into.push(printableJson(JSON.stringify(value)).replaceAll("\n", "\\n"));
  else if (value instanceof Raw) into.push(value.text);
  else if (value instanceof Bytes) {
    into.push("[", value.digits.replace(/../g, ',"0x$&"').slice(1));
    end(value.digits.length, depth, into);
    into.push("]");
  } else if (value instanceof Members) {
    into.push("{");
    for (const [k, [name, member]] of value.list.entries()) {
      into.push(k === 0 ? "\n" : ",\n", "    ".repeat(depth + 1));
      write(name, 0, into);
      into.push(": ");
      write(member, depth + 1, into);
    }
    end(value.list.length, depth, into);
    into.push("}");
  } else if (typeof value === "object" && value !== null) {
    into.push("[");
    for (const [k, element] of value.entries()) {
      if (k > 0) into.push(",");
      write(element, depth + 1, into);
    }
    end(value.length, depth, into);
    into.push("]");
  } else into.push(String(value));
}

const end = (length: number, depth: number, into: string[]): void => {
  if (length > 0) into.push("\n", "    ".repeat(depth));
};
