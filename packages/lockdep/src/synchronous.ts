/** Result of a function that does not await: anything but a promise. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;
