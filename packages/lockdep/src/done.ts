/** What an acquisition that need not wait returns. */
export const DONE: Promise<void> = Promise.resolve();
