/** Base of every error this package throws. All of them are misuse by the host program, found before any byte was written. */
export class AsmError extends Error {
  override readonly name: string = "AsmError";
}

/** The mnemonic has no form with these operands in the current mode. */
export class NoSuchFormError extends AsmError {
  override readonly name = "NoSuchFormError";
}

/** The memory operand has no size and several forms of different sizes would fit; give `size` to `mem()`. */
export class AmbiguousSizeError extends AsmError {
  override readonly name = "AmbiguousSizeError";
}

/** A base, index and scale that ModRM/SIB cannot express together (SDM vol. 2, 2.1.5). */
export class AddressError extends AsmError {
  override readonly name = "AddressError";
}

/** A displacement, branch distance or label address that does not fit in its field. */
export class DisplacementOverflowError extends AsmError {
  override readonly name = "DisplacementOverflowError";
}

/** A label is used but was never bound to a place. */
export class UnboundLabelError extends AsmError {
  override readonly name = "UnboundLabelError";
}

/** A label was bound twice, or belongs to another assembler. */
export class LabelError extends AsmError {
  override readonly name = "LabelError";
}

/** A data item, alignment or option outside its range. */
export class ValueError extends AsmError {
  override readonly name = "ValueError";
}
