/** A guest whose files the page's server has. */
export interface ServedGuest {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Absolute addresses. */
  readonly kernel: string;
  readonly initrd: string;
}

/** Where the server says which guests it has, relative to the page. */
const MANIFEST = "guests/manifest.json";

/** The guests that a manifest names; addresses in it are relative to it, and entries that lack something are passed over. */
export function readManifest(manifest: unknown, base: string): readonly ServedGuest[] {
  const guests = (manifest as { readonly guests?: unknown } | null)?.guests;
  if (!Array.isArray(guests)) return [];
  return guests.flatMap((entry: Partial<Record<keyof ServedGuest, unknown>> | null) => {
    const { id, name, kernel, initrd } = entry ?? {};
    if (![id, name, kernel, initrd].every((field) => typeof field === "string" && field !== "")) return [];
    const at = (path: unknown): string => new URL(path as string, base).href;
    return [{ id: id as string, name: name as string, kernel: at(kernel), initrd: at(initrd) }];
  });
}

/** What the server offers; nothing if it has no manifest, or none that can be read. */
export async function servedGuests(page: string): Promise<readonly ServedGuest[]> {
  const url = new URL(MANIFEST, page).href;
  try {
    const response = await fetch(url);
    return response.ok ? readManifest(await response.json(), url) : [];
  } catch {
    return [];
  }
}
