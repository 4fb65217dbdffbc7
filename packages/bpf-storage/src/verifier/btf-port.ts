/**
 * What the verifier asks of type information (BTF): a port in its own words, so that it works with any reader of BTF.
 * Ids are those of the blob; id 0 is void.
 */
export type BtfShape =
  | { readonly kind: "void" }
  | { readonly kind: "int"; readonly size: number; readonly signed: boolean }
  | { readonly kind: "enum"; readonly size: number }
  | { readonly kind: "pointer"; readonly to: number; readonly tags: readonly string[] }
  | { readonly kind: "struct" | "union"; readonly name: string; readonly size: number }
  | { readonly kind: "array"; readonly of: number; readonly count: number }
  | {
      readonly kind: "func";
      readonly name: string;
      readonly proto: number;
      readonly linkage: "static" | "global" | "extern";
    }
  | { readonly kind: "proto" }
  | { readonly kind: "other" };

/** One member of a struct. */
export interface BtfMember {
  readonly name: string;
  /** Type of the member. */
  readonly type: number;
  /** Bits from the start of the struct. */
  readonly bitOffset: number;
  /** Bits of a bit field, else 0. */
  readonly bitSize: number;
}

export interface BtfParam {
  readonly name: string;
  readonly type: number;
}

/** Type information of the kernel or of a program. */
export interface VerifierBtf {
  /** The kernel's own types, or those of one of its modules; those that a request names are so in any case. */
  readonly isKernel?: boolean;
  /** The type with modifiers (const, volatile, typedef, type tags) taken off; undefined for an id that is none. */
  shape(id: number): BtfShape | undefined;
  /** The id with modifiers taken off. */
  resolve(id: number): number;
  /** Members of a struct or union in the order of their offsets; empty for any other type. */
  members(id: number): readonly BtfMember[];
  /** Parameters of a FUNC_PROTO. */
  params(proto: number): readonly BtfParam[];
  /** Type of the result of a FUNC_PROTO, 0 for void. */
  returns(proto: number): number;
  /**
   * Tags of the declaration with that id: of a function's parameter (`arg:nonnull`), of a struct's member (`contains:node:link`), or,
   * with index -1, of the declaration itself. Left out by readers that have none.
   */
  parameterTags?(func: number, index: number): readonly string[];
  /** Type of a variable, and whether every CPU has its own; undefined for what is none. Left out by readers that know none. */
  variable?(id: number): { readonly type: number; readonly perCpu: boolean } | undefined;
  /** Variables in a section of data (DATASEC); empty for what is none. Left out by readers that know none. */
  variables?(section: number): readonly { readonly id: number; readonly type: number; readonly name: string }[];
  /** Id of a function by name. Left out by readers that know none. */
  functionByName?(name: string): number | undefined;
  /** Id of a struct by name. */
  structByName(name: string): number | undefined;
}
