/** Removes the last occurrence of `item`, not keeping the order of those behind it; false if there is none. */
export function removeLast<T>(list: T[], item: T): boolean {
  const k = list.lastIndexOf(item);
  if (k < 0) return false;
  const last = list.pop() as T;
  if (k < list.length) list[k] = last;
  return true;
}
