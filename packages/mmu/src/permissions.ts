import { Access, Licence, type PagingControls } from "./access.js";
import { Cr0, Cr4, Pte } from "./bits.js";

/**
 * Access rights of a translation: SDM 3A 4.6.1.
 *
 * @param rights R/W and U/S of all entries used, ANDed ({@link Pte.Rw}, {@link Pte.Us})
 * @param xd whether any entry used has XD set with IA32_EFER.NXE = 1
 * @param access {@link Access} bits; only the privilege (User, Ac, Implicit) matters
 * @returns the {@link Licence} bits allowed at that privilege
 */
export function allowedBy(controls: PagingControls, rights: number, xd: boolean, access: number): number {
  let allowed: number = Licence.All;
  if ((access & Access.User) !== 0) {
    if ((rights & Pte.Us) === 0) return 0;
    if ((rights & Pte.Rw) === 0) allowed &= ~Licence.Write;
  } else {
    if ((rights & Pte.Rw) === 0 && (controls.cr0 & Cr0.Wp) !== 0) allowed &= ~Licence.Write;
    if ((rights & Pte.Us) !== 0) {
      if ((controls.cr4 & Cr4.Smep) !== 0) allowed &= ~Licence.Fetch;
      const acLifts = (access & (Access.Ac | Access.Implicit)) === Access.Ac;
      if ((controls.cr4 & Cr4.Smap) !== 0 && !acLifts) allowed &= ~(Licence.Read | Licence.Write);
    }
  }
  return xd ? allowed & ~Licence.Fetch : allowed;
}

/**
 * What the protection key of a user page takes away from data accesses: SDM 3A 4.6.2.
 *
 * @param key bits 62:59 of the leaf
 * @returns the {@link Licence} bits denied at the privilege of `access`
 */
export function deniedByKey(controls: PagingControls, key: number, access: number): number {
  const rights = (controls.pkru >>> (2 * key)) & 3;
  if ((rights & 1) !== 0) return Licence.Read | Licence.Write;
  const user = (access & Access.User) !== 0;
  return (rights & 2) !== 0 && (user || (controls.cr0 & Cr0.Wp) !== 0) ? Licence.Write : 0;
}
