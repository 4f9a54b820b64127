/** One id, and the line of the file on which it stands. */
export interface GivenId {
  readonly sessionId: string;
  readonly line: number;
}

/** What a file holds besides ids. */
export interface LeftLines {
  /** Blank lines and comments, and rows without an id. */
  readonly blank: number;
  readonly malformed: number;
  /** The first of them, with their lines, for people. */
  readonly examples: readonly string[];
  /** Ids from rows of CSV that begin with `#`, and the lines of the first: they were taken, and may have been meant as comments. */
  readonly hashRows: { readonly count: number; readonly examples: readonly string[] };
}

/** Session ids that somebody gave. They may be read once. */
export interface GivenIds {
  /** Where they come from, for messages. */
  readonly name: string;
  /**
   * The ids in their order, some at a time; duplicates are still among them.
   *
   * @throws UserError with exit code 2 when there is no usable id, or the file can't be read
   */
  batches(): AsyncGenerator<readonly GivenId[]>;
  /** As far as they were read. */
  left(): LeftLines;
  /** Stops reading. */
  close(): void;
}

export const EXAMPLES = 5;
