/** One for each class of errors. */
export type AsmErrorCode =
  | "no-such-form"
  | "ambiguous-size"
  | "address"
  | "displacement"
  | "unbound-label"
  | "label"
  | "value";

/** Base of every error this package throws. All of them are misuse by the host program, found before any byte was written. */
export abstract class AsmError extends Error {
  abstract readonly code: AsmErrorCode;
}

/** The mnemonic has no form with these operands in the current mode. */
export class NoSuchFormError extends AsmError {
  override readonly name = "NoSuchFormError";
  override readonly code = "no-such-form";
}

/** The memory operand has no size and several forms of different sizes would fit; give `size` to `mem()`. */
export class AmbiguousSizeError extends AsmError {
  override readonly name = "AmbiguousSizeError";
  override readonly code = "ambiguous-size";
}

/** A base, index and scale that ModRM/SIB cannot express together (SDM vol. 2, 2.1.5). */
export class AddressError extends AsmError {
  override readonly name = "AddressError";
  override readonly code = "address";
}

/** A displacement, branch distance or label address that does not fit in its field. */
export class DisplacementOverflowError extends AsmError {
  override readonly name = "DisplacementOverflowError";
  override readonly code = "displacement";
}

/** A label is used but was never bound to a place. */
export class UnboundLabelError extends AsmError {
  override readonly name = "UnboundLabelError";
  override readonly code = "unbound-label";
}

/** A label was bound twice, or belongs to another assembler. */
export class LabelError extends AsmError {
  override readonly name = "LabelError";
  override readonly code = "label";
}

/** A data item, alignment or option outside its range. */
export class ValueError extends AsmError {
  override readonly name = "ValueError";
  override readonly code = "value";
}
