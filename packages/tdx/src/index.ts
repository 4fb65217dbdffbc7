export { TdImageError, type TdImageErrorCode } from "./boot/errors.js";
export { type TdFirmware, type TdFirmwareDesc, tdFirmware } from "./boot/firmware.js";
export { type Chunk, type PageRun, type TdImage, type TdImageDesc, tdImage } from "./boot/image.js";
export { LOADER_BASE, LOADER_END } from "./boot/layout.js";
export { type GpaRange, type LoaderDesc, tdLoader } from "./boot/loader.js";
export { measureTdImage } from "./boot/measure.js";
export { FieldError, type FieldErrorCode } from "./bytes/errors.js";
export type { Outcome } from "./guest/outcome.js";
export type { GuestPorts } from "./guest/ports.js";
export { TdGuest } from "./guest/td-guest.js";
export { type BringUp, bringUpModule } from "./kvm/bring-up.js";
export {
  type CpuidBuffer,
  MEASURE_MEMORY_REGION,
  type MemRegion,
  type TdxCapabilities,
  type TdxCmd,
  TdxCmdId,
} from "./kvm/commands.js";
export type { CpuidEntry } from "./kvm/cpuid-entry.js";
export { KvmTdxError, type TdxErrno } from "./kvm/errors.js";
export { TdxHost, type TdxHostDesc } from "./kvm/host.js";
export type { KvmSept, SeptErrno } from "./kvm/kvm-sept.js";
export { KvmTdx } from "./kvm/kvm-tdx.js";
export type {
  ConvertResult,
  CpuidValues,
  Eventually,
  FaultResult,
  GuestAccess,
  HostPages,
  PopulateOne,
  TdMemory,
  TdPlatform,
  TdVmLocks,
  VcpuKicks,
} from "./kvm/ports.js";
export { QuoteService, type QuoteServiceDesc, QuoteStatus, type SharedMemory } from "./kvm/quote-service.js";
export { isOperandBusy, type SeamcallPort, Seamcalls, Tdh } from "./kvm/seamcalls.js";
export type { TdExit, TdxFatal } from "./kvm/td-exit.js";
export type { InitVm } from "./kvm/td-params.js";
export { type KvmTdxDesc, MAX_VCPUS, TdState } from "./kvm/td-vm.js";
export { TdvmcallLeaf, TdvmcallStatus } from "./kvm/tdvmcall.js";
export { POSTED_INTR_VECTOR } from "./kvm/vcpu-init.js";
export { VcpuTdState, type VcpuTdx } from "./kvm/vcpu-tdx.js";
export {
  CCEL_SIZE,
  CcelError,
  type CcelErrorCode,
  type CcelTable,
  parseCcel,
  writeCcel,
} from "./measure/ccel-table.js";
export { checkDigest, type DigestCheck } from "./measure/event-digest.js";
export {
  ALGORITHM_SHA384,
  EV_NO_ACTION,
  type EventLog,
  type LogAlgorithm,
  type LogEvent,
  type PlacedEvent,
  type SpecId,
} from "./measure/event-log.js";
export { EventLogError, type EventLogErrorCode } from "./measure/event-log-errors.js";
export { parseEventLog } from "./measure/event-log-parse.js";
export { EventLogWriter, type Extend } from "./measure/event-log-writer.js";
export { describeEvent } from "./measure/event-text.js";
export { EVENT_TYPES, eventTypeName } from "./measure/event-types.js";
export { type FirmwareMeasurement, type MeasuredSection, measureFirmware, type Passes } from "./measure/firmware.js";
export { EXTEND_CHUNK, Mrtd, PAGE } from "./measure/mrtd.js";
export { type Replay, type ReplayedEvent, replayEventLog } from "./measure/replay.js";
export { RTMR_COUNT, RTMR_SIZE, type RtmrIndex, Rtmrs } from "./measure/rtmr.js";
export {
  parseTdHob,
  TdHobError,
  type TdHobErrorCode,
  type TdResource,
  tdResources,
  writeTdHob,
} from "./measure/td-hob.js";
export { parseTdvf, type TdvfMetadata } from "./measure/tdvf.js";
export { TdvfError, type TdvfErrorCode } from "./measure/tdvf-errors.js";
export {
  SECTION_MR_EXTEND,
  SECTION_PAGE_AUG,
  type SectionName,
  type TdvfSection,
} from "./measure/tdvf-section.js";
export { PlatformError } from "./module/check-platform.js";
export { Gpr, type Gprs } from "./module/gpr.js";
export type { EptViolation, ExtendedQualification, GuestCpu, InitialState, VmExit } from "./module/guest-cpu.js";
export { TdxModule } from "./module/module.js";
export { PageSize, PageType } from "./module/page-type.js";
export type { PhysicalMemory, PhysicalRange, PlatformDesc } from "./module/platform.js";
export { PrivateFrameError } from "./module/private-frame-error.js";
export type { SecureEpt } from "./module/sept.js";
export { isError, OperandId, Status, type StatusName, statusName, withOperand } from "./module/status.js";
export type { TdVcpu } from "./module/td-vcpu.js";
export type { CallRecord } from "./module/trace.js";
export { type Certificate, parseCertificate } from "./pki/certificate.js";
export { type CertificateList, parseCrl } from "./pki/crl.js";
export { PkiError, type PkiErrorCode } from "./pki/errors.js";
export type { BasicConstraints, Extensions } from "./pki/extensions.js";
export type { Name } from "./pki/name.js";
export { parsePem, writePem } from "./pki/pem.js";
export { parseSgxExtension, type SgxExtension } from "./pki/sgx-extension.js";
export { ENCLAVE_REPORT, type EnclaveReport } from "./quote/enclave-report.js";
export { encodeQuote, encodeSignedBytes } from "./quote/encode.js";
export { QuoteError, type QuoteErrorCode } from "./quote/errors.js";
export {
  ATTESTATION_KEY_ECDSA_P256,
  INTEL_QE_VENDOR_ID,
  type QuoteHeader,
  TEE_TYPE_SGX,
  TEE_TYPE_TDX,
} from "./quote/header.js";
export { parseQuote } from "./quote/parse.js";
export {
  BODY_ENCLAVE,
  BODY_TD_10,
  BODY_TD_15,
  CERTIFICATION_PCK_CHAIN,
  CERTIFICATION_QE_REPORT,
  CERTIFICATION_TYPES,
  type CertificationData,
  type ParsedQuote,
  type Quote,
  type QuoteBody,
  type QuoteSignature,
} from "./quote/quote.js";
export { type AttestationKey, type Certifier, certifyAttestationKey, signQuote } from "./quote/sign.js";
export type { TdReport10, TdReport15 } from "./quote/td-report-body.js";
export { ReportError, type ReportErrorCode } from "./report/errors.js";
export { REPORT_SIZE, REPORT_TYPE_TD, type ReportMac, type TdInfo, type TeeTcbInfo } from "./report/layout.js";
export { hashesMatch, parseTdReport, type TdReport } from "./report/parse.js";
export { ReportPlatform, type ReportPlatformDesc, type ReportVerdict, SIMULATED_TCB } from "./report/platform.js";
export { quoteBody } from "./report/quote-body.js";
export { encodeTdInfo } from "./report/td-info.js";
export type { Window } from "./simulated/certificates.js";
export { NOTICE as SIMULATED_NOTICE } from "./simulated/names.js";
export { CERTIFICATES_VALID, SimulatedPlatform, type SimulatedPlatformOptions } from "./simulated/platform.js";
export { ATTRIBUTE_SEPT_VE_DISABLE } from "./tables/attributes.js";
export { type CollateralSource, collateralFromPcs, type PcsResponses } from "./verify/collateral.js";
export { isoTime } from "./verify/document.js";
export { VerifyInputError, type VerifyInputErrorCode } from "./verify/errors.js";
export { JsonError } from "./verify/json.js";
export { DEFAULT_ATTRIBUTES, type Policy } from "./verify/policy.js";
export { REASONS, type Reason, type ReasonCode } from "./verify/reasons.js";
export type { RtmrReplay } from "./verify/rtmrs.js";
export type { TcbMatch } from "./verify/tcb-match.js";
export { ACCEPTABLE_STATUSES, type TcbStatus } from "./verify/tcb-status.js";
export {
  type SignatureVerification,
  type Verification,
  type VerifyOptions,
  verifyQuote,
  verifyQuoteSignatures,
} from "./verify/verify.js";
