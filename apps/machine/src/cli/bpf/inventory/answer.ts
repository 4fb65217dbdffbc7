import { type Btf, encodeInsns, MapType, systemValueSize } from "@vm/bpf-storage";
import { type Element, elementAt, elementsOf } from "./elements.js";
import type { Inventory, MapItem, ProgramItem } from "./inventory.js";
import { handleText, type Query, QueryError } from "./query.js";
import type { FunctionRow, LineRow } from "./rows.js";

/** Bytes that are told at once: a multiple of 3, so that their base64 can be put together. */
const PIECE = 24 << 10;
/** Bytes of an instruction. */
const INSN = 8;
/** Bytes of a value that are told at all. */
const VALUE_MOST = 1 << 20;

/**
 * Answers a request: the pieces of a line of JSON, a `Reply`. Between any two others may have their turn; what changes meanwhile is told as it is then.
 * @throws {QueryError} before the first piece
 */
export function answer(inventory: Inventory, query: Query): Generator<string, void> {
  const { subject, command, handle } = query;
  if (command === "show")
    switch (subject) {
      case "prog":
        return list("programs", inventory.findPrograms(handle), (item) => inventory.programRow(item));
      case "map":
        return list("maps", inventory.findMaps(handle), (item) => inventory.mapRow(item));
      case "btf":
        return list("btfs", inventory.findTypes(handle), (item) => inventory.btfRow(item));
      case "link":
        return list("links", inventory.findLinks(handle), (row) => row);
    }
  switch (subject) {
    case "prog":
      return xlated(inventory, only(query, inventory.findPrograms(handle)));
    case "map": {
      const item = only(query, inventory.findMaps(handle));
      return elements(inventory, item, query.key === null ? all(item) : lookup(item, query.key));
    }
    default:
      return types(only(query, inventory.findTypes(handle)).btf);
  }
}

function only<T extends { readonly id: number }>({ subject, handle }: Query, found: readonly T[]): T {
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  const ids = found.map(({ id }) => id).join(", ");
  throw new QueryError(
    `${subject} ${handle === null ? "" : handleText(handle)}: several match: expected the id of one of ${ids}`,
  );
}

function* list<T>(name: string, items: readonly T[], row: (item: T) => object): Generator<string, void> {
  yield `{"${name}":[`;
  for (const [k, item] of items.entries()) yield `${k === 0 ? "" : ","}${JSON.stringify(row(item))}`;
  yield "]}";
}

function* xlated(inventory: Inventory, item: ProgramItem): Generator<string, void> {
  const { linked } = item.program;
  const functions = linked.subprograms.flatMap(({ pc, typeId }): FunctionRow[] =>
    typeId === 0 ? [] : [{ pc, type: typeId }],
  );
  yield `{"functions":${JSON.stringify(functions)},"lines":[`;
  for (const [k, { pc, textOffset, fileOffset, line, column }] of linked.lines.entries()) {
    const row: LineRow = { pc, text: textOffset, file: fileOffset, line, column };
    yield `${k === 0 ? "" : ","}${JSON.stringify(row)}`;
  }
  yield '],"insns":"';
  const shown = inventory.shown(item);
  for (let at = 0; at < item.program.insns.length; at += PIECE / INSN)
    yield* base64(encodeInsns(item.program.insns.slice(at, at + PIECE / INSN).map(shown)));
  yield '","btf":';
  yield* optionalTypes(inventory.typesOf(item));
  yield "}";
}

function* types({ bytes }: Btf): Generator<string, void> {
  yield '{"types":"';
  yield* base64(bytes);
  yield '"}';
}

/** An element of storage has a task in the place of a key; null: there was nothing. */
type Found = (Element & { readonly task?: string }) | null;

function* all(item: MapItem): Generator<Found, void> {
  const { map, source, name } = item;
  const { type } = map.desc;
  checkSize(systemValueSize(map));
  if (type !== MapType.TaskStorage) {
    yield* elementsOf(map);
    return;
  }
  for (const { address, value } of source.tasks(name))
    yield { key: new Uint8Array(), task: `0x${address.toString(16)}`, values: [value] };
}

function* lookup({ map }: MapItem, digits: string): Generator<Found, void> {
  const key = new Uint8Array(Buffer.from(digits, "hex"));
  const { keySize } = map.desc;
  if (key.length !== keySize) throw new QueryError(`key expected ${keySize} bytes got ${key.length}`);
  checkSize(systemValueSize(map));
  yield elementAt(map, key);
}

function checkSize(bytes: number): void {
  if (bytes > VALUE_MOST)
    throw new QueryError(`a value of ${bytes} bytes: values of up to ${VALUE_MOST} bytes are shown`);
}

function elements(inventory: Inventory, item: MapItem, found: Generator<Found, void>): Generator<string, void> {
  // What is wrong with the request is told before anything else.
  const first = found.next();
  return elementPieces(inventory, item, first.done === true ? null : first.value, found);
}

function* elementPieces(
  inventory: Inventory,
  item: MapItem,
  first: Found,
  rest: Generator<Found, void>,
): Generator<string, void> {
  const row = inventory.mapRow(item);
  let comma = "";
  try {
    yield `{"map":${JSON.stringify(row)},"btf":`;
    yield* optionalTypes(row.btf === null ? null : inventory.typesOf(item));
    yield ',"elements":[';
    for (let next = first, done = false; !done; ) {
      if (next === null) yield "";
      else {
        yield `${comma}{${next.task === undefined ? "" : `"task":"${next.task}",`}"key":"`;
        yield* hex(next.key);
        yield '","values":[';
        for (const [k, value] of next.values.entries()) {
          yield k === 0 ? '"' : ',"';
          yield* hex(holdsOthers(item) ? idBytes(inventory.heldId(item, firstWord(value))) : value);
          yield '"';
        }
        yield "]}";
        comma = ",";
      }
      const following = rest.next();
      done = following.done === true;
      next = following.done === true ? null : following.value;
    }
    yield "]}";
  } finally {
    rest.return();
  }
}

const holdsOthers = ({ map }: MapItem): boolean =>
  ([MapType.ProgArray, MapType.ArrayOfMaps, MapType.HashOfMaps] as readonly number[]).includes(map.desc.type);
const firstWord = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
const idBytes = (id: number): Uint8Array => new Uint8Array(new Uint32Array([id]).buffer);

function* optionalTypes(btf: Btf | null): Generator<string, void> {
  if (btf === null) yield "null";
  else {
    yield '"';
    yield* base64(btf.bytes);
    yield '"';
  }
}

const base64 = (bytes: Uint8Array): Generator<string, void> => encoded(bytes, "base64");
const hex = (bytes: Uint8Array): Generator<string, void> => encoded(bytes, "hex");

function* encoded(bytes: Uint8Array, encoding: "base64" | "hex"): Generator<string, void> {
  for (let at = 0; at < bytes.length; at += PIECE)
    yield Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(PIECE, bytes.length - at)).toString(encoding);
}
