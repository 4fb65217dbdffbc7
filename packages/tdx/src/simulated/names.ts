import { utf8ToBytes } from "@noble/hashes/utils.js";
import { writeName } from "../pki/name.js";

/** What every simulated artefact says. */
export const NOTICE = "SIMULATED TDX - NOT SECURE";
/** The same in the 20 bytes of user data of a quote's header. */
export const USER_DATA = utf8ToBytes("SIMULATED-NOT-SECURE");

const name = (role: string) =>
  writeName({
    commonName: `${NOTICE} ${role}`,
    organizationName: NOTICE,
    localityName: "Nowhere",
    stateOrProvinceName: "NA",
    countryName: "XX",
  });

/** Names of all certificates, in DER. Their roles are called as Intel calls them. */
export const NAMES = {
  root: name("SGX Root CA"),
  pckCa: name("SGX PCK Platform CA"),
  pck: name("SGX PCK Certificate"),
  tcbSigner: name("SGX TCB Signing"),
} as const;
