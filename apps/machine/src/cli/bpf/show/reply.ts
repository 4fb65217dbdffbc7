import type { Query } from "../inventory/query.js";
import type { Reply } from "../inventory/rows.js";
import { btfJson, btfText } from "./btfs.js";
import { elementOrNull, elementsJson, elementsText, elementText, notFoundText } from "./elements.js";
import { type Json, type Members, pretty } from "./json.js";
import { linkJson, linkText } from "./links.js";
import { mapJson, mapText } from "./maps.js";
import { programJson, programText } from "./programs.js";
import { xlatedJson, xlatedText } from "./xlated.js";

/** A reply as bpftool shows it to people, or as its JSON. */
export function* shown(
  reply: Exclude<Reply, { readonly types: string } | { readonly error: string }>,
  { query, opcodes }: { readonly query: Query; readonly opcodes: boolean },
  json: boolean,
): Generator<string> {
  const rows = <T>(list: readonly T[], text: (row: T) => string, asJson: (row: T) => Members): string =>
    json ? line(oneOf(query, list.map(asJson))) : list.map(text).join("");
  if ("programs" in reply) yield rows(reply.programs, programText, programJson);
  else if ("maps" in reply) yield rows(reply.maps, mapText, mapJson);
  else if ("btfs" in reply) yield rows(reply.btfs, btfText, btfJson);
  else if ("links" in reply) yield rows(reply.links, linkText, linkJson);
  else if ("insns" in reply) yield json ? line(xlatedJson(reply, opcodes)) : xlatedText(reply, opcodes);
  else if (query.command === "dump") yield json ? line(elementsJson(reply)) : elementsText(reply);
  else {
    const [element] = reply.elements;
    if (json) yield line(elementOrNull(reply, element));
    else yield element === undefined ? notFoundText(query.key ?? "") : elementText(reply, element);
  }
}

const line = (json: Json): string => `${pretty(json)}\n`;

/** Of one that is meant by its handle there is no list; of several that have the same name there is. */
function oneOf({ handle }: Query, list: readonly Members[]): Json {
  const [first] = list;
  return handle !== null && list.length === 1 && first !== undefined ? first : list;
}
