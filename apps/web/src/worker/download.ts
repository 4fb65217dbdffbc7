/**
 * A file of the page's server, with its progress told in percent where the server says how long it is.
 * @throws {Error} with a sentence if it cannot be had
 */
export async function download(url: string, what: string, progress: (sentence: string) => void): Promise<Uint8Array> {
  progress(`Downloading ${what} …`);
  const response = await fetch(url).catch((cause: unknown) => {
    throw new Error(`The server did not send ${what}`, { cause });
  });
  if (!response.ok || response.body === null)
    throw new Error(`The server did not send ${what}: status ${response.status}`);
  // What is counted below is unpacked, the header may count packed bytes.
  const packed = response.headers.has("content-encoding");
  const length = packed ? 0 : Number(response.headers.get("content-length") ?? 0);
  const pieces: Uint8Array[] = [];
  let received = 0;
  let told = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    received += value.length;
    const percent = Math.floor((100 * received) / length);
    if (length > 0 && percent >= told + 5) {
      told = percent;
      progress(`Downloading ${what}: ${percent} %`);
    }
  }
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
