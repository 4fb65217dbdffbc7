import { bytes, Struct, u16, u32 } from "../bytes/struct.js";

/** What SGX says about an enclave, 384 bytes. Source: SDM vol. 3D, "REPORT", up to the key id. */
export interface EnclaveReport {
  /** SVNs of the CPU, 16 bytes. */
  readonly cpuSvn: Uint8Array;
  readonly miscSelect: number;
  readonly reserved1: Uint8Array;
  readonly isvExtProdId: Uint8Array;
  /** Flags and XFRM, 16 bytes; bit 1 of the first byte is DEBUG. */
  readonly attributes: Uint8Array;
  /** What the enclave was built of, SHA-256. */
  readonly mrEnclave: Uint8Array;
  readonly reserved2: Uint8Array;
  /** SHA-256 of the key that signed the enclave. */
  readonly mrSigner: Uint8Array;
  readonly reserved3: Uint8Array;
  readonly configId: Uint8Array;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly configSvn: number;
  readonly reserved4: Uint8Array;
  readonly isvFamilyId: Uint8Array;
  /** Chosen by the enclave, 64 bytes. A quoting enclave has SHA-256(attestation key || authentication data) and 32 zeros. */
  readonly reportData: Uint8Array;
}

/** Layout of an {@link EnclaveReport}. */
export const ENCLAVE_REPORT = new Struct({
  cpuSvn: bytes(16),
  miscSelect: u32,
  reserved1: bytes(12),
  isvExtProdId: bytes(16),
  attributes: bytes(16),
  mrEnclave: bytes(32),
  reserved2: bytes(32),
  mrSigner: bytes(32),
  reserved3: bytes(32),
  configId: bytes(64),
  isvProdId: u16,
  isvSvn: u16,
  configSvn: u16,
  reserved4: bytes(42),
  isvFamilyId: bytes(16),
  reportData: bytes(64),
});
