import type { VerifierBtf } from "./btf-port.js";

/** Bytes of a type; 0 where it has no size. */
export const sizeOfType = (btf: VerifierBtf, id: number): number => {
  const shape = btf.shape(id);
  switch (shape?.kind) {
    case "int":
    case "enum":
    case "struct":
    case "union":
      return shape.size;
    case "pointer":
      return 8;
    case "array":
      return shape.count * sizeOfType(btf, shape.of);
    default:
      return 0;
  }
};
