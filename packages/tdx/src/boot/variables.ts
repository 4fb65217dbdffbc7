import { bytesToHex } from "@noble/hashes/utils.js";
import { u16, u32 } from "../bytes/struct.js";
import { TdImageError } from "./errors.js";

/** EFI_FIRMWARE_VOLUME_HEADER: where its signature and its length are. Source: UEFI Platform Initialization, volume 3, "Firmware Volume Header". */
const VOLUME = { signature: 40, headerLength: 48 } as const;
/** "_FVH". */
const VOLUME_SIGNATURE = 0x4856465f;
/** EFI_AUTHENTICATED_VARIABLE_GUID and EFI_VARIABLE_GUID: how a store of variables begins. Source: edk2, VariableFormat.h. */
const STORES: ReadonlySet<string> = new Set(["782cf3aa7b949a43a1802e144ec37792", "1636cfdd7532644198b6fe85707ffe7d"]);
const GUID = 16;
/** VARIABLE_STORE_HEADER: u32 size behind the GUID, 28 bytes in all. */
const STORE_HEADER = 28;
/** What flash is after it was erased. */
const ERASED = 0xff;

/**
 * The variables of a firmware image, Secure Boot's keys among them, erased.
 * @param volume bytes of the section of type CFV
 * @returns a copy
 * @throws {TdImageError} `range` if they are not a volume with a store of variables
 */
export function withoutVariables(volume: Uint8Array): Uint8Array {
  const store =
    volume.length < 64 || u32.read(volume, VOLUME.signature) !== VOLUME_SIGNATURE
      ? -1
      : u16.read(volume, VOLUME.headerLength);
  if (
    store < 0 ||
    store + STORE_HEADER > volume.length ||
    !STORES.has(bytesToHex(volume.subarray(store, store + GUID)))
  )
    throw new TdImageError("range", "the firmware has no store of variables that could be erased");
  const size = u32.read(volume, store + GUID);
  if (size < STORE_HEADER || store + size > volume.length)
    throw new TdImageError(
      "range",
      `the firmware's store of variables has ${size} bytes, and ${volume.length - store} are there`,
    );
  return volume.slice().fill(ERASED, store + STORE_HEADER, store + size);
}
