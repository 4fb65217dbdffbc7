/** Removes the last occurrence of `item`, not keeping the order of those behind it; false if there is none. */
export function removeLast<T>(list: T[], item: T): boolean {
  if (list[list.length - 1] === item) {
    list.pop();
    return true;
  }
  const k = list.lastIndexOf(item);
  if (k < 0) return false;
  list[k] = list.pop() as T;
  return true;
}
