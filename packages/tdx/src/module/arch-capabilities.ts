import { ARCH_CAPABILITIES_CONFIG_MASK } from "./capabilities.js";

/** RRSBA: the host may claim it for a TD. The other configurable bits it may take away. */
const FORCE = 1n << 19n;
const ALLOW = ARCH_CAPABILITIES_CONFIG_MASK & ~FORCE;
/**
 * Bits that a TD may see: RDCL_NO, IBRS_ALL, RSBA, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO (13 to 15), RRSBA,
 * BHI_NO, PBRSB_NO. Not TSX_CTRL, as no TD has TSX.
 */
const VISIBLE = 0x118_f17fn;

/**
 * What IA32_ARCH_CAPABILITIES reads as in a TD; undefined for a configuration that asks for what cannot be.
 * @param native the processor's
 * @param config TD_PARAMS.IA32_ARCH_CAPABILITIES_CONFIG
 */
export function archCapabilities(native: bigint, config: bigint): bigint | undefined {
  if ((config & ~ARCH_CAPABILITIES_CONFIG_MASK) !== 0n) return undefined;
  return (native & VISIBLE & ~(ALLOW & ~config)) | (config & FORCE);
}
