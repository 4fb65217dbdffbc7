/** A place in the code, named for error messages. Made by `Assembler.label()`, placed by `Assembler.bind()`. */
export class Label {
  readonly kind = "label";

  constructor(
    readonly name: string,
    /** The assembler that made the label; using it in another one is an error. */
    readonly owner: object,
  ) {}
}

/** A branch target that must be encoded as an 8-bit displacement. */
export interface ShortTarget {
  readonly kind: "short";
  readonly label: Label;
}

/**
 * Asks for the 2-byte form of a branch to `label`. Branches are near (rel32, rel16 in 16-bit code) unless told so.
 *
 * @example a.jnz(short(loop));
 */
export function short(label: Label): ShortTarget {
  return { kind: "short", label };
}
