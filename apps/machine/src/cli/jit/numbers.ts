const SEPARATED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

/** A number for a person: 12,345.6. */
export const number = (value: number): string => SEPARATED.format(value);

/** 1 block, 2 blocks. */
export const count = (value: number, what: string): string => `${number(value)} ${what}${value === 1 ? "" : "s"}`;

/** 1 time, 2 times. */
export const times = (value: number): string => count(value, "time");

/** A linear address. */
export const address = (value: bigint): string => `0x${value.toString(16)}`;
