import { measureTdImage, type TdFirmware, TdHobError, TdImageError, TdvfError, tdFirmware } from "@vm/tdx";
import { withoutVariables } from "../../../../packages/tdx/src/boot/variables.js";
import { Violation } from "../door.js";
import type { Random } from "../random.js";

const PAGE = 4096;
const MIB = 2 ** 20;
const END = 2 ** 32;
/** What firmware may have below 4 GiB, and what may be added in all. */
const [ROOM, ADDED] = [16 * MIB, 64 * MIB];
/** Bytes that are measured once more. */
const FEW = 2 * MIB;
/** Bytes of memory that TDs have. */
const MEMORY = [PAGE, 16 * MIB, 512 * MIB, 3072 * MIB] as const;

/** Builds a TD of a firmware image. @returns the code of the error that refused it, or "built" @throws {Violation} */
export async function buildTd(random: Random, image: Uint8Array, mrtd: Uint8Array | undefined): Promise<string> {
  const ram = random.pick(MEMORY);
  const variables = random.chance(50);
  let td: TdFirmware;
  try {
    td = tdFirmware({ image, ram, variables });
  } catch (error) {
    if (error instanceof TdvfError || error instanceof TdImageError || error instanceof TdHobError) return error.code;
    throw error;
  }
  check(td, ram);
  const total = td.runs.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const same = mrtd === undefined || !variables || total > FEW || (await measureTdImage(td)).join() === mrtd.join();
  if (!same) throw new Violation("measurement", "a TD that was built has another MRTD than its firmware alone");
  return "built";
}

function check({ base, runs, argument }: TdFirmware, ram: number): void {
  if (base % PAGE !== 0 || base < END - ROOM || base >= END) throw new Violation("base", `0x${base.toString(16)}`);
  let total = 0;
  for (const { gpa, bytes } of runs) {
    const end = gpa + bytes.length;
    total += bytes.length;
    if (gpa % PAGE !== 0 || end % PAGE !== 0 || (end > ram && (gpa < base || end > END)))
      throw new Violation(
        "no memory",
        `a run at 0x${gpa.toString(16)} of ${bytes.length} bytes, with ${ram} of memory`,
      );
  }
  if (total > ADDED) throw new Violation("too much", `${total} bytes are added`);
  if (argument >= END) throw new Violation("argument", `0x${argument.toString(16)}`);
}

/** Erases the variables of anything. @returns as {@link buildTd} @throws {Violation} */
export function eraseVariables(volume: Uint8Array): string {
  let erased: Uint8Array;
  try {
    erased = withoutVariables(volume);
  } catch (error) {
    if (error instanceof TdImageError) return error.code;
    throw error;
  }
  if (erased.length !== volume.length) throw new Violation("variables", `${erased.length} bytes of ${volume.length}`);
  if (!erased.every((byte, k) => byte === volume[k] || byte === 0xff))
    throw new Violation("variables", "something else than erased bytes is in their place");
  return "erased";
}
