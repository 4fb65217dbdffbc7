/** What a benchmark found out. */
export interface Report {
  /** For a person. */
  readonly text: string;
  /** For `--json`: plain data. */
  readonly data: unknown;
}
