import { bytes, Struct, u16, u32 } from "../bytes/struct.js";

/** The header of a quote, 48 bytes. Source: Intel TDX DCAP Quoting Library API, appendix A.3.1. */
export interface QuoteHeader {
  /** 3 (SGX only), 4 or 5. */
  readonly version: number;
  /** {@link ATTESTATION_KEY_ECDSA_P256}. */
  readonly attestationKeyType: number;
  /** {@link TEE_TYPE_SGX} or {@link TEE_TYPE_TDX}. */
  readonly teeType: number;
  /** SVN of the quoting enclave in version 3, reserved in later ones. */
  readonly qeSvn: number;
  /** SVN of the provisioning certification enclave in version 3, reserved in later ones. */
  readonly pceSvn: number;
  /** Who made the quoting enclave, 16 bytes: {@link INTEL_QE_VENDOR_ID} for Intel's. */
  readonly qeVendorId: Uint8Array;
  /** The quoting enclave's, 20 bytes; the first 16 of Intel's identify the platform. */
  readonly userData: Uint8Array;
}

/** Layout of a {@link QuoteHeader}. */
export const QUOTE_HEADER = new Struct({
  version: u16,
  attestationKeyType: u16,
  teeType: u32,
  qeSvn: u16,
  pceSvn: u16,
  qeVendorId: bytes(16),
  userData: bytes(20),
});

/** ECDSA-256-with-P-256, the one kind of attestation key that quoting enclaves use. */
export const ATTESTATION_KEY_ECDSA_P256 = 2;
/** The quote is about an SGX enclave. */
export const TEE_TYPE_SGX = 0;
/** The quote is about a TD. */
export const TEE_TYPE_TDX = 0x81;
/** The published vendor id of Intel's quoting enclaves. What it says about a quote is nothing: only the signatures do. */
export const INTEL_QE_VENDOR_ID = Uint8Array.of(
  ...[0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07],
);
