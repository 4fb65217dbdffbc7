import { Session } from "node:inspector";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../tools/replay/vector.js";
import { CODE, FakeMachine, RBX, setReg } from "./fake-machine.js";

/** What generated code leaves to TypeScript in programs of every day: string functions of the C library, ciphers, numbers that are not ordinary. */
const OPERATIONS: readonly (readonly [string, string])[] = [
  ["PCMPISTRI, equal any", "660f3a63c102"],
  ["PCMPISTRI, ranges of words", "660f3a63c105"],
  ["PCMPISTRI, equal each", "660f3a63c11a"],
  ["PCMPISTRM, equal ordered", "660f3a62c14c"],
  ["PCMPESTRI", "660f3a61c10c"],
  ["AESENC", "660f38dcc1"],
  ["AESDECLAST", "660f38dfc1"],
  ["AESKEYGENASSIST", "660f3adfc101"],
  ["PCLMULQDQ", "660f3a44c110"],
  ["SHA256RNDS2", "0f38cbc1"],
  ["PHMINPOSUW", "660f3841c1"],
  ["MPSADBW", "660f3a42c105"],
  ["DPPS", "660f3a40c1f3"],
  ["CVTPD2PS", "660f5ac1"],
  ["CVTPD2DQ", "f20fe6c1"],
];
const TIMES = 5000;
/** Rounds, of which the least counts: sampling is by chance, and what V8 has not optimised yet allocates its numbers. */
const ROUNDS = 10;
/** A few numbers, as V8 allocates them while it has not optimised yet; an array of elements is several times that. */
const BYTES_EACH = 150;

interface Node {
  readonly selfSize: number;
  readonly children: readonly Node[];
}
const sum = ({ selfSize, children }: Node): number => children.reduce((all, child) => all + sum(child), selfSize);

/** Bytes allocated by `run`, with what is already collected. */
function allocated(run: () => void): number {
  const session = new Session();
  session.connect();
  let bytes = 0;
  session.post("HeapProfiler.startSampling", {
    samplingInterval: 512,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  } as object);
  run();
  session.post("HeapProfiler.stopSampling", (error, found) => {
    if (error) throw error;
    bytes = sum(found.profile.head);
  });
  session.disconnect();
  return bytes;
}

describe("an instruction that is left to TypeScript", () => {
  it.each(OPERATIONS)("allocates no objects: %s", (_, bytes) => {
    const machine = new FakeMachine();
    const code = bytesOf(bytes);
    // dec ebx; jnz; hlt. PCMPxSTRI write ECX: the count is in EBX.
    const back = -(code.length + 4);
    machine.write(CODE, [...code, 0xff, 0xcb, 0x75, back & 0xff, 0xf4]);
    const run = (): void => {
      machine.vcpu.activity = "active";
      machine.vcpu.setRip(CODE, 0);
      setReg(machine.vcpu, RBX, TIMES);
      machine.go();
    };
    run();
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS && least >= BYTES_EACH; round++) least = Math.min(least, allocated(run) / TIMES);
    expect(least).toBeLessThan(BYTES_EACH);
  });
});
