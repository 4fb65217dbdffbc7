import { hexToBytes } from "@noble/hashes/utils.js";
import { der, integer, octetString, oid, sequence } from "../../src/pki/der-write.js";
import { extension } from "../../src/pki/extensions.js";
import { Oid } from "../../src/pki/oids.js";
import { PLATFORM } from "../../src/simulated/certificates.js";
import type { Alteration } from "./alteration.js";

type Field = readonly [arc: string, value: Uint8Array];

/** Fields of the extension, those of the TCB by themselves. */
interface Fields {
  outer: Field[];
  tcb: Field[];
}

const all = (): Fields => ({
  outer: [
    ["1", octetString(PLATFORM.ppid)],
    ["3", octetString(PLATFORM.pceId)],
    ["4", octetString(PLATFORM.fmspc)],
    ["5", der(10, Uint8Array.of(1))],
  ],
  tcb: [
    ...PLATFORM.components.map((svn, i): Field => [`2.${i + 1}`, integer(svn)]),
    ["2.17", integer(PLATFORM.pceSvn)],
    ["2.18", octetString(PLATFORM.cpuSvn)],
  ],
});

const write = (fields: readonly Field[]) =>
  fields.map(([arc, value]) => sequence(oid(arc.startsWith("/") ? arc.slice(1) : `${Oid.sgx}.${arc}`), value));

const sgx = (name: string, change: (fields: Fields) => void, after = (value: Uint8Array) => value): Alteration => [
  `SGX extension: ${name}`,
  "SGX_EXTENSION",
  (forge) => {
    const fields = all();
    change(fields);
    const tcb: Field = ["2", sequence(...write(fields.tcb))];
    const value = after(sequence(...write([...fields.outer.slice(0, 1), tcb, ...fields.outer.slice(1)])));
    const { pck } = forge.certificates;
    pck.extensions = [...pck.extensions.slice(0, -1), extension(Oid.sgx, false, value)];
  },
];

const NAMES: Readonly<Record<string, string>> = { "1": "PPID", "3": "PCEID", "4": "FMSPC", "5": "SGX type" };
const set = (fields: Field[], arc: string, value: Uint8Array) => {
  fields[fields.findIndex(([one]) => one === arc)] = [arc, value];
};
const without = (fields: Field[], arc: string) =>
  void fields.splice(
    fields.findIndex(([one]) => one === arc),
    1,
  );

export const SGX_ALTERATIONS: readonly Alteration[] = [
  [
    "the PCK has no SGX extension",
    "SGX_EXTENSION",
    (forge) => {
      forge.certificates.pck.extensions = forge.certificates.pck.extensions.slice(0, -1);
    },
  ],
  ...Object.entries(NAMES).flatMap(([arc, name]) => [
    sgx(`no ${name}`, ({ outer }) => without(outer, arc)),
    sgx(`${name} twice`, ({ outer }) => void outer.push(...outer.filter(([one]) => one === arc))),
    sgx(`${name} is a string of 3 bytes`, ({ outer }) => set(outer, arc, octetString(new Uint8Array(3)))),
    sgx(`${name} with something behind it`, ({ outer }) => {
      const [, value] = outer.find(([one]) => one === arc) ?? [];
      set(outer, arc, Uint8Array.of(...(value ?? []), 5, 0));
    }),
  ]),
  ...["2.1", "2.16", "2.17", "2.18"].flatMap((arc) => [
    sgx(`no field ${arc}`, ({ tcb }) => without(tcb, arc)),
    sgx(`field ${arc} twice`, ({ tcb }) => void tcb.push(...tcb.filter(([one]) => one === arc))),
  ]),
  sgx("a component of 256", ({ tcb }) => set(tcb, "2.3", integer(256))),
  sgx("a component of -1", ({ tcb }) => set(tcb, "2.3", hexToBytes("0201ff"))),
  sgx("a component with a zero too many", ({ tcb }) => set(tcb, "2.3", hexToBytes("02020001"))),
  sgx("a component without bytes", ({ tcb }) => set(tcb, "2.3", hexToBytes("0200"))),
  sgx("PCESVN of 65536", ({ tcb }) => set(tcb, "2.17", integer(65_536))),
  sgx("CPUSVN of 15 bytes", ({ tcb }) => set(tcb, "2.18", octetString(new Uint8Array(15)))),
  sgx("an unknown field of the TCB", ({ tcb }) => void tcb.push(["2.19", integer(0)])),
  sgx("an unknown field", ({ outer }) => void outer.push(["8", integer(0)])),
  sgx("a field of somebody else's", ({ outer }) => void outer.push(["/1.2.3.4", integer(0)])),
  sgx("SGX type 3", ({ outer }) => set(outer, "5", der(10, Uint8Array.of(3)))),
  sgx(
    "a byte behind it",
    () => undefined,
    (value) => Uint8Array.of(...value, 0),
  ),
];
