/** What a benchmark found out. */
export interface Report {
  /** For a person. */
  readonly text: string;
  /** For `--json`: plain data. */
  readonly data: unknown;
  /** What did not run as it has to, a sentence each: the figures are not to be trusted then. Default: none. */
  readonly problems?: readonly string[];
}
