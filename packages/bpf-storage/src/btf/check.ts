import { Btf } from "./btf.js";
import { checkMeta } from "./check-meta.js";
import { invalid, RawBtf } from "./check-raw.js";
import { Resolver } from "./check-resolve.js";
import { BtfKind, isModifier } from "./kinds.js";

/**
 * Checks type information as BPF_BTF_LOAD does (kernel/bpf/btf.c of 6.12), whose phrases the messages have. What fields
 * of a map's value mean (locks, lists, kptrs) is not looked at.
 * @returns the types
 * @throws {BpfError} EINVAL; ENOTSUPP for another version or an unknown encoding; E2BIG for too much or too deep; EEXIST for a loop
 */
export function checkBtf(bytes: Uint8Array): Btf {
  const raw = new RawBtf(bytes, checkMeta);
  const resolver = new Resolver(raw);
  for (const type of raw.types.slice(1)) resolver.check(type);
  checkTags(raw);
  return new Btf(bytes);
}

/** Tags of types come before qualifiers. */
function checkTags(btf: RawBtf): void {
  for (const first of btf.types) {
    let tags = first.kind === BtfKind.TypeTag;
    for (let type = first, k = 0; isModifier(type.kind) && k < btf.types.length; k++) {
      if (type.kind !== BtfKind.TypeTag) tags = false;
      else if (!tags) invalid(`[${first.id}] Type tags don't precede modifiers`);
      const next = btf.type(type.word);
      // What those before lead to has been looked at.
      if (next === undefined || type.id < first.id) break;
      type = next;
    }
  }
}
