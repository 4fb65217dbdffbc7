import { createHash } from "node:crypto";
import { Command, ERRNO, MapType } from "../../src/index.js";
import { GENERATION } from "./running-kernel.js";
import type { Outcome, Step } from "./script.js";

type Call = Step & { readonly kind: "call" };

/** What the running kernel does otherwise than 6.12 did, on purpose, and how it is told. */
export interface Difference {
  readonly what: string;
  /** Whether it is a limit of ours, rather than something that has changed since. */
  readonly limit?: true;
  /** Where it came from. */
  readonly source: string;
  /** @param script up to the step */
  readonly explains: (script: readonly Step[], step: Call, ours: Outcome, theirs: Outcome) => boolean;
}

const wordOf = ({ attr }: Call, at: number): number => new DataView(attr.buffer).getUint32(at, true);
const sameBuffers = (a: Outcome, b: Outcome): boolean =>
  JSON.stringify(a.shown.slice(1)) === JSON.stringify(b.shown.slice(1));

/** Where the attributes of commands end that have become longer. */
const LONGER: ReadonlyMap<number, readonly [ours: number, theirs: number]> = new Map([
  [Command.MapCreate, [80, 92]],
  [Command.ProgLoad, [148, 168]],
  [Command.BtfGetFdById, [4, 16]],
]);

/** Hex of the first bytes of the digest of a program without maps. */
function tag(script: readonly Step[], shown: string): boolean {
  const theirs = shown.slice(16, 32);
  return script.some((step) => {
    if (step.kind !== "call" || step.command !== Command.ProgLoad) return false;
    const [insns] = step.buffers;
    const count = wordOf(step, 4);
    const bytes = insns?.bytes.subarray(0, 8 * count) ?? new Uint8Array(0);
    return createHash("sha256").update(bytes).digest("hex").startsWith(theirs);
  });
}

/** The type of the map that a call is about; 0 if it is about none that was made in the script. */
function typeOf(script: readonly Step[], step: Call): number {
  let made = script[step.patches.find(({ kind }) => kind === "F")?.of ?? -1];
  if (made?.kind === "call" && made.command === Command.MapGetFdById) made = script[made.patches[0]?.of ?? -1];
  return made?.kind === "call" && made.command === Command.MapCreate ? wordOf(made, 0) : 0;
}

const NOT_HERE: ReadonlySet<number> = new Set([
  ...[MapType.Devmap, MapType.DevmapHash, MapType.Cpumap, MapType.Xskmap, MapType.Sockmap, MapType.Sockhash],
  ...[MapType.ReuseportSockarray, MapType.CgroupStorage, MapType.PercpuCgroupStorage, MapType.StructOps],
  ...[MapType.UserRingbuf, MapType.Arena],
]);

export const DIFFERENCES: readonly Difference[] = [
  {
    what: "bpf_map_info has 8 bytes more: hash and hash_size",
    source: "bpf: Implement exclusive map creation; bpf: Return hashes of maps in BPF_OBJ_GET_INFO_BY_FD (6.18)",
    explains: (_script, step, ours, theirs) =>
      step.command === Command.ObjGetInfoByFd &&
      wordOf(step, 4) > 88 &&
      ours.status === theirs.status &&
      ours.shown[0] === "4=58000000" &&
      theirs.shown[0] === `4=${wordOf(step, 4).toString(16)}000000` &&
      sameBuffers(ours, theirs),
  },
  {
    what: "tags of programs are digests of SHA-256",
    source: "bpf: Update the bpf_prog_calc_tag to use SHA256 (6.18)",
    explains: (script, step, ours, theirs) => {
      const [mine = "", other = ""] = [ours.shown[1], theirs.shown[1]];
      const without = (text: string): string => text.slice(0, 16) + text.slice(32);
      return (
        step.command === Command.ObjGetInfoByFd &&
        ours.status === 0 &&
        without(mine) === without(other) &&
        tag(script, other)
      );
    },
  },
  {
    what: "attributes of some commands go on where ours end: what is there is looked at",
    source:
      "include/uapi/linux/bpf.h: excl_prog_hash (6.18); fd_array_cnt (6.14), signature, keyring_id (6.18); fd_by_id_token_fd (6.15)",
    explains: (_script, step, ours) => {
      const longer = LONGER.get(step.command);
      if (longer === undefined || ours.status !== -ERRNO.EINVAL) return false;
      const [end, later] = longer;
      return step.attr.subarray(end, Math.min(later, step.size)).some((byte) => byte !== 0);
    },
  },
  {
    what: "a stack trace can be taken out of its map",
    source: "bpf: Add lookup_and_delete_elem for BPF_MAP_STACK_TRACE (6.18)",
    explains: (script, step, ours) =>
      step.command === Command.MapLookupAndDeleteElem &&
      ours.status === -ERRNO.ENOTSUPP &&
      typeOf(script, step) === MapType.StackTrace,
  },
  {
    what: "a hash table with types asks for one of its keys before it looks at what its values hold",
    source: "6.12.117 has htab_map_check_btf, which the running kernel may not: map_check_btf, kernel/bpf/syscall.c",
    explains: (_script, step, ours, theirs) =>
      step.command === Command.MapCreate &&
      wordOf(step, 52) === 0 &&
      ours.status === -ERRNO.EOPNOTSUPP &&
      theirs.status === -ERRNO.EINVAL,
  },
  {
    what: "kinds of maps that ask for devices, sockets, cgroups or pages of processes are not here",
    limit: true,
    source: "the README's limits",
    explains: (_script, step, ours) =>
      step.command === Command.MapCreate && ours.status === -ERRNO.EINVAL && NOT_HERE.has(wordOf(step, 0)),
  },
  {
    what: "programs that may sleep are verified by the rules of 6.12, which let them use more kinds of maps than 6.1",
    limit: true,
    source: "check_map_prog_compatibility, kernel/bpf/verifier.c: queues and stacks (6.8)",
    explains: (script, step, ours, theirs) => {
      const named = script[step.buffers[0]?.patches?.[0]?.of ?? -1];
      const type = named?.kind === "call" && named.command === Command.MapCreate ? wordOf(named, 0) : 0;
      const sleeps = (wordOf(step, 44) & 16) !== 0;
      return (
        GENERATION === "6.1" &&
        step.command === Command.ProgLoad &&
        sleeps &&
        ours.status === 1 &&
        theirs.status === -ERRNO.EINVAL &&
        (type === MapType.Queue || type === MapType.Stack)
      );
    },
  },
  {
    what: "the log of the verifier here tells no states behind instructions: how large a buffer it takes is another matter",
    limit: true,
    source: "the README's limits",
    explains: (_script, step, ours, theirs) =>
      step.command === Command.ProgLoad &&
      (wordOf(step, 24) & 3) !== 0 &&
      wordOf(step, 28) <= 4096 &&
      (ours.status === -ERRNO.ENOSPC) !== (theirs.status === -ERRNO.ENOSPC),
  },
];
