import type { Command } from 'commander'
import { flatFields, flatten } from '../compiler/resolve/flatten.js'
import { foldLines } from '../compiler/resolve/fold.js'
import type { ResolvedExperiment } from '../compiler/resolve/resolved.js'
import { writeExperiment, writeValue } from '../compiler/resolve/write.js'
import type { Span } from '../diagnostics/diagnostic.js'
import { didYouMean } from '../diagnostics/nearest.js'
import { exit } from './exit.js'
import {
  addFileOptions,
  addFormatOption,
  type FileFlags,
  type FormatFlags,
  fileOptions,
  formatOption,
} from './options.js'
import { columnsOf } from './print.js'
import { resolveFile } from './resolve-file.js'
import { UsageError } from './usage-error.js'

interface Options extends FileFlags, FormatFlags {
  readonly where?: string
  readonly places?: boolean
}

export function define(command: Command): void {
  addFormatOption(
    addFileOptions(command.argument('<file>', 'FILE, FILE#experiment or FILE#experiment.variant')),
  )
    .option('--where <path>', 'only say what a path is worth and where that was set')
    .option('--places', 'show behind each value where it was set')
    .addHelpText(
      'after',
      '\nWithout a variant the unedited experiment is printed; --json prints every variant.',
    )
    .action((file: string, options: Options) => {
      process.exitCode = run(file, options)
    })
}

function run(file: string, options: Options): number {
  const format = formatOption(options)
  const { experiments } = resolveFile(file, fileOptions({ ...options }), format)
  const all = experiments.flatMap((family) => family.variants)
  // `full`, or the one variant that the entry names.
  const shown = experiments.map((family) => family.variants[0]!.resolved)
  if (options.where !== undefined) {
    const places = shown.map((resolved) => whereOf(resolved, options.where!))
    process.stdout.write(
      format === 'json'
        ? `${JSON.stringify({ formatVersion: 1, places })}\n`
        : places.map(writePlace).join(''),
    )
  } else if (format === 'json')
    process.stdout.write(
      `${JSON.stringify({ formatVersion: 1, experiments: all.map(({ resolved, aliasOf }) => ({ ...resolved, aliasOf })) })}\n`,
    )
  else
    process.stdout.write(
      shown
        .map((resolved) =>
          foldLines(
            writeExperiment(resolved, { place: options.places ? (path) => placeOf(resolved, path) : null }),
            columnsOf(process.stdout),
          ),
        )
        .join('\n'),
    )
  return exit.good
}

interface Place {
  readonly experiment: string
  readonly variant: string
  readonly path: string
  readonly value: string
  /** Null: the default. */
  readonly at: Span | null
  readonly overrode: readonly Span[]
}

function whereOf(resolved: ResolvedExperiment, path: string): Place {
  const fields = flatFields(flatten(resolved))
  const field = fields.get(path)
  const origin = resolved.provenance[path]
  if (field === undefined && origin === undefined)
    throw new UsageError(
      `${resolved.name} has no \`${path}\``,
      didYouMean(path, [...fields.keys(), ...Object.keys(resolved.provenance)]),
    )
  return {
    experiment: resolved.name,
    variant: resolved.variant,
    path,
    value: field === undefined ? '' : writeValue(field.value, field.field.type),
    at: origin?.at ?? null,
    overrode: origin?.overrode ?? [],
  }
}

function writePlace(place: Place): string {
  const name = place.variant === 'full' ? place.experiment : `${place.experiment}.${place.variant}`
  const value = place.value === '' ? '' : ` = ${place.value}`
  const lines = [
    `${name}: ${place.path}${value}`,
    `  ${place.at === null ? 'the default' : `set at ${spanText(place.at)}`}`,
  ]
  for (const span of place.overrode) lines.push(`  over ${spanText(span)}`)
  return `${lines.join('\n')}\n`
}

function placeOf(resolved: ResolvedExperiment, path: string): string {
  const at = resolved.provenance[path]?.at
  return at ? `${at.file}:${at.startLine}` : 'default'
}

export function spanText(span: Span): string {
  return `${span.file}:${span.startLine}:${span.startColumn}`
}
