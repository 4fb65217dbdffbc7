import { ERRNO } from "../errors.js";
import { UpdateFlag } from "../uapi/map-types.js";
import type { MapDesc, Status } from "./map.js";

const LOCK = BigInt(UpdateFlag.Lock);
const EXIST = BigInt(UpdateFlag.Exist);

/** Whether the flags of an update are any: `BPF_EXIST` and `BPF_NOEXIST` at once are not. */
export const checkFlagBits = (flags: bigint): boolean => (flags & ~LOCK) <= EXIST;

/** Whether the flags of an update are any, where `BPF_F_LOCK` asks for a lock in the value. */
export function checkUpdateFlags({ fields }: MapDesc, flags: bigint): Status {
  if (!checkFlagBits(flags)) return -ERRNO.EINVAL;
  const lock = fields?.spinLock ?? null;
  return (flags & LOCK) !== 0n && lock === null ? -ERRNO.EINVAL : 0;
}

/** Whether the flags of an update let it meet what is there. */
export function checkPresence(present: boolean, flags: bigint): Status {
  const wanted = Number(flags & ~LOCK);
  if (present && wanted === UpdateFlag.NoExist) return -ERRNO.EEXIST;
  if (!present && wanted === UpdateFlag.Exist) return -ERRNO.ENOENT;
  return 0;
}

export const wantsLock = (flags: bigint): boolean => (flags & LOCK) !== 0n;
