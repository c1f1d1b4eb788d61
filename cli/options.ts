import { type Command, Option } from 'commander'
import { countOption } from './run-options.js'
import { UsageError } from './usage-error.js'

/** What `--set` and `--param` say, as `resolve` takes it. */
export interface FileOptions {
  /** `schedule.epoch="10 steps"`, in the order given: one more body on top of each experiment of the file. */
  readonly set: string[]
  /** By the name of the param. */
  readonly params: Record<string, string>
}

/** What `addFileOptions` gives a command. */
export interface FileFlags {
  readonly set?: string[]
  readonly param?: string[]
}
/** What `addFormatOption` does. */
export interface FormatFlags {
  readonly format?: string
  readonly json?: boolean
}
/** What `addRanksOption` does. */
export interface RanksFlag {
  readonly ranks?: string
}

const collect = (value: string, previous: string[] = []) => [...previous, value]

/** `--set` and `--param`, for every command that takes a file. */
export function addFileOptions(command: Command): Command {
  return command
    .option('--set <path=value>', 'set a field of each experiment (repeatable)', collect)
    .option('--param <name=value>', 'give every param of that name a value (repeatable)', collect)
}

/** `--ranks`, for every command that plans or runs for a number of them. */
export function addRanksOption(command: Command): Command {
  return command.option('--ranks <n>', 'ranks: the same as --set hardware.ranks=N')
}

/** Reads what `addFileOptions` and `addRanksOption` collected; a malformed one is a usage error. */
export function fileOptions(options: FileFlags & RanksFlag): FileOptions {
  for (const setting of options.set ?? []) assignment('--set', setting, 'schedule.batch="32 img"')
  const params: Record<string, string> = {}
  for (const given of options.param ?? []) {
    const { name, value } = assignment('--param', given, 'root=data')
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new UsageError(`--param ${given}: \`${name}\` is not the name of a param`)
    params[name] = value
  }
  const ranks =
    options.ranks === undefined ? [] : [`hardware.ranks=${countOption('--ranks', options.ranks, 1)}`]
  return { set: [...(options.set ?? []), ...ranks], params }
}

function assignment(option: string, given: string, example: string): { name: string; value: string } {
  const at = given.indexOf('=')
  const name = given.slice(0, Math.max(0, at)).trim()
  const value = given.slice(at + 1).trim()
  if (at < 0 || !name || !value)
    throw new UsageError(`${option} ${given}: expected NAME=VALUE`, [`write ${option} ${example}`])
  return { name, value }
}

/** `--format`, and `--json` for `--format json`. The first of `formats` is the default. */
export function addFormatOption(command: Command, formats: readonly string[] = ['human', 'json']): Command {
  return command
    .addOption(
      new Option('--format <format>', 'how to print the result').choices(formats).default(formats[0]),
    )
    .option('--json', 'the same as --format json')
}

export function formatOption<F extends string = 'human' | 'json'>(options: {
  format?: string
  json?: boolean
}): F {
  return (options.json ? 'json' : options.format) as F
}
