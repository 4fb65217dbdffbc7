/** Memory of the guest, by u32 words at addresses divisible by 4. Neither call may miss: the host keeps the frames resident that are reached by it. */
export interface GuestWords {
  /** The word at `gpa` (bytes, below 2^53); false where there is no memory. */
  read(gpa: number): number | false;
  /** False where there is no memory that can be written; nothing was then. */
  write(gpa: number, value: number): boolean;
}
