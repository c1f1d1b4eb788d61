import type { Command } from 'commander'
import { shellLine } from './shell.js'
import { UsageError } from './usage-error.js'

/** `full, no_koleo` -> two names; an empty one is a usage error. */
export function listOption(text: string): string[] {
  const items = splitOutsideBrackets(text)
  if (items.some((item) => item === ''))
    throw new UsageError(`\`${text}\`: expected names separated by commas`)
  return items
}

/** Names of grid points hold commas of their own: `masks[probability=30%,ratio=10%..50%]`. */
function splitOutsideBrackets(text: string): string[] {
  const items: string[] = []
  let depth = 0
  let item = ''
  for (const character of text) {
    if (character === '[') depth++
    if (character === ']') depth--
    if (character === ',' && depth === 0) {
      items.push(item.trim())
      item = ''
    } else item += character
  }
  return [...items, item.trim()]
}

/** A whole number of at least `least`. */
export function countOption(option: string, text: string, least: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  throw new UsageError(`${option} ${text}: expected a whole number from ${least}`)
}

/** The line that trains what a command with these options was asked about, or goes on with it. */
export function runCommand(
  file: string,
  {
    runs,
    set,
    param,
    ranks,
  }: { readonly runs: string; readonly set?: string[]; readonly param?: string[]; readonly ranks?: string },
): string {
  const given = [...(set ?? []).flatMap((s) => ['--set', s]), ...(param ?? []).flatMap((p) => ['--param', p])]
  const divided = ranks === undefined ? [] : ['--ranks', ranks]
  return shellLine(['dinoc', 'run', file, ...given, ...divided, ...(runs === 'runs' ? [] : ['--runs', runs])])
}

export interface DeviceFlags {
  readonly threads?: string
  readonly loaders?: string
  readonly device?: string
}

/** Where the work is done; no part of a run's identity. */
export function addDeviceOptions(command: Command): Command {
  return command
    .option('--threads <n>', 'threads of the device')
    .option('--loaders <n>', 'threads that read and augment images')
    .option('--device <name>', 'native, wasm, tensorflow, cuda, webgpu or interpret')
}
