import type { BtfMember, BtfParam, BtfShape, VerifierBtf } from "../../src/verifier/btf-port.js";

/** Type information for tests, from plain lists. */
export interface TestType {
  readonly shape: BtfShape;
  readonly members?: readonly BtfMember[];
  readonly params?: readonly BtfParam[];
  readonly returns?: number;
  /** Of a variable of which every CPU has its own: its type. */
  readonly perCpu?: number;
  /** Tags by what they tag: a member or parameter by its place, -1 for the declaration itself. */
  readonly tags?: Readonly<Record<number, readonly string[]>>;
}

export const testBtf = (types: readonly TestType[]): VerifierBtf => {
  const at = (id: number): TestType | undefined => (id === 0 ? { shape: { kind: "void" } } : types[id - 1]);
  return {
    shape: (id) => at(id)?.shape,
    resolve: (id) => id,
    members: (id) => at(id)?.members ?? [],
    params: (id) => at(id)?.params ?? [],
    returns: (id) => at(id)?.returns ?? 0,
    variable: (id) => {
      const type = at(id)?.perCpu;
      return type === undefined ? undefined : { type, perCpu: true };
    },
    parameterTags: (id, index) => at(id)?.tags?.[index] ?? [],
    functionByName: (name) => {
      const index = types.findIndex(({ shape }) => shape.kind === "func" && shape.name === name);
      return index < 0 ? undefined : index + 1;
    },
    structByName: (name) => {
      const index = types.findIndex(({ shape }) => shape.kind === "struct" && shape.name === name);
      return index < 0 ? undefined : index + 1;
    },
  };
};

const int: TestType = { shape: { kind: "int", size: 4, signed: true } };
const field = (name: string, type: number, bytes: number): BtfMember => ({
  name,
  type,
  bitOffset: bytes * 8,
  bitSize: 0,
});

/** The structs that the kptrs of test_verifier's map point to (linux 6.12, bpf_testmod). */
export const kptrBtf: VerifierBtf = {
  ...testBtf([
    {
      shape: { kind: "struct", name: "prog_test_ref_kfunc", size: 32 },
      members: [field("a", 3, 0), field("b", 3, 4), field("memb", 2, 8), field("next", 4, 16), field("cnt", 3, 24)],
    },
    { shape: { kind: "struct", name: "prog_test_member", size: 8 }, members: [field("m", 5, 0), field("c", 3, 4)] },
    int,
    { shape: { kind: "pointer", to: 1, tags: [] } },
    { shape: { kind: "struct", name: "prog_test_member1", size: 4 }, members: [field("a", 3, 0)] },
  ]),
  isKernel: true,
};

/** Functions of a program, all of them static and returning int, at ids 1 and on. */
export const functionsBtf = (names: readonly string[], globals: readonly number[] = []): VerifierBtf =>
  testBtf([
    ...names.map(
      (name, k): TestType => ({
        shape: { kind: "func", name, proto: names.length + 1, linkage: globals.includes(k) ? "global" : "static" },
      }),
    ),
    { shape: { kind: "proto" }, returns: names.length + 2 },
    int,
  ]);
