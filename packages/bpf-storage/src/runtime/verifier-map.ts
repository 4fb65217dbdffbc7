import { type BpfMap, type MapDesc, specialFields } from "../maps/map.js";
import type { MapField, VerifierMap } from "../verifier/request.js";

/** A map as the verifier looks at it. */
export const verifierMap = ({ desc }: BpfMap): VerifierMap => described(desc);

function described({ type, keySize, valueSize, maxEntries, flags, name, fields, inner }: MapDesc): VerifierMap {
  // Whoever describes a value names its parts as the verifier does.
  const special = specialFields(fields) as readonly MapField[];
  return {
    ...{ type, keySize, valueSize, maxEntries, flags, name },
    ...(special.length === 0 ? {} : { fields: special }),
    ...(inner === undefined ? {} : { inner: described(inner.desc) }),
  };
}
