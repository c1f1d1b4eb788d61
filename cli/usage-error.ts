/** A mistake on the command line: no place in a file, exit status 2. */
export class UsageError extends Error {
  readonly help: readonly string[]
  constructor(message: string, help: readonly string[] = []) {
    super(message)
    this.name = 'UsageError'
    this.help = help
  }
}
