const each = (names: string, ...suffixes: readonly string[]): string[] =>
  names.split(" ").flatMap((name) => suffixes.map((suffix) => name + suffix));

/**
 * Operations that generated code leaves to TypeScript, by mnemonic: floating point that is not ordinary (see `sse-float.ts`), and
 * instructions too rare to be worth code. Operands are the record's registers and immediate.
 */
export const OUTSIDE: readonly string[] = [
  ...each("add sub mul div min max sqrt cmp round", "ss", "sd", "ps", "pd"),
  ...each("addsub hadd hsub dp", "ps", "pd"),
  ...each("comi ucomi rcp rsqrt", "ss"),
  ...each("comi ucomi", "sd"),
  ...each("rcp rsqrt", "ps"),
  ...each("cvtsi2ss cvtsi2sd cvtss2si cvtsd2si cvttss2si cvttsd2si", "4", "8"),
  ..."cvtss2sd cvtsd2ss cvtps2pd cvtpd2ps cvtdq2ps cvtps2dq cvttps2dq cvtpd2dq cvttpd2dq".split(" "),
  ..."cvtpi2ps cvtpi2pd cvtps2pi cvttps2pi cvtpd2pi cvttpd2pi".split(" "),
  ..."aesenc aesenclast aesdec aesdeclast aesimc aeskeygenassist pclmulqdq".split(" "),
  ..."sha1nexte sha1msg1 sha1msg2 sha1rnds4 sha256rnds2 sha256msg1 sha256msg2".split(" "),
  ..."pcmpestrm pcmpestrm64 pcmpestri pcmpestri64 pcmpistrm pcmpistri phminposuw mpsadbw".split(" "),
];

export type OutsideName = string;

const NUMBERS: ReadonlyMap<string, number> = new Map(OUTSIDE.map((name, index) => [name, index]));

/** @throws RangeError when there is no such operation */
export function outsideNumber(name: OutsideName): number {
  const number = NUMBERS.get(name);
  if (number === undefined) throw new RangeError(`no operation ${name} outside generated code`);
  return number;
}
