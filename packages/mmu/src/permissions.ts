import { Access, Licence, type PagingControls } from "./access.js";
import { CR0_WP, CR4_SMAP, CR4_SMEP, PTE_RW, PTE_US } from "./bits.js";

/**
 * Access rights of a translation: SDM 3A 4.6.1.
 *
 * @param rights R/W and U/S of all entries used, ANDed ({@link PTE_RW}, {@link PTE_US})
 * @param xd whether any entry used has XD set with IA32_EFER.NXE = 1
 * @param access {@link Access} bits; only the privilege (User, Ac, Implicit) matters
 * @returns the {@link Licence} bits allowed at that privilege
 */
export function allowedBy(controls: PagingControls, rights: number, xd: boolean, access: number): number {
  let allowed: number = Licence.All;
  if ((access & Access.User) !== 0) {
    if ((rights & PTE_US) === 0) return 0;
    if ((rights & PTE_RW) === 0) allowed &= ~Licence.Write;
  } else {
    if ((rights & PTE_RW) === 0 && (controls.cr0 & CR0_WP) !== 0) allowed &= ~Licence.Write;
    if ((rights & PTE_US) !== 0) {
      if ((controls.cr4 & CR4_SMEP) !== 0) allowed &= ~Licence.Fetch;
      const acLifts = (access & (Access.Ac | Access.Implicit)) === Access.Ac;
      if ((controls.cr4 & CR4_SMAP) !== 0 && !acLifts) allowed &= ~(Licence.Read | Licence.Write);
    }
  }
  return xd ? allowed & ~Licence.Fetch : allowed;
}
