declare module 'pgpass' {
  interface Connection {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  }
  /** Looks the password up in PGPASSFILE or ~/.pgpass; undefined where there is none. */
  function pgpass(connection: Connection, found: (password: string | undefined) => void): void;
  namespace pgpass {
    /** Where warnings go about a file that is passed over. */
    function warnTo(stream: NodeJS.WritableStream): NodeJS.WritableStream;
  }
  export = pgpass;
}
