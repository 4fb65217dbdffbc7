import { type DerReader, readOid, readSmall, readWhole, Tag } from "./der-read.js";
import { der, integer, octetString, oid, sequence } from "./der-write.js";
import { PkiError } from "./errors.js";
import { Oid } from "./oids.js";

/** What a PCK certificate says about its platform. Source: Intel SGX PCK Certificate and CRL Profile, "SGX extensions". */
export interface SgxExtension {
  /** Platform's identifier, 16 bytes. */
  readonly ppid: Uint8Array;
  /** SVNs of the 16 components, 0 to 255 each. */
  readonly components: readonly number[];
  /** 0 to 65535. */
  readonly pceSvn: number;
  /** The components as the CPU has them, 16 bytes. */
  readonly cpuSvn: Uint8Array;
  /** 2 bytes. */
  readonly pceId: Uint8Array;
  /** 6 bytes. */
  readonly fmspc: Uint8Array;
  /** 0 standard, 1 scalable, 2 scalable with integrity. */
  readonly sgxType: number;
}

const what = "SGX extension";
const fail = (message: string): never => {
  throw new PkiError("sgx-extension", message);
};

/** Reads fields, each a SEQUENCE of its name and its value, by the last arc of the name under `arc`; none is there twice. */
function readFields(reader: DerReader, arc: string): ReadonlyMap<number, DerReader> {
  const fields = new Map<number, DerReader>();
  while (reader.tag >= 0) {
    const field = reader.inside(Tag.sequence, what);
    const id = readOid(field.next(Tag.oid, what), what);
    const last = Number(id.slice(arc.length + 1));
    if (id !== `${arc}.${last}`) fail(`a field ${id}, which is not one of its own`);
    if (fields.has(last)) fail(`field ${id} is there twice`);
    fields.set(last, field);
  }
  return fields;
}

/** Takes the value of a field, which has to be there and hold nothing else. */
function take<T>(
  fields: ReadonlyMap<number, DerReader>,
  number: number,
  name: string,
  read: (field: DerReader) => T,
): T {
  const field = fields.get(number) ?? fail(`${name} is not there`);
  const value = read(field);
  field.end(name);
  return value;
}

const bytes = (size: number, name: string) => (field: DerReader) => {
  const { content } = field.next(Tag.octetString, name);
  return content.length === size ? content : fail(`${name} has ${content.length} bytes; it has to have ${size}`);
};
const number =
  (most: number, name: string, tag: number = Tag.integer) =>
  (field: DerReader) =>
    readSmall(field.next(tag, name), most, name);

const REQUIRED = 5;
/** Fields that only some have, with their tags: the platform's instance and its configuration. Nothing depends on them. */
const OPTIONAL: ReadonlyMap<number, number> = new Map([
  [6, Tag.octetString],
  [7, Tag.sequence],
]);

/** Reads the content of the extension. @throws {PkiError} `sgx-extension` or `der` */
export function parseSgxExtension(extension: Uint8Array): SgxExtension {
  const fields = readFields(readWhole(extension, Tag.sequence, what), Oid.sgx);
  for (const one of fields.keys()) {
    if (one > REQUIRED && !OPTIONAL.has(one)) fail(`a field ${Oid.sgx}.${one}, which is not known`);
  }
  const tcb = take(fields, 2, "TCB", (field) => readFields(field.inside(Tag.sequence, "TCB"), `${Oid.sgx}.2`));
  if (tcb.size !== 18) fail(`TCB has ${tcb.size} fields; it has to have 18`);
  for (const [one, tag] of OPTIONAL) {
    if (fields.has(one)) take(fields, one, `field ${one}`, (field) => field.next(tag, `field ${one}`));
  }
  return {
    ppid: take(fields, 1, "PPID", bytes(16, "PPID")),
    components: Array.from({ length: 16 }, (_, i) => {
      const name = `SVN of component ${i + 1}`;
      return take(tcb, i + 1, name, number(255, name));
    }),
    pceSvn: take(tcb, 17, "PCESVN", number(65_535, "PCESVN")),
    cpuSvn: take(tcb, 18, "CPUSVN", bytes(16, "CPUSVN")),
    pceId: take(fields, 3, "PCEID", bytes(2, "PCEID")),
    fmspc: take(fields, 4, "FMSPC", bytes(6, "FMSPC")),
    sgxType: take(fields, 5, "SGX type", number(2, "SGX type", Tag.enumerated)),
  };
}

/** The inverse of {@link parseSgxExtension}, with the fields that all have. */
export function writeSgxExtension(from: SgxExtension): Uint8Array {
  const field = (id: string, value: Uint8Array) => sequence(oid(`${Oid.sgx}.${id}`), value);
  return sequence(
    field("1", octetString(from.ppid)),
    field(
      "2",
      sequence(
        ...from.components.map((svn, i) => field(`2.${i + 1}`, integer(svn))),
        field("2.17", integer(from.pceSvn)),
        field("2.18", octetString(from.cpuSvn)),
      ),
    ),
    field("3", octetString(from.pceId)),
    field("4", octetString(from.fmspc)),
    field("5", der(Tag.enumerated, Uint8Array.of(from.sgxType))),
  );
}
