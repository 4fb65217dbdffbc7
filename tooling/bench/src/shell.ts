/** The prompt of our ram disk's shell at the end of what was written; it asks the terminal where its cursor is and clears what is behind it. */
export const PROMPT = /\/ # (\p{Cc}\[\w+)*$/u;
