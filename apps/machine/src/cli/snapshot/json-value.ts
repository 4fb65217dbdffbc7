/** For `JSON.stringify`: what JSON has no word for. Bigints are text, bytes text in hexadecimal. */
export const jsonValue = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}`;
  return value instanceof Uint8Array ? Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("") : value;
};
