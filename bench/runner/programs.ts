import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../diagnostics/package-root.js'
import { openNative } from '../../runtime/devices/native/native.js'

export const root = packageRoot()

/** What `dinoc bench` tells of a step; `gflops` of model FLOPs. */
export interface TimedStep {
  readonly imagesPerSecond: number
  readonly peakRssBytes: number
  readonly gflops: number
}

/** Times whole steps of `FILE#experiment.variant`, in a process of their own. */
export function benchStep(target: string, options: readonly string[]): TimedStep {
  const args = ['dist/cli/main.js', 'bench', target, '--device', 'native', '--json', ...options]
  return lastLine('node', args) as TimedStep
}

/** The last line that a program prints, read as JSON. */
export function lastLine(command: string, args: readonly string[]): unknown {
  return JSON.parse(run(command, args).trim().split('\n').at(-1) ?? '')
}

/** What a program prints; the end of this one where it fails. */
export function run(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.status !== 0) refuse(`${[command, ...args].join(' ')} failed:\n${done.stderr}`)
  return done.stdout
}

/** What the command line says; `--help` prints the usage, and what cannot be read refuses with it. */
export function readOptions<T>(usage: string, read: () => T): T {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return read()
  } catch (error) {
    return refuse(`${(error as Error).message}\n${usage}`)
  }
}

export function refuse(why: string): never {
  console.error(why)
  process.exit(2)
}

/** Those that the command line names, separated by commas; all of them by default. */
export function pick<C extends { readonly name: string }>(
  cases: readonly C[],
  asked: string | undefined,
): readonly C[] {
  if (asked === undefined) return cases
  const known = cases.map(({ name }) => name)
  const names = asked.split(',')
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) refuse(`no case is called ${unknown.join(', ')}; there are ${known.join(', ')}`)
  return cases.filter(({ name }) => names.includes(name))
}

/** A whole number of at least 1. */
export function count(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) refuse(`--${option} ${text}: expected a whole number from 1`)
  return Number(text)
}

/** The machine by what figures depend on: "AMD EPYC, 2 cores, AVX-512 with bf16, 2 threads". */
export async function machine(threads: number): Promise<string> {
  const device = await openNative({ threads })
  const { description } = device.capabilities()
  await device.close()
  return `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${description}`
}

/** Prints a page; with `write` it is kept in bench/ under its date, the name and the cases that were asked for. */
export function publish(page: string, name: string, asked: string | undefined, write: boolean): void {
  process.stdout.write(page)
  if (!write) return
  const which = asked === undefined ? '' : `-${asked.replaceAll(',', '-')}`
  const file = `bench/${new Date().toISOString().slice(0, 10)}-${name}${which}.md`
  writeFileSync(join(root, file), page)
  console.error(`written to ${file}`)
}
