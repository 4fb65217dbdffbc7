// A static server for the page: vite's, which knows types and ranges, and serves nothing outside its folder.
import { preview } from "vite";

/**
 * @param {string} folder
 * @param {object} [options]
 * @param {number} [options.port] default: any
 * @param {boolean} [options.strict] whether it must be that port; else the next free one
 * @param {string} [options.host]
 * @param {string} [options.base] path under which the folder is served
 * @param {Record<string, string>} [options.headers] sent with every response
 * @returns {Promise<{ readonly url: string, close(): Promise<void> }>}
 */
export async function servePage(
  folder,
  { port = 0, strict = false, host = "localhost", base = "/", headers = {} } = {},
) {
  const server = await preview({
    configFile: false,
    root: folder,
    base,
    appType: "mpa",
    logLevel: "silent",
    build: { outDir: "." },
    // All that it has is public: any name may lead to it.
    preview: { port, strictPort: strict, host, headers, allowedHosts: true, open: false },
  });
  const [url = ""] = [...(server.resolvedUrls?.local ?? []), ...(server.resolvedUrls?.network ?? [])];
  return { url, close: () => server.close() };
}
