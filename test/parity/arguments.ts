/** What `npm run parity` was asked for; null in the place of what was not said. */
export interface Arguments {
  readonly file: string | null
  readonly reference: string | null
  readonly device: string | null
  readonly runs: string | null
  readonly jobs: number
}

export const usage = `usage: npm run parity -- [FILE.dino] [reference.json] [--device D] [--runs DIR] [--jobs N]
Trains whole runs, at least four seeds an experiment, and compares them with what the reference's own modules gave.
Hours on a few cores. With --runs, finished runs are kept and not repeated.
`

/** `help`, or why the arguments cannot be read. A whole job must not start because an option was misspelled. */
export function readArguments(args: readonly string[]): Arguments | 'help' | { readonly wrong: string } {
  const files: string[] = []
  const options: Record<string, string | null> = { '--device': null, '--runs': null, '--jobs': null }
  for (let i = 0; i < args.length; i++) {
    const [name, given] = split(args[i]!)
    if (name === '--help' || name === '-h') return 'help'
    if (!name.startsWith('-')) {
      files.push(name)
      continue
    }
    if (!Object.hasOwn(options, name)) return { wrong: `unknown argument ${name}` }
    const value = given ?? args[++i]
    if (value === undefined || value === '' || value.startsWith('--'))
      return { wrong: `${name} needs a value` }
    options[name] = value
  }
  if (files.length > 2) return { wrong: `unknown argument ${files[2]}` }
  const jobs = options['--jobs'] ?? '1'
  if (!/^[1-9]\d*$/.test(jobs)) return { wrong: `--jobs ${jobs}: expected a whole number from 1` }
  return {
    file: files[0] ?? null,
    reference: files[1] ?? null,
    device: options['--device'] ?? null,
    runs: options['--runs'] ?? null,
    jobs: Number(jobs),
  }
}

/** `--device=native` -> `--device`, `native`. */
function split(arg: string): [string, string | null] {
  const at = arg.startsWith('--') ? arg.indexOf('=') : -1
  return at < 0 ? [arg, null] : [arg.slice(0, at), arg.slice(at + 1)]
}
